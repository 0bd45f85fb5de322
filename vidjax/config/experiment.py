"""What an experiment is: frozen dataclasses with a field for every choice."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from vidjax.typing import (
    Average,
    FlowMethod,
    FlowStack,
    Interpolation,
    Modality,
    Sampling,
    Temporal,
    TimeAttention,
)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which videos, and how clips are taken from them.

    Attributes:
        source: "synthetic_motion"; "synthetic_two_stream"; "scenes", pairs of images
            whose flow is known; "folder:DIR" with one folder of videos a class, or with
            folders "train" and "val" of such folders; "csv:FILE" with columns path and
            label, and optionally split, start and end (seconds); or a published set by
            its official lists: "kinetics400:DIR", "kinetics600:DIR", "kinetics700:DIR",
            "ucf101:DIR", "hmdb51:DIR", "ssv2:DIR", "diving48:DIR", "thumos14:DIR",
            "activitynet:DIR", where DIR has the videos; or "records:DIR" with the
            shards that `vidjax prepare` wrote, or those of others as "records:PATTERN",
            where {split} stands for train and eval; or "tfds:NAME", a set of videos
            that TensorFlow Datasets prepared.
        annotations: Folder of the official lists; None looks where the videos are.
        fold: Which of the three splits of UCF101 and HMDB51, from 1.
        tfds_dir: Where sets of TFDS are; None is where TFDS puts them.
        tfds_splits: Which splits of a set of TFDS are for training and evaluation, such
            as "train[:90%]" and "train[90%:]"; None takes "train", and one called
            "val", "validation", "eval" or "test".
        batch_size: Clips in a global batch; a multiple of the number of devices.
        eval_batch_size: Clips in a batch of evaluation; None takes `batch_size`.
        num_frames: Frames in a clip; None takes the model card's.
        frame_stride: Frames between two sampled ones; None takes the model card's.
        sampling: How frames are chosen; None takes the model card's.
        size: Height and width of a clip in pixels; None takes the model card's.
        interpolation: How frames are resized; None takes the model card's.
        modality: "rgb", "flow" or "rgb+flow"; None takes the model card's. A network
            for colours takes any, with a first kernel to match.
        flow_length: Flows L stacked at every frame; None takes the model card's, or 5
            (TSN's) for a network for colours.
        flow_stack: Which flows, "forward" from the frame or "centred" at it; None takes
            the model card's.
        flow_method: "tvl1" or "farneback", computed on the devices; None takes the
            model card's.
        flow_files: Folder with flow that `vidjax flow DIR --out FOLDER` computed
            before, for the videos in DIR; None computes it in every step, by
            `flow_method`. Models of colours alone do without.
        short_side: Smallest and largest short side, in pixels, to which a training
            video is resized before a random crop; None takes the model card's.
        flip_rate: Probability of a horizontal flip in training. A class whose name
            has "left" or "right" becomes the one with the words exchanged, and is never
            flipped where there is none; set it to zero where names do not tell.
        augment: What else varies in training.
        repeats: Clips of a video that follow each other in a training batch (repeated
            augmentation); an epoch has each video as often.
        bad_share: Share of the videos that may be unreadable before training stops.
        short_videos: What becomes of a video with fewer frames than a training clip
            spans: "loop" or "error", which replaces it as if it could not be read.
        eval_fraction: Share of each class that is held out, where the source names no
            split.
        workers: Threads that decode; None takes one a core.
        synthetic: What "synthetic_motion" draws.
    """

    source: str = "synthetic_motion"
    annotations: str | None = None
    fold: int = 1
    tfds_dir: str | None = None
    tfds_splits: tuple[str, str] | None = None
    batch_size: int = 32
    eval_batch_size: int | None = None
    num_frames: int | None = None
    frame_stride: int | None = None
    sampling: Sampling | None = None
    size: int | None = None
    interpolation: Interpolation | None = None
    modality: Modality | None = None
    flow_length: int | None = None
    flow_stack: FlowStack | None = None
    flow_method: FlowMethod | None = None
    flow_files: str | None = None
    short_side: tuple[int, int] | None = None
    flip_rate: float = 0.5
    augment: "AugmentConfig" = dataclasses.field(
        default_factory=lambda: AugmentConfig()
    )
    repeats: int = 1
    bad_share: float = 0.1
    short_videos: Literal["loop", "error"] = "loop"
    eval_fraction: float = 0.2
    workers: int | None = None
    synthetic: "SyntheticConfig" = dataclasses.field(
        default_factory=lambda: SyntheticConfig()
    )


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """How training clips vary; every draw is the same for all frames of a clip.

    Attributes:
        crop: "random": a square of the clip's size from the resized video. "resized": a
            rectangle of random area and shape, resized to the clip (Inception).
            "multi_scale": a rectangle whose sides are shares of the short side, at one
            of 13 places, resized to the clip (TSN).
        area: Smallest and largest share of a frame that a "resized" crop has.
        aspect: Smallest and largest width over height of it.
        scales: Shares of the short side for "multi_scale".
        brightness: Colours are multiplied by a number in [1 - brightness, 1 +
            brightness].
        contrast: The same for their distance from the mean grey of the clip.
        saturation: The same for their distance from the grey of the pixel.
        hue: Hues turn by a share of the circle in [-hue, hue], at most 0.5.
        gray_rate: Probability that colours are lost.
        rand_augment: Operations drawn for a clip, and their magnitude in [0, 10]; None
            draws none.
        erase_rate: Probability that a rectangle becomes noise.
    """

    crop: Literal["random", "resized", "multi_scale"] = "random"
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    gray_rate: float = 0.0
    rand_augment: tuple[int, float] | None = None
    erase_rate: float = 0.0


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What `synthetic_motion` draws; its clips have the size the model wants.

    Attributes:
        num_train: Training clips.
        num_eval: Held-out clips.
        seed: Seed of the drawing; the held-out clips never share one with training.
    """

    num_train: int = 4096
    num_eval: int = 512
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """How parameters are updated.

    Attributes:
        name: Optimizer: "sgd" with momentum, "adam", "adamw" or "lars".
        learning_rate: Largest learning rate, after warm-up.
        schedule: "constant", "cosine" to zero at the last step, "step", or "onecycle":
            linear up from 1/25 and down to almost nothing.
        warmup_steps: Steps over which the rate rises linearly from zero.
        drops: Steps at which a "step" schedule multiplies the rate by `drop_factor`.
        drop_factor: See `drops`.
        momentum: Momentum of "sgd" and "lars".
        nesterov: Whether that momentum is Nesterov's.
        b1: Decay of the first moment of "adam" and "adamw".
        b2: Decay of the second moment of them.
        weight_decay: Coupled (added to the gradient) for "sgd", "adam" and "lars",
            decoupled for "adamw".
        decay: Which parameters decay: "kernels" (those with two axes or more), "layers"
            (the kernels of layers; tables of positions and tokens do not) or "all".
        layer_decay: Factor of the rate from each block of a transformer to the one
            before it, in (0, 1]; the classifier has the whole rate. 1 is for any model.
        backbone_rate: Factor of the rate of everything but the classifier.
        clip_norm: Largest global norm of the gradients; None does not clip.
        accumulate: Parts of a batch that go through the model one after another, their
            gradients summed: memory for one part, the update of the whole batch.
        average_decay: Share of the moving average of the parameters that an update
            keeps, in [0, 1). The average is what is tested and kept as the best; None
            makes none.
        end_rate: Learning rate at the end of a "cosine" schedule.
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1).
    """

    name: Literal["sgd", "adam", "adamw", "lars"] = "sgd"
    learning_rate: float = 0.1
    schedule: Literal["constant", "cosine", "step", "onecycle"] = "cosine"
    warmup_steps: int = 0
    drops: tuple[int, ...] = ()
    drop_factor: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.0
    decay: Literal["kernels", "layers", "all"] = "kernels"
    layer_decay: float = 1.0
    backbone_rate: float = 1.0
    clip_norm: float | None = None
    accumulate: int = 1
    average_decay: float | None = None
    end_rate: float = 0.0
    label_smoothing: float = 0.0


@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
    """Features of untrimmed videos and what happens in them, for detectors of actions.

    What is None follows from what `vidjax features` wrote beside the features, or else
    from the model, as published.

    Attributes:
        folder: Folder with a file of features for each video, or a .h5 file of all.
        annotations: ActivityNet's JSON.
        train_subset: Videos to train on, by their "subset" there.
        eval_subset: Videos to test on.
        prefix: Of the files' names, before the name of the video.
        suffix: Of the files' names: .npy, .npz, .pkl or .csv.
        length: Steps to which shorter videos are padded.
        channels: Channels of a step.
        stride: Frames between two steps.
        window: Frames that a step sees.
        fps: Frames a second; None takes "fps" of the annotations where they have it.
        class_agnostic: Whether all actions are of one class: segments are proposed, and
            scores of whole videos name them.
        crop: Share of a video that a training example has, from and to.
    """

    folder: str = ""
    annotations: str = ""
    train_subset: str = "training"
    eval_subset: str = "validation"
    prefix: str = ""
    suffix: str = ".npy"
    length: int | None = None
    channels: int | None = None
    stride: float | None = None
    window: float | None = None
    fps: float | None = None
    class_agnostic: bool = False
    crop: tuple[float, float] = (0.9, 1.0)


@dataclasses.dataclass(frozen=True)
class MixingConfig:
    """How the clips of a batch are mixed, and their labels with them.

    With both alphas zero nothing is mixed. With both above zero each batch is mixed in
    one of the two ways.

    Attributes:
        mixup_alpha: Mixup draws shares from Beta(alpha, alpha); 0 does none.
        cutmix_alpha: The same for CutMix.
        rate: Share of the batches that are mixed, in [0, 1].
        cutmix_rate: Where there are both: share of the mixed batches that CutMix mixes,
            in [0, 1].
    """

    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    rate: float = 1.0
    cutmix_rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class InflationConfig:
    """How the weights of an image network become those of a video network.

    Attributes:
        source: Registered name of the image network that `init` is a tag or a file of;
            None if `init` is of the model itself.
        temporal: How kernels fill the time axis: "average" repeats them and divides by
            its length, "center" puts them into the middle and zeros elsewhere.
        time_attention: How a vision transformer's attention over time begins: "copy"
            takes the weights of attention over space, "zero" leaves tokens as they are;
            None begins as published for the model.
    """

    source: str | None = None
    temporal: Temporal = "average"
    time_attention: TimeAttention | None = None


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is tested.

    Attributes:
        num_clips: Clips of a video; None takes the protocol's.
        num_crops: 1 for the centre crop, 3 along the longer side, 5 for corners and
            centre, 10 for these and their mirror images; None takes the protocol's.
        average: What is averaged over them: "softmax", "logits", or the softmax at the
            "positions" of a fully convolutional head; None takes the protocol's.
        protocol: Name of a published test protocol (`vidjax protocol` lists them); None
            takes the model card's.
    """

    num_clips: int | None = None
    num_crops: int | None = None
    average: Average | None = None
    protocol: str | None = None


@dataclasses.dataclass(frozen=True)
class ShardingConfig:
    """How a train state and its batches are laid over devices.

    Attributes:
        fsdp: Devices over which one copy of the parameters is split; the rest of the
            devices hold further copies, and every device takes its part of the batch.
        min_size: Parameters with fewer elements are never split.
    """

    fsdp: int = 1
    min_size: int = 2**16


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """What is written while training. It changes no result.

    Attributes:
        every: Steps between two lines of the log.
        tensorboard: Whether TensorBoard's event files are written as well.
    """

    every: int = 10
    tensorboard: bool = False


@dataclasses.dataclass(frozen=True)
class Contender:
    """A further model that is trained on the same data by the same recipe.

    Attributes:
        model: Registered name.
        model_args: Arguments of its builder.
    """

    model: str
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Config:
    """An experiment.

    Attributes:
        model: Registered name of the model.
        model_args: Arguments of its builder; `num_classes` follows from the data.
        compare: Models to train beside it and to set side by side in the report.
        objective: What is learned: "classification"; "localization", when actions of
            untrimmed videos start and end; "masked_pixels", the hidden blocks of a
            masked autoencoder; or "flow", the flow of `data.source` "scenes".
        init: Weights to start from: a tag of the model card, or the path of a file or
            of the folder of a run. A classifier with another number of classes starts
            afresh.
        inflation: How they are fitted, if they are those of an image network.
        dtype: Type of the computation; parameters and logits stay float32.
        steps: Updates.
        eval_every: Steps between two evaluations; the last step is always evaluated.
        save_every: Steps between two checkpoints; the last step is always saved.
        seed: Seed of initial parameters, order, augmentation and dropout.
        data: Which videos, and how clips are taken from them.
        features: Which features, for "localization".
        mixing: How clips are mixed in training.
        optim: How parameters are updated.
        eval: How the model is tested.
        sharding: How the state is laid over devices.
        log: What is written while training.
    """

    model: str
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compare: tuple[Contender, ...] = ()
    objective: Literal["classification", "localization", "masked_pixels", "flow"] = (
        "classification"
    )
    init: str | None = None
    inflation: InflationConfig = dataclasses.field(default_factory=InflationConfig)
    dtype: Literal["float32", "bfloat16"] = "float32"
    steps: int = 1000
    eval_every: int = 500
    save_every: int = 500
    seed: int = 0
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    features: FeaturesConfig = dataclasses.field(default_factory=FeaturesConfig)
    mixing: MixingConfig = dataclasses.field(default_factory=MixingConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    sharding: ShardingConfig = dataclasses.field(default_factory=ShardingConfig)
    log: LogConfig = dataclasses.field(default_factory=LogConfig)
