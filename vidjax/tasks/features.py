"""Features of untrimmed videos: windows that slide, one vector for each."""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from vidjax import data
from vidjax.convert import load_variables
from vidjax.data.buckets import AnyPath, as_path
from vidjax.data.windows import (
    batched,
    centre_frames,
    count_windows,
    crop_centre,
    sliding_windows,
)
from vidjax.flow.encode import bytes_to_unit, flow_to_bytes
from vidjax.models.registry import clip_spec, create_model
from vidjax.ops.pixels import normalize
from vidjax.tasks.beam import run_on_beam
from vidjax.tasks.feature_files import digest_of, open_features
from vidjax.tasks.feature_options import PRESETS as PRESETS
from vidjax.tasks.feature_options import (
    FeatureOptions,
    Sidecar,
    Stream,
    options_from,
)
from vidjax.tasks.flow import FlowOptions, iter_flows
from vidjax.tasks.workdir import CONFIG, load_workdir
from vidjax.typing import ClipSpec

StrPath = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]
"""Called with a video, how many of its features are there, and of how many."""


@dataclasses.dataclass(frozen=True)
class VideoFeatures:
    """What became of one video.

    Attributes:
        video: As it was given.
        path: The file of its features [T, C], or None.
        steps: Features T.
        computed: Those of them that this call computed.
        error: Why the video could not be read, in one sentence, or None.
    """

    video: str
    path: AnyPath | None = None
    steps: int = 0
    computed: int = 0
    error: str | None = None


def extract_features(
    videos: Sequence[StrPath],
    out: StrPath,
    *,
    options: FeatureOptions,
    batch: int = 4,
    progress: Progress = lambda video, done, total: None,
    beam_options: Sequence[str] | None = None,
) -> list[VideoFeatures]:
    """Writes the features of videos, each as NAME.npy with NAME.json beside it.

    Feature t sees the frames from `stride * t` to `stride * t + window`, resized to the
    short side of the model's card and cropped in the middle. What a network says before
    its classifier ("pooled") is taken as it is. Flow t is that from frame t to the
    next; the last one is repeated. Memory does not grow with the length of a video, and
    a run that was stopped goes on where it stopped when it is called again.

    Args:
        videos: Video files, of different names.
        out: Folder for the files; made if it is not there.
        options: Networks, window and rate.
        batch: Windows that are computed at once.
        progress: Called with a video, and how many of its features are there, of all.
        beam_options: Those of Apache Beam, whose workers then take a video each; `out`
            must be a place that they see. None computes them here.

    Returns:
        What became of each video; one that cannot be read has an error, and the others
        are done.

    Raises:
        ValueError: If two videos have the same name, a number is below 1, a model or
            its weights are unknown or not those that are asked for, or a file is there
            that was made otherwise.
        ImportError: If PyAV is missing; or Apache Beam, which is in the extra "beam".
        OSError: If the pipeline fails.
    """
    _check(videos, options, batch)
    folder = as_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if beam_options is not None:
        return _extract_on_beam(videos, folder, options, batch, beam_options)
    networks = [_load(stream) for stream in options.streams]
    return [
        _extract_or_say(video, folder, networks, options, batch, progress)
        for video in videos
    ]


def _extract_or_say(
    video: StrPath,
    folder: AnyPath,
    networks: Sequence["_Network"],
    options: FeatureOptions,
    batch: int,
    progress: Progress,
) -> VideoFeatures:
    show = functools.partial(progress, os.fspath(video))
    try:
        return _extract(video, folder, networks, options, batch, show)
    except data.VideoError as error:
        return VideoFeatures(os.fspath(video), error=str(error))


def _extract_on_beam(
    videos: Sequence[StrPath],
    folder: AnyPath,
    options: FeatureOptions,
    batch: int,
    beam_options: Sequence[str],
) -> list[VideoFeatures]:
    shared = {"out": str(folder), "options": options.to_dict(), "batch": batch}
    jobs = [{"video": os.fspath(video), **shared} for video in videos]
    found = run_on_beam(_on_worker, jobs, folder=folder, options=beam_options)
    return [
        VideoFeatures(**{**row, "path": row["path"] and as_path(row["path"])})
        for row in found
    ]


def _on_worker(job: dict[str, Any]) -> dict[str, Any]:
    """Computes the features of a video; networks stay for the next."""
    options = options_from(job["options"])
    networks = [_keep(stream) for stream in options.streams]
    found = _extract_or_say(
        job["video"],
        as_path(job["out"]),
        networks,
        options,
        job["batch"],
        lambda video, done, total: None,
    )
    path = None if found.path is None else str(found.path)
    return {**dataclasses.asdict(found), "path": path}


@functools.lru_cache(maxsize=2)
def _keep(stream: Stream) -> "_Network":
    return _load(stream)


@dataclasses.dataclass(frozen=True)
class _Network:
    """A stream that is ready for windows.

    Attributes:
        stream: Its names, and the digest of its variables.
        model: A Linen module.
        variables: Its parameters and statistics.
        spec: The clip of its card, or of its run.
    """

    stream: Stream
    model: nn.Module
    variables: dict[str, Any]
    spec: ClipSpec

    @property
    def sees_flow(self) -> bool:
        """Whether its frames are flows (u, v)."""
        return self.spec.channels == 2

    def features(self, windows: np.ndarray) -> np.ndarray:
        """Maps windows [B, T, H, W, C], uint8, to features [B, D], float32."""
        pooled = _pooled(self.model, self.spec, self.variables, jnp.asarray(windows))
        return np.asarray(pooled, np.float32)


def _load(stream: Stream) -> _Network:
    if (pathlib.Path(stream.weights) / CONFIG).is_file():
        trained = load_workdir(stream.weights)
        model, variables, spec = trained.model, trained.variables, trained.spec
    else:
        variables, spec = load_variables(stream.model, stream.weights), None
        classes = int(variables["params"]["logits"]["bias"].shape[0])
        model = create_model(stream.model, num_classes=classes)
    spec = spec or clip_spec(stream.model)
    if not isinstance(spec, ClipSpec) or spec.channels not in (2, 3):
        raise ValueError(
            f"{stream.model} wants {spec}; features are computed by networks that take "
            "colours (3 channels) or one flow a frame (2)."
        )
    digest = digest_of(variables)
    if stream.weights_sha256 not in (None, digest):
        raise ValueError(
            f"The weights {stream.weights} of {stream.model} are not those that are "
            f"wanted: their SHA-256 is {digest}, not {stream.weights_sha256}."
        )
    if pathlib.Path(stream.weights).exists():  # Known from any folder.
        stream = dataclasses.replace(
            stream, weights=str(pathlib.Path(stream.weights).resolve())
        )
    stream = dataclasses.replace(stream, weights_sha256=digest)
    return _Network(stream, model, variables, spec)


def _check(videos: Sequence[StrPath], options: FeatureOptions, batch: int) -> None:
    problems = []
    if not options.streams:
        problems.append("at least one network is needed")
    for name in ("window", "stride"):
        if getattr(options, name) < 1:
            problems.append(f"{name} must be at least 1, got {getattr(options, name)}")
    if batch < 1:
        problems.append(f"batch must be at least 1, got {batch}")
    names = [pathlib.Path(video).stem for video in videos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"videos must have different names, got twice: {twice}")
    if problems:
        raise ValueError("; ".join(problems) + ".")


def _extract(
    video: StrPath,
    folder: AnyPath,
    networks: Sequence[_Network],
    options: FeatureOptions,
    batch: int,
    progress: Callable[[int, int], None],
) -> VideoFeatures:
    frames = data.count_frames(video, fps=options.fps)
    steps = count_windows(frames, window=options.window, stride=options.stride)
    about = _about(video, networks, options)
    place = folder / pathlib.Path(video).stem
    with contextlib.closing(open_features(place, about, steps=steps)) as file:
        done = file.done
        progress(done, steps)
        if done < steps:
            start = done * options.stride
            parts = [_windows(video, n, options, start, batch) for n in networks]
            for batches in zip(*parts, strict=True):
                rows = [
                    n.features(b) for n, (b, _) in zip(networks, batches, strict=True)
                ]
                file.add(np.concatenate(rows, axis=1)[: batches[0][1]])
                progress(file.done, steps)
            file.finish()
    return VideoFeatures(os.fspath(video), file.path, steps, steps - done)


def _about(
    video: StrPath, networks: Sequence[_Network], options: FeatureOptions
) -> dict[str, Any]:
    """What the file beside the features says."""
    info = data.probe(video)
    made = dataclasses.replace(options, streams=tuple(n.stream for n in networks))
    beside = Sidecar(made, options.fps or info.fps, info.duration)
    return {"video": pathlib.Path(video).name, **beside.to_dict()}


def _windows(
    video: StrPath, network: _Network, options: FeatureOptions, start: int, batch: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Batches of windows [B, T, H, W, C], uint8, from frame `start` on."""
    spec = network.spec
    if network.sees_flow:
        flows = _flow_bytes(video, spec, options, start)
        frames = (crop_centre(flow, spec.size) for flow in flows)
    else:
        frames = centre_frames(video, spec, fps=options.fps, start=start)
    windows = sliding_windows(frames, window=options.window, stride=options.stride)
    return batched(windows, batch)


def _flow_bytes(
    video: StrPath, spec: ClipSpec, options: FeatureOptions, start: int
) -> Iterator[UInt8[np.ndarray, "h w 2"]]:
    """A flow for each frame: from it to the next, and that to the last frame again."""
    pairs = data.count_frames(video, fps=options.fps) - 1
    if pairs < 1:
        raise data.VideoError(f"{video} has one frame only, and flow takes two.")
    how = FlowOptions(options.flow_method, fps=options.fps, resize=spec.short_side)
    code = np.empty(0, np.uint8)
    for flow in iter_flows(video, how, start=min(start, pairs - 1)):
        code = np.asarray(flow_to_bytes(jnp.asarray(flow)))
        if start < pairs:
            yield code
    yield code


@functools.partial(jax.jit, static_argnames=("model", "spec"))
def _pooled(
    model: nn.Module, spec: ClipSpec, variables: dict[str, Any], windows: Array
) -> Float[Array, "b d"]:
    if spec.channels == 2:
        clip = bytes_to_unit(windows)
    else:
        clip = normalize(
            windows,
            value_range=spec.value_range,
            mean=spec.mean,
            std=spec.std,
            channel_order=spec.channel_order,
        )
    _, endpoints = model.apply(variables, clip)  # type: ignore[misc]
    return jnp.asarray(endpoints["pooled"])
