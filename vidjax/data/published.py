"""Which frames published code takes from a video, index for index.

All functions are pure, count frames from 0 and return one row of indices a clip. Where
a video is too short for a clip each follows its source: it loops the video, or repeats
its last frame. `vidjax.data.plan` calls them for a test; those that draw at random are
for comparisons and take a `numpy.random.RandomState` as their sources do, or a
`Generator`.
"""

import itertools

import numpy as np

from vidjax.data.published_tsm import Rng, check_counts, draw_integers, tsm_segments


def mmaction2_clips(
    num_frames: int,
    *,
    clip_length: int,
    stride: int,
    num_clips: int,
    twice: bool = False,
    rate_ratio: float | None = None,
    repeat_last: bool = False,
) -> np.ndarray:
    """Returns the clips of MMAction2's SampleFrames at test time.

    Clips of one frame are the centres of equal parts, as `tsm_segments`. Otherwise
    starts lie evenly between the first frame and the last possible start, rounded half
    to even; a single clip lies in the middle, rounded down.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        stride: Frames from one to the next.
        num_clips: Clips N.
        twice: Whether twice as many clips follow at the same distance
            (`twice_sample`), beyond the end as well, where the video is looped.
        rate_ratio: Rate of the video over the rate of the model (`target_fps`); None
            does not resample.
        repeat_last: Whether frames past the end are the clip's last frame before it,
            and not those of the looped video.

    Returns:
        Indices, int64 [N, T] ([2 N, T] where `twice`).

    Raises:
        ValueError: If a count is less than 1.

    Example:
        >>> mmaction2_clips(10, clip_length=2, stride=3, num_clips=3).tolist()
        [[0, 3], [3, 6], [6, 9]]

    References:
        open-mmlab/mmaction2, mmaction/datasets/transforms/loading.py.
    """
    check_counts(num_frames, clip_length, stride, num_clips)
    if clip_length == 1:
        return tsm_segments(num_frames, segments=num_clips, twice=twice).reshape(-1, 1)
    if rate_ratio is None:
        span: float = (clip_length - 1) * stride + 1
        steps = stride * np.arange(clip_length)
    else:
        span = clip_length * stride * rate_ratio
        steps = np.linspace(0, span - 1, clip_length).astype(np.int32)
    room = max(num_frames - span, 0)
    wanted = num_clips * (1 + twice)
    if wanted == 1:
        starts = np.array([room // 2])
    elif rate_ratio is not None:
        starts = np.arange(wanted) * np.floor(room / max(num_clips - 1, 1))
    else:
        starts = np.round(np.arange(wanted) * (room / max(num_clips - 1, 1)))
    frames = starts[:, None].astype(np.int64) + steps[None]
    return _repeat_last(frames, num_frames) if repeat_last else frames % num_frames


def mmaction2_random_clips(
    num_frames: int,
    *,
    clip_length: int,
    stride: int,
    num_clips: int,
    rng: Rng,
    keep_tail: bool = False,
) -> np.ndarray:
    """Returns the clips of MMAction2's SampleFrames in training.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        stride: Frames from one to the next; a clip spans T * stride of them.
        num_clips: Clips N, one from each of N equal parts (TSN).
        rng: Where randomness comes from.
        keep_tail: Whether parts are fractions of a frame long, so that the last frames
            are taken as well (`keep_tail_frames`).

    Returns:
        Indices, int64 [N, T]; a short video is looped.

    Raises:
        ValueError: If a count is less than 1.
    """
    check_counts(num_frames, clip_length, stride, num_clips)
    room = num_frames - clip_length * stride + 1
    if keep_tail and room > 0:
        part = room / num_clips
        starts = np.arange(num_clips) * part + rng.uniform(0, part, num_clips)
    elif keep_tail or room // num_clips < 0:
        starts = np.zeros(num_clips)
    elif room // num_clips > 0:
        part = room // num_clips
        starts = np.arange(num_clips) * part + draw_integers(rng, part, num_clips)
    elif num_frames > max(num_clips, clip_length * stride):
        starts = np.sort(draw_integers(rng, room, num_clips))
    else:
        starts = np.around(np.arange(num_clips) * (room / num_clips))
    frames = starts.astype(np.int64)[:, None] + stride * np.arange(clip_length)[None]
    return frames % num_frames


def mmaction2_uniform(
    num_frames: int, *, clip_length: int, num_clips: int = 1, rng: Rng | None = None
) -> np.ndarray:
    """Returns the clips of MMAction2's UniformSample: one frame of each equal part.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip, and parts of the video.
        num_clips: Clips N of a test, at N places inside the parts.
        rng: Where randomness comes from in training, which gives one clip; None tests.

    Returns:
        Indices, int64 [N, T].

    Raises:
        ValueError: If a count is less than 1.
    """
    check_counts(num_frames, clip_length, 1, num_clips)
    part = (num_frames - 1) / clip_length
    edges = np.round(part * np.arange(clip_length + 1)).astype(np.int64)
    if rng is not None:
        spans = itertools.pairwise(edges.tolist())
        inside = [low + int(draw_integers(rng, high - low + 1)) for low, high in spans]
        return np.array([inside], np.int64)
    places = (part / (num_clips + 1) * np.arange(1, num_clips + 1)).astype(np.int64)
    return edges[None, :-1] + places[:, None]


def mmaction2_windows(
    num_frames: int, *, clip_length: int, stride: int, interval: int
) -> np.ndarray:
    """Returns the clips of MMAction2's UntrimmedSampleFrames: one every few frames.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        stride: Frames from one to the next.
        interval: Frames between the centres of two clips; the first is in the middle of
            the first interval.

    Returns:
        Indices, int64 [N, T]; those before the start and past the end are the first and
        last frame.

    Raises:
        ValueError: If a count is less than 1.
    """
    check_counts(num_frames, clip_length, stride, interval)
    centers = np.arange(interval // 2, num_frames, interval)
    offsets = stride * (np.arange(clip_length) - clip_length // 2)
    return np.clip(centers[:, None] + offsets[None], 0, num_frames - 1)


def pyslowfast_clips(
    num_frames: int,
    *,
    clip_length: int,
    stride: int,
    num_clips: int,
    rate_ratio: float = 1.0,
    offset: bool = False,
) -> np.ndarray:
    """Returns the clips of a test with facebookresearch/SlowFast.

    A clip spans T * stride frames at the model's rate, in fractions of the video's
    frames. Clip i of N starts at i / N of the room that it leaves, so that the last one
    does not reach the end; with `offset` (MViT) the first and last touch the ends.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        stride: Frames from one to the next at the model's rate.
        num_clips: Clips N.
        rate_ratio: Rate of the video over that of the model.
        offset: DATA.USE_OFFSET_SAMPLING.

    Returns:
        Indices, int64 [N, T]; past the end the last frame is repeated.

    Raises:
        ValueError: If a count is less than 1.

    Example:
        >>> pyslowfast_clips(100, clip_length=3, stride=10, num_clips=2).tolist()
        [[0, 14, 29], [35, 49, 64]]

    References:
        slowfast/datasets/decoder.py: `get_start_end_idx`, `temporal_sampling`.
    """
    check_counts(num_frames, clip_length, stride, num_clips)
    span = clip_length * stride * rate_ratio
    room = max(num_frames - span, 0.0)
    if not offset:
        starts = [room * i / num_clips for i in range(num_clips)]
    elif num_clips == 1:
        starts = [float(np.floor(room / 2))]
    else:
        step = np.floor(room / (num_clips - 1))
        starts = [float(i * step) for i in range(num_clips)]
    frames = [_linspace(start, start + span - 1, clip_length) for start in starts]
    return np.clip(np.stack(frames), 0, num_frames - 1).astype(np.int64)


def pyslowfast_segments(
    num_frames: int, *, segments: int, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Returns the clip of facebookresearch/SlowFast on Something-Something v2.

    Args:
        num_frames: Frames in the video.
        segments: Parts T; the centre of each is taken, rounded down.
        rng: Where randomness comes from in training; None tests.

    Returns:
        Indices, int64 [1, T].

    Raises:
        ValueError: If a count is less than 1.

    References:
        slowfast/datasets/ssv2.py, `get_seq_frames`.
    """
    check_counts(num_frames, segments)
    part = (num_frames - 1) / segments
    edges = np.round(part * np.arange(segments + 1)).astype(np.int64)
    if rng is None:
        return ((edges[:-1] + edges[1:]) // 2)[None]
    return rng.integers(edges[:-1], edges[1:], endpoint=True)[None]


def torchvision_clips(
    num_frames: int, *, clip_length: int, num_clips: int, rate_ratio: float = 1.0
) -> np.ndarray:
    """Returns the clips of torchvision's video classification reference.

    The video is resampled first; its clips of T frames that follow each other start at
    every resampled frame, and N of them are taken evenly, rounded down.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        num_clips: Clips N.
        rate_ratio: Rate of the video over that of the model, such as 2 for 30 to 15.

    Returns:
        Indices, int64 [N, T]. torchvision leaves out videos that are too short; here
        they are looped.

    Raises:
        ValueError: If a count is less than 1.

    References:
        pytorch/vision, torchvision/datasets/video_utils.py (`VideoClips`) and
        samplers/clip_sampler.py (`UniformClipSampler`).
    """
    check_counts(num_frames, clip_length, num_clips)
    if float(rate_ratio).is_integer():
        resampled = np.arange(0, num_frames, int(rate_ratio))
    else:
        count = max(1, int(num_frames / rate_ratio))
        steps = np.arange(count, dtype=np.float32) * np.float32(rate_ratio)
        resampled = np.floor(steps).astype(np.int64)
    room = max(len(resampled) - clip_length, 0)
    starts = np.floor(_linspace(0.0, float(room), num_clips)).astype(np.int64)
    places = (starts[:, None] + np.arange(clip_length)[None]) % len(resampled)
    return np.minimum(resampled[places], num_frames - 1)


def dmvr_clips(
    num_frames: int, *, clip_length: int, stride: int, num_clips: int
) -> np.ndarray:
    """Returns the clips of DMVR at test time, as Scenic takes them.

    A clip spans T * stride frames. Several start evenly between the first frame and the
    last possible start, rounded down; a single one lies in the middle.

    Args:
        num_frames: Frames in the video.
        clip_length: Frames T in a clip.
        stride: Frames from one to the next.
        num_clips: Clips N.

    Returns:
        Indices, int64 [N, T]; a short video is looped.

    Raises:
        ValueError: If a count is less than 1.

    References:
        google-deepmind/dmvr, dmvr/processors.py: `sample_linspace_sequence`,
        `sample_sequence`.
    """
    check_counts(num_frames, clip_length, stride, num_clips)
    room = max(num_frames - clip_length * stride, 0)
    if num_clips == 1:
        starts = np.array([room // 2])
    else:
        starts = _linspace(0.0, float(room), num_clips).astype(np.int64)
    return (starts[:, None] + stride * np.arange(clip_length)[None]) % num_frames


def _repeat_last(frames: np.ndarray, num_frames: int) -> np.ndarray:
    last = np.max(np.where(frames < num_frames, frames, 0), axis=1, keepdims=True)
    return np.where(frames < num_frames, frames, last)


def _linspace(start: float, stop: float, count: int) -> np.ndarray:
    """torch.linspace in float32, which counts from both ends to the middle."""
    first, last = np.float32(start), np.float32(stop)
    if count == 1:
        return np.array([first])
    step = np.float32((last - first) / np.float32(count - 1))
    index = np.arange(count)
    up = first + step * index.astype(np.float32)
    down = last - step * (count - 1 - index).astype(np.float32)
    return np.where(index < count // 2, up, down)
