"""Does pre-training without labels help a small VideoMAE? An experiment in minutes.

    python benchmarks/pretraining.py --workdir runs/pretraining

A masked autoencoder learns to fill in hidden blocks of `synthetic_motion`, without its
labels. Then the same classifier is trained on a few labelled clips, by the same recipe
and for as many steps, from three starts: random weights, the encoder of the autoencoder
and its encoder before it learned anything, since an autoencoder's kernels start larger
than a classifier's. Repeated for each seed and learning rate. Prints one line of JSON a
run, and the means at the end. Called again, it goes on where it stopped.

Its models are its own: registered here, they are used by name like any other.
"""

import dataclasses
import json
import pathlib
import statistics
import time
from typing import Any

import tyro

import vidjax
from vidjax.config import (
    Config,
    DataConfig,
    LogConfig,
    OptimConfig,
    SyntheticConfig,
)
from vidjax.models.registry import register
from vidjax.models.videomae import CARD, Layout, VideoMAE
from vidjax.models.videomae_pretrain import VideoMAEPretrain
from vidjax.protocols import protocol
from vidjax.tasks.fit import FitResult
from vidjax.typing import ClipSpec

# A token is a tube: 4 x 4 pixels over all 8 frames, since a hidden place is hidden in
# all of them anyway. So 8 x 8 tokens a clip of 32 pixels, each with motion in it.
_LAYOUT = Layout(64, 4, 2, 64, 2, 2, patch=(8, 4, 4))
_SMALL: dict[str, Any] = {**CARD, "clip": ClipSpec(8, 1, 32)}


@register(params=225_098, gmacs=0.01625, **_SMALL)
def videomae_tubes(**kwargs: Any) -> VideoMAE:
    """VideoMAE of four blocks on tubes of 4 x 4 pixels."""
    return VideoMAE(**{"num_classes": 10, "layout": _LAYOUT, **kwargs})


@register(
    params=353_536,
    gmacs=0.01343,
    **{**_SMALL, "family": "videomae_pretrain", "views": protocol("center")},
)
def videomae_tubes_pretrain(**kwargs: Any) -> VideoMAEPretrain:
    """Its masked autoencoder, which predicts the pixels themselves."""
    small = {"num_classes": 384, "layout": _LAYOUT, "targets": "pixels"}
    return VideoMAEPretrain(**{**small, **kwargs})


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is compared. All numbers are ours.

    Attributes:
        workdir: Folder of the runs.
        seeds: Of the classifiers: initial parameters and order.
        pretrain_clips: Clips without labels.
        pretrain_steps: Updates of the autoencoder.
        pretrain_rate: Largest learning rate of the autoencoder.
        labelled_clips: Clips with labels; others than those without.
        tune_steps: Updates of a classifier.
        tune_rates: Largest learning rates of a classifier; each start is tried with
            each.
        eval_clips: Held-out clips.
        batch_size: Clips in a batch.
        mask_ratio: Share of the 64 places of a map that is hidden.
    """

    workdir: pathlib.Path
    seeds: tuple[int, ...] = (0, 1, 2)
    pretrain_clips: int = 8192
    pretrain_steps: int = 3000
    pretrain_rate: float = 3e-3
    labelled_clips: int = 256
    tune_steps: int = 300
    tune_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    eval_clips: int = 1000
    batch_size: int = 32
    mask_ratio: float = 0.75


def main(experiment: Experiment) -> None:
    """Runs the experiment and prints what it shows.

    Args:
        experiment: What is compared.
    """
    found: dict[tuple[str, float], list[float]] = {}
    untrained = _fit(_untrained(experiment), experiment.workdir / "untrained")
    pretrained = _fit(_pretraining(experiment), experiment.workdir / "pretraining")
    losses = [x["loss"] for x in pretrained.history if x["group"] == "eval"]
    _tell(run="pretraining", held_out_loss=losses)
    for seed in experiment.seeds:
        for rate in experiment.tune_rates:
            for start, init in (
                ("scratch", None),
                ("untrained", str(untrained.workdir)),
                ("pretrained", str(pretrained.workdir)),
            ):
                config = _tuning(experiment, seed, rate, init)
                folder = experiment.workdir / f"{start}_{rate:g}_seed{seed}"
                result = _fit(config, folder)
                found.setdefault((start, rate), []).append(result.metrics["top1"])
    for (start, rate), top1 in found.items():
        spread = statistics.stdev(top1) if len(top1) > 1 else 0.0
        _tell(start=start, rate=rate, mean_top1=statistics.mean(top1), stdev=spread)
    means = {key: statistics.mean(top1) for key, top1 in found.items()}
    best = {
        start: max(mean for (kind, _), mean in means.items() if kind == start)
        for start, _ in found
    }
    _tell(best_of_rates=best)


def _data(experiment: Experiment, clips: int, seed: int) -> DataConfig:
    return DataConfig(
        source="synthetic_motion",
        batch_size=experiment.batch_size,
        eval_batch_size=250,
        num_frames=8,
        size=32,
        flip_rate=0.0,  # Left and right are classes.
        synthetic=SyntheticConfig(
            num_train=clips, num_eval=experiment.eval_clips, seed=seed
        ),
    )


def _pretraining(experiment: Experiment) -> Config:
    return Config(
        model="videomae_tubes_pretrain",
        model_args={"mask_ratio": experiment.mask_ratio},
        objective="masked_pixels",
        data=_data(experiment, experiment.pretrain_clips, seed=1),
        optim=OptimConfig(
            name="adamw",
            learning_rate=experiment.pretrain_rate,
            warmup_steps=experiment.pretrain_steps // 20,
            b2=0.99,
            weight_decay=0.05,
            decay="layers",
        ),
        steps=experiment.pretrain_steps,
        eval_every=max(experiment.pretrain_steps // 5, 1),
        save_every=max(experiment.pretrain_steps // 10, 1),
        log=LogConfig(every=50),
    )


def _untrained(experiment: Experiment) -> Config:
    """The autoencoder after one step at a rate of zero."""
    config = _pretraining(experiment)
    optim = dataclasses.replace(config.optim, learning_rate=0.0, warmup_steps=0)
    return dataclasses.replace(config, steps=1, optim=optim)


def _tuning(experiment: Experiment, seed: int, rate: float, init: str | None) -> Config:
    return Config(
        model="videomae_tubes",
        init=init,
        data=_data(experiment, experiment.labelled_clips, seed=2),
        optim=OptimConfig(
            name="adamw",
            learning_rate=rate,
            warmup_steps=experiment.tune_steps // 20,
            weight_decay=0.05,
            decay="layers",
        ),
        steps=experiment.tune_steps,
        eval_every=experiment.tune_steps,
        save_every=experiment.tune_steps,
        seed=seed,
        log=LogConfig(every=50),
    )


def _fit(config: Config, folder: pathlib.Path) -> FitResult:
    began = time.perf_counter()
    result = vidjax.fit(config, folder)
    seconds = round(time.perf_counter() - began, 1)
    _tell(run=str(folder), seconds=seconds, metrics=result.metrics)
    return result


def _tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Experiment, description=__doc__))
