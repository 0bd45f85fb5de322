"""`vidjax features`: untrimmed videos in, a vector for every few frames out."""

import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from vidjax.cli.count_view import CountView
from vidjax.tasks.features import PRESETS, FeatureOptions, Stream, extract_features
from vidjax.tasks.workdir import read_config


def run(argv: Sequence[str]) -> int:
    """Computes features of videos.

    Args:
        argv: Arguments after `vidjax features`.

    Returns:
        The exit code: 1 if a video could not be read; the others are done still.

    Raises:
        ValueError: If a model, its weights or a combination of flags is not usable.
    """
    return tyro.cli(
        _features,
        args=list(argv),
        prog="vidjax features",
        description="Computes features of untrimmed videos, [T, C], for localization. "
        "A run that was stopped goes on when it is called again.\n\nexample: vidjax "
        "features game.mp4 --model i3d_rgb --weights kinetics400 --out features",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _features(
    videos: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.MISSING],
    *,
    out: str,
    model: str | None = None,
    weights: str | None = None,
    workdir: pathlib.Path | None = None,
    flow_model: str | None = None,
    flow_weights: str | None = None,
    preset: Literal["thumos14_i3d"] | None = None,
    window: int = FeatureOptions.window,
    stride: int = FeatureOptions.stride,
    fps: float | None = None,
    flow_method: str = FeatureOptions.flow_method,
    batch: int = 4,
    beam: bool = False,
    beam_options: str = "",
) -> int:
    """Computes features of videos.

    Args:
        videos: Video files, of different names.
        out: Folder for NAME.npy [T, C] and NAME.json.
        model: Name of a model (`vidjax models` lists them).
        weights: A tag of its model card, the path of a file of weights, or the folder
            of a run.
        workdir: Folder that `vidjax train` made; says the model and its weights.
        flow_model: A second model, which sees flow; its features come behind.
        flow_weights: Its weights.
        preset: Models, weights, window and stride of published features.
        window: Frames that a feature sees.
        stride: Frames from one feature to the next.
        fps: Frames per second at which videos are read; their own by default.
        flow_method: How flow is computed: tvl1, tvl1_cuda or farneback.
        batch: Windows that are computed at once.
        beam: Run as an Apache Beam pipeline, a video a job; --out must be a place that
            its workers see.
        beam_options: Options of Beam in one string, such as
            --beam-options="--runner=DataflowRunner --project=P --region=R".
    """
    if preset is not None:
        options = PRESETS[preset]
        given = {"window": window, "stride": stride}
        if (model or workdir or flow_model) or given != {
            k: getattr(options, k) for k in given
        }:
            raise ValueError("--preset already says models, weights and windows.")
    else:
        if workdir is not None:
            if model is not None or weights is not None:
                raise ValueError("--workdir already says which model and weights.")
            model, weights = read_config(workdir).model, str(workdir)
        streams = _streams((model, weights), (flow_model, flow_weights))
        options = FeatureOptions(streams, window, stride)
    options = dataclasses.replace(options, fps=fps, flow_method=flow_method)
    with CountView("features") as show:
        results = extract_features(
            videos,
            out,
            options=options,
            batch=batch,
            progress=show,
            beam_options=shlex.split(beam_options) if beam or beam_options else None,
        )
    for result in results:
        if result.error:
            print(f"vidjax features: {result.error}", file=sys.stderr)
        else:
            how = (
                f"{result.computed} computed" if result.computed else "finished already"
            )
            print(f"{result.path}: {result.steps} features, {how}")
    return 1 if any(result.error for result in results) else 0


def _streams(*given: tuple[str | None, str | None]) -> tuple[Stream, ...]:
    """Reads pairs of a model and its weights."""
    streams = []
    for model, weights in given:
        if (model is None) != (weights is None):
            raise ValueError("Give a model and its weights together.")
        if model is not None and weights is not None:
            streams.append(Stream(model, weights))
    if not streams:
        raise ValueError(
            "Give --model and --weights, --workdir, --flow-model and --flow-weights, "
            "or --preset."
        )
    return tuple(streams)
