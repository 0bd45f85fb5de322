"""What the rooms say to each other: arrays, clip specifications, model cards."""

import dataclasses
from typing import Any, Literal

from jaxtyping import Array, Float

Clip = Float[Array, "b t h w c"]
"""Clips `[B, T, H, W, C]`, channels last, normalised as the `ClipSpec` says."""

Logits = Float[Array, "b k"]
"""Scores `[B, K]` before softmax, float32."""

Endpoints = dict[str, Array]
"""Intermediate results by name; always holds "features" and "pooled"."""

Interpolation = Literal["bilinear", "bicubic", "area"]
Sampling = Literal["dense", "segments"]
ChannelOrder = Literal["rgb", "bgr"]
Average = Literal["softmax", "logits", "positions"]

FrameRule = Literal[
    "even",
    "mmaction2",
    "mmaction2_uniform",
    "pyslowfast",
    "pyslowfast_offset",
    "pyslowfast_segments",
    "torchvision",
    "dmvr",
    "tsm",
    "tsm_twice",
    "tsm_dense",
]
"""Whose rule says which frames the clips of a test have: "even" is ours, the others are
those of published code (`vidjax.data.published`)."""

CropRule = Literal["even", "mmaction2", "pyslowfast", "tsm", "torchvision"]
"""Whose rule says where the crops of a test lie, and how sizes are rounded: "even" is
ours, the others are those of published code (`vidjax.data.crops`)."""

Modality = Literal["rgb", "flow", "rgb+flow"]
"""What the channels of a clip are: colours, stacked optical flow, or both, colours
first."""

FlowMethod = Literal["tvl1", "farneback", "files"]
"""How flow is computed from the frames of a clip, on the devices: "tvl1" by the variant
behind published two-stream data, "farneback" much faster. "files": it was computed
before, and is read beside the video."""

FlowStack = Literal["forward", "centred"]
"""Which L flows are stacked at frame t, each from a frame to the next one: "forward"
begins at frame t, "centred" at frame t - L // 2."""

Task = Literal["classify", "localize", "propose", "flow"]
"""What a model does: "classify" clips, "localize" actions in the features of a video,
"propose" when there are any, or see the "flow" between two frames."""

Head = Literal["keep", "reset", "match"]
"""What becomes of a classifier when weights are loaded: "keep" takes the one of the
weights, "reset" starts it afresh, "match" takes it where it has the right number of
classes."""

Temporal = Literal["average", "center"]
"""How the kernel of an image network fills the time axis of a video network: "average"
repeats it and divides by the length; "center" puts it into the middle and zeros
elsewhere."""

TimeAttention = Literal["copy", "zero"]
"""How a block's attention over time begins where a vision transformer has none: "copy"
takes the weights of its attention over space, and what the model puts behind it begins
as the model initialises it; "zero" takes them too, but the last layer of the branch
begins at zero, so that every block begins as that of the image network."""


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """The clip that a model wants.

    A pixel value p in [0, 255] becomes `(low + p / 255 * (high - low) - mean) / std`,
    where (low, high) is `value_range`.

    Attributes:
        num_frames: Frames T in a clip.
        frame_stride: Frames between two sampled ones, at the rate `fps`. Only for
            `sampling="dense"`.
        size: Height and width of the square clip, in pixels.
        channels: Channels C of a frame.
        fps: Rate in frames per second at which a video is read before `frame_stride`
            applies; None reads it at its own rate.
        sampling: "dense" takes frames `frame_stride` apart; "segments" cuts
            the video into `num_frames` equal parts and takes one frame from each (TSN).
        crop_fraction: `size` over the short side to which a video is resized at test
            time, in (0, 1].
        interpolation: How frames are resized.
        value_range: Values that pixels 0 and 255 take before `mean` and `std`.
        mean: Subtracted from each channel, in the order in which the model sees them.
        std: Divides each channel.
        channel_order: "bgr" for the few models whose weights want blue first; clips
            are RGB until they are normalised.
        modality: What the channels are; see `Modality`.
        flow_length: Flows L that are stacked at every frame, as 2 L channels u0, v0,
            u1, v1 and so on. As pixels they are bytes, -20 px to 0 and +20 px to 255.
        flow_stack: Which flows they are; see `FlowStack`.
        flow_method: How they are computed.
    """

    num_frames: int
    frame_stride: int = 1
    size: int = 224
    channels: int = 3
    fps: float | None = None
    sampling: Sampling = "dense"
    crop_fraction: float = 0.875
    interpolation: Interpolation = "bilinear"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channel_order: ChannelOrder = "rgb"
    modality: Modality = "rgb"
    flow_length: int = 1
    flow_stack: FlowStack = "forward"
    flow_method: FlowMethod = "tvl1"

    def with_modality(self, modality: Modality, *, flow_length: int = 1) -> "ClipSpec":
        """Returns a clip of colours as one of another modality.

        Args:
            modality: What its channels are to be.
            flow_length: Flows that are stacked at every frame, at least 1.

        Returns:
            The clip. Flow lies in [-1, 1] after normalisation: 20 pixels are 1.

        Raises:
            ValueError: If this clip is not one of colours, or `flow_length` is less
                than 1.

        Example:
            >>> ClipSpec(8).with_modality("rgb+flow", flow_length=5).channels
            13
        """
        if self.modality != "rgb" or flow_length < 1:
            raise ValueError(
                "Expected a clip of colours and a flow_length of at least 1, got one "
                f"of {self.modality!r} and {flow_length}."
            )
        if modality == "rgb":
            return self
        low, high = self.value_range
        colours = 3 if modality == "rgb+flow" else 0
        flows = 2 * flow_length
        return dataclasses.replace(
            self,
            channels=colours + flows,
            mean=(*self.mean[:colours], *((low + high) / 2,) * flows),
            std=(*self.std[:colours], *((high - low) / 2,) * flows),
            modality=modality,
            flow_length=flow_length,
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape (T, H, W, C) of one clip."""
        return (self.num_frames, self.size, self.size, self.channels)

    @property
    def window(self) -> range:
        """Frames that are read for a frame t of the clip, counted from t.

        L flows need L + 1 frames; a clip of colours needs frame t alone.
        """
        if self.modality == "rgb":
            return range(1)
        first = -(self.flow_length // 2) if self.flow_stack == "centred" else 0
        return range(first, first + self.flow_length + 1)

    @property
    def reads_flow(self) -> bool:
        """Whether flow is read from files, and not computed from frames."""
        return self.modality != "rgb" and self.flow_method == "files"

    @property
    def pixels_shape(self) -> tuple[int, int, int, int]:
        """The shape of what is read for one clip.

        That is (T * frames of a window, H, W, 3), or that of the clip itself where flow
        comes from files.
        """
        if self.reads_flow:
            return self.shape
        frames = self.num_frames * len(self.window)
        return (frames, self.size, self.size, 3)

    @property
    def short_side(self) -> int:
        """Pixels to which the short side is resized before the centre crop."""
        return round(self.size / self.crop_fraction)


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """The features of an untrimmed video that a detector of actions wants.

    Attributes:
        length: Steps T to which features of shorter videos are padded.
        channels: Channels C of a step.
        multiple: Features of longer videos are padded to a multiple of this.
    """

    length: int
    channels: int
    multiple: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (T, C) of the features of one video."""
        return (self.length, self.channels)

    def padded(self, steps: int) -> int:
        """Returns to how many steps the features of a video are padded.

        Args:
            steps: Of the video.

        Returns:
            `length`, or for longer videos the next multiple of `multiple`.

        Example:
            >>> [FeatureSpec(2304, 2048, multiple=576).padded(t) for t in (700, 2500)]
            [2304, 2880]
        """
        if steps <= self.length:
            return self.length
        return -(-steps // self.multiple) * self.multiple


@dataclasses.dataclass(frozen=True)
class FeatureGrid:
    """When the steps of features are.

    Step t sees the frames from `stride * t` to `stride * t + window`, and stands for
    the middle of them.

    Attributes:
        stride: Frames between two steps.
        window: Frames that a step sees.
        fps: Frames a second.
    """

    stride: float
    window: float
    fps: float

    def to_seconds(self, steps: Any) -> Any:
        """Returns the middle of what steps see.

        Args:
            steps: A number or an array of any shape.

        Returns:
            Seconds, the same shape.
        """
        return (steps * self.stride + 0.5 * self.window) / self.fps

    def to_steps(self, seconds: Any) -> Any:
        """Undoes `to_seconds`.

        Args:
            seconds: A number or an array of any shape.

        Returns:
            Steps, the same shape.
        """
        return (seconds * self.fps - 0.5 * self.window) / self.stride

    def resized(self, steps: int, length: int) -> "FeatureGrid":
        """Returns the grid of features that were resized, as ActionFormer has it.

        Args:
            steps: Before.
            length: Steps after.

        Returns:
            A grid over the same frames.
        """
        stride = ((steps - 1) * self.stride + self.window) / length
        return FeatureGrid(stride, stride, self.fps)


@dataclasses.dataclass(frozen=True)
class Views:
    """A test protocol: which clips of a video are scored, and how scores are joined.

    Published ones have names: `vidjax.protocols`.

    Attributes:
        num_clips: Clips of a video.
        num_crops: Crops of a clip: 1 is the centre, 3 lie along the longer side, 5 are
            the corners and the centre, 10 are these and their mirror images.
        average: What is averaged over the views: "softmax" probabilities, "logits", or
            the softmax at each position of a fully convolutional head ("positions",
            where a view scores the mean over its positions).
        frames: Rule by which the frames of the clips are chosen.
        crops: Rule by which frames are resized and cropped.
        whole_side: Whether crops are as large as the short side of the frame, and not
            as the clip that the model was trained on.
        aspect: Width over height to which all frames are resized; None keeps theirs.
        num_frames: Frames in a clip of the test; None takes the model's.
        name: Of the protocol.
    """

    num_clips: int = 1
    num_crops: int = 1
    average: Average = "softmax"
    frames: FrameRule = "even"
    crops: CropRule = "even"
    whole_side: bool = False
    aspect: float | None = None
    num_frames: int | None = None
    name: str = "center"

    @property
    def num_views(self) -> int:
        """Views V of a video: the crops of the first clip come first."""
        return self.num_clips * self.num_crops


@dataclasses.dataclass(frozen=True)
class Weights:
    """Published weights of a model, and where they are.

    Attributes:
        tag: Name by which they are loaded, such as "kinetics400".
        description: What they are and who trained them on what.
        num_classes: Classes K of their classifier.
        labels: Name of the list of class names that ships with vidjax, or None.
        sha256: Hexadecimal SHA-256 of the file, or None where any file is accepted.
        package: Distribution that holds the file, as "name==version", or None.
        file: Path of the file inside the distribution, or its usual name.
        url: Address of the file, or None.
        get: Command or sentence that tells how to get the file.
        accuracy: Published accuracy, with its source.
        licence: Licence of the weights.
    """

    tag: str
    description: str
    num_classes: int
    get: str
    file: str
    labels: str | None = None
    sha256: str | None = None
    package: str | None = None
    url: str | None = None
    accuracy: str = ""
    licence: str = ""


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What is known of a registered model.

    Attributes:
        name: Registered name.
        clip: The clip that it wants; of a detector, the features.
        family: Architecture, such as "i3d".
        fusion: Where time is joined: "none" (images), "late", "early", "slow" (3D),
            "shift" or "attention".
        paper: Authors, title, venue and address of the paper.
        reference: Code whose conventions and parameter names are followed.
        params: Trainable parameters with the default number of classes.
        gmacs: Multiply-adds of one clip, in units of 1e9 (one counts once).
        views: Test protocol.
        weights: Published weights.
        accuracy: Published accuracy of the architecture, with its source, where that of
            `weights` does not say it.
        task: What it does.
    """

    name: str
    clip: ClipSpec | FeatureSpec
    family: str
    fusion: Literal["none", "late", "early", "slow", "shift", "attention"]
    paper: str
    reference: str
    params: int
    gmacs: float
    views: Views = Views()
    weights: tuple[Weights, ...] = ()
    accuracy: str = ""
    task: Task = "classify"
