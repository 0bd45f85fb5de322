"""A test protocol spelled out for one video: exact frames, sizes, crops and joining."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from vidjax.data import published, published_tsm
from vidjax.data.crops import Crop, resized_size, view_crops
from vidjax.data.sampling import dense_indices, segment_indices, view_positions
from vidjax.typing import ClipSpec, FrameRule, Views


@dataclasses.dataclass(frozen=True)
class ViewPlan:
    """What is scored of one video, and how.

    View v is crop v mod C of clip floor(v / C), with C crops.

    Attributes:
        protocol: Name of the protocol.
        frames: Frames of each clip in the file, counted from 0, [clips][T].
        size: Height and width to which frames are resized.
        crops: Box of each crop in the resized frame, and whether it is mirrored.
        interpolation: How frames are resized.
        value_range: Values that pixels 0 and 255 take before `mean` and `std`.
        mean: Subtracted from each channel.
        std: Divides each channel.
        channel_order: Order of the channels.
        average: What is averaged over the views.
    """

    protocol: str
    frames: tuple[tuple[int, ...], ...]
    size: tuple[int, int]
    crops: tuple[Crop, ...]
    interpolation: str
    value_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str
    average: str

    @property
    def num_views(self) -> int:
        """Views of the video."""
        return len(self.frames) * len(self.crops)

    @property
    def digest(self) -> str:
        """The first half of the SHA-256 of all that is in it but the name."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if k != "protocol"}
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it, ready for JSON."""
        return {**dataclasses.asdict(self), "views": self.num_views}


def make_plan(
    views: Views,
    spec: ClipSpec,
    *,
    num_frames: int,
    fps: float,
    height: int,
    width: int,
) -> ViewPlan:
    """Spells a protocol out for a video of a constant rate.

    Args:
        views: The protocol.
        spec: The clip that the model wants.
        num_frames: Frames in the video.
        fps: Frames per second.
        height: Rows of a frame.
        width: Columns of a frame.

    Returns:
        The plan.

    Raises:
        ValueError: If a number is not positive, or the protocol does not fit the clip
            or the frame.

    Example:
        >>> plan = make_plan(
        ...     *(Views(num_clips=2), ClipSpec(num_frames=3, frame_stride=2)),
        ...     **{"num_frames": 10, "fps": 25.0, "height": 240, "width": 320},
        ... )
        >>> plan.frames, plan.size
        (((0, 2, 4), (5, 7, 9)), (256, 341))
    """
    if min(num_frames, fps, height, width) <= 0:
        raise ValueError(
            "A video has positive numbers of frames, frames per second, rows and "
            f"columns, got {num_frames}, {fps:g}, {height} and {width}."
        )
    spec = test_clip(spec, views)
    frames = clip_frames(views, spec, num_frames=num_frames, fps=fps)
    size = resized_size(height, width, short_side=spec.short_side, views=views)
    return ViewPlan(
        protocol=views.name,
        frames=tuple(tuple(int(i) for i in clip) for clip in frames),
        size=size,
        crops=tuple(view_crops(*size, size=spec.size, views=views)),
        interpolation=spec.interpolation,
        value_range=spec.value_range,
        mean=spec.mean,
        std=spec.std,
        channel_order=spec.channel_order,
        average=views.average,
    )


def test_clip(spec: ClipSpec, views: Views) -> ClipSpec:
    """Returns the clip that a test gives a model.

    Args:
        spec: The clip that the model was trained on.
        views: The protocol.

    Returns:
        The same, but for the frames and the size that the protocol says otherwise.

    Example:
        >>> test_clip(ClipSpec(num_frames=8), Views(whole_side=True)).shape
        (8, 256, 256, 3)
    """
    if views.num_frames is not None:
        spec = dataclasses.replace(spec, num_frames=views.num_frames)
    if views.whole_side:
        spec = dataclasses.replace(spec, size=spec.short_side, crop_fraction=1.0)
    return spec


test_clip.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


def clip_frames(
    views: Views,
    spec: ClipSpec,
    *,
    num_frames: int,
    fps: float,
    shown: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the frames of every clip of a test.

    Args:
        views: The protocol.
        spec: The clip of the test.
        num_frames: Frames in the video.
        fps: Frames per second, on average.
        shown: For videos of a variable rate: the frame on the screen at each tick of
            the rate `spec.fps`, [M]; None computes it from `fps`. Published rules
            know average rates only.

    Returns:
        Indices in [0, num_frames), int64 [views.num_clips, T].
    """
    if views.frames == "even":
        if shown is None:
            rate = spec.fps if spec.sampling == "dense" else None
            shown = shown_frames(num_frames, fps, rate)
        inside = frames_inside(shown, spec)
        return inside[_even_frames(len(inside), spec, views.num_clips)]
    ratio = fps / spec.fps if spec.fps else 1.0
    # Rates such as 30.0003 are those of containers that count in ms: take the nominal.
    ratio = float(round(ratio)) if abs(ratio - round(ratio)) < 1e-3 else ratio
    # The rule is given the frames at which a stack of flows fits, as TSN's is.
    inside = frames_inside(np.arange(num_frames), spec)
    return inside[_RULES[views.frames](len(inside), spec, views.num_clips, ratio)]


def compare_plans(one: ViewPlan, other: ViewPlan) -> list[str]:
    """Says where two plans for a video differ.

    Args:
        one: A plan.
        other: Another, for the same video.

    Returns:
        A sentence for each difference; none if they score the same pixels alike.

    Example:
        >>> video = {"num_frames": 10, "fps": 25.0, "height": 240, "width": 320}
        >>> spec = ClipSpec(num_frames=3)
        >>> plans = [make_plan(Views(average=a), spec, **video) for a in
        ...          ("softmax", "logits")]
        >>> compare_plans(*plans)
        ['average: softmax, logits']
    """
    found = []
    for field in dataclasses.fields(ViewPlan):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "protocol" or a == b:
            continue
        if field.name in ("frames", "crops") and len(a) == len(b):
            where = [
                i for i, pair in enumerate(zip(a, b, strict=True)) if len({*pair}) > 1
            ]
            i = where[0]
            found.append(
                f"{field.name}: {len(where)} of {len(a)} differ, first "
                f"{field.name[:-1]} {i}: {_brief(a[i])}, {_brief(b[i])}"
            )
        elif field.name in ("frames", "crops"):
            found.append(f"{field.name}: {len(a)}, {len(b)} of them")
        else:
            found.append(f"{field.name}: {_brief(a)}, {_brief(b)}")
    return found


def _brief(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(i, int) for i in value):
        text = [str(i) for i in value]
        return " ".join(text if len(text) <= 8 else [*text[:4], "...", *text[-2:]])
    return str(value)


def shown_frames(num_frames: int, fps: float, rate: float | None) -> np.ndarray:
    """Returns the frame on the screen at each tick of a rate.

    Args:
        num_frames: Frames in a video of a constant rate.
        fps: Its frames per second.
        rate: Ticks per second; None takes every frame once.

    Returns:
        Indices in [0, num_frames), not falling, int64 [M].

    Example:
        >>> shown_frames(5, 10.0, 20.0).tolist()
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    if rate is None:
        return np.arange(num_frames)
    count = max(1, int(num_frames / fps * rate + 1e-6))
    moments = np.floor(np.arange(count) * fps / rate + 1e-6)
    return np.minimum(moments.astype(np.int64), num_frames - 1)


def frames_inside(shown: np.ndarray, spec: ClipSpec) -> np.ndarray:
    """Returns the frames whose windows do not reach beyond the ends of a video.

    Args:
        shown: Frames of the video, [M].
        spec: The clip; where it has flow it wants a window around each frame.

    Returns:
        The first M - L of M frames for L flows that begin at a frame, as in TSN; all of
        them for colours, and where the video is shorter than a window.

    Example:
        >>> flow = ClipSpec(num_frames=1).with_modality("flow", flow_length=3)
        >>> frames_inside(np.arange(5), flow).tolist()
        [0, 1]
    """
    first, last = -spec.window[0], len(shown) - spec.window[-1]
    return shown[first:last] if first < last else shown


def _even_frames(count: int, spec: ClipSpec, num_clips: int) -> np.ndarray:
    positions = view_positions(num_clips, sampling=spec.sampling)
    if spec.sampling == "segments":
        take = functools.partial(segment_indices, count, segments=spec.num_frames)
    else:
        take = functools.partial(
            dense_indices,
            count,
            clip_length=spec.num_frames,
            stride=spec.frame_stride,
        )
    return np.stack([take(position=float(p)) for p in positions])


Rule = Callable[[int, ClipSpec, int, float], np.ndarray]


def _mmaction2(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    if spec.sampling == "segments":  # UniformSample, for Something-Something.
        return _uniform(n, spec, clips, ratio)
    return published.mmaction2_clips(
        n,
        clip_length=spec.num_frames,
        stride=spec.frame_stride,
        num_clips=clips,
        rate_ratio=ratio if spec.fps else None,
    )


def _uniform(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    del ratio
    return published.mmaction2_uniform(n, clip_length=spec.num_frames, num_clips=clips)


def _pyslowfast(
    n: int, spec: ClipSpec, clips: int, ratio: float, *, offset: bool = False
) -> np.ndarray:
    return published.pyslowfast_clips(
        n,
        clip_length=spec.num_frames,
        stride=spec.frame_stride,
        num_clips=clips,
        rate_ratio=ratio,
        offset=offset,
    )


def _slowfast_segments(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    del ratio
    one = published.pyslowfast_segments(n, segments=spec.num_frames)
    return np.repeat(one, clips, axis=0)


def _torchvision(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    return published.torchvision_clips(
        n, clip_length=spec.num_frames, num_clips=clips, rate_ratio=ratio
    )


def _dmvr(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    del ratio
    return published.dmvr_clips(
        n, clip_length=spec.num_frames, stride=spec.frame_stride, num_clips=clips
    )


def _tsm(
    n: int, spec: ClipSpec, clips: int, ratio: float, *, twice: bool = False
) -> np.ndarray:
    del ratio
    frames = published_tsm.tsm_segments(n, segments=spec.num_frames, twice=twice)
    return np.resize(frames, (clips, spec.num_frames))


def _tsm_dense(n: int, spec: ClipSpec, clips: int, ratio: float) -> np.ndarray:
    del ratio
    return published_tsm.dense_starts(n, segments=spec.num_frames, num_clips=clips)


_RULES: dict[FrameRule, Rule] = {
    "mmaction2": _mmaction2,
    "mmaction2_uniform": _uniform,
    "pyslowfast": _pyslowfast,
    "pyslowfast_offset": functools.partial(_pyslowfast, offset=True),
    "pyslowfast_segments": _slowfast_segments,
    "torchvision": _torchvision,
    "dmvr": _dmvr,
    "tsm": _tsm,
    "tsm_twice": functools.partial(_tsm, twice=True),
    "tsm_dense": _tsm_dense,
}
