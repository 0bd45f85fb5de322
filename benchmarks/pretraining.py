"""Does pre-training without labels help a small VideoMAE? An experiment in minutes.

    python benchmarks/pretraining.py --workdir runs/pretraining

A masked autoencoder learns to fill in hidden blocks of `synthetic_motion`, without its
labels. Then the same classifier is trained twice on a few labelled clips, by the same
recipe and for as many steps: from random weights, and from the autoencoder's encoder.
The second part is repeated for each seed. Prints one line of JSON a run, and the means
at the end. Called again, it goes on where it stopped.
"""

import dataclasses
import json
import pathlib
import statistics
import time

import tyro

import vidjax
from vidjax.config import (
    Config,
    DataConfig,
    LogConfig,
    OptimConfig,
    SyntheticConfig,
)
from vidjax.tasks.fit import FitResult


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
        mask_ratio: Share of the 16 places of a map that is hidden; with the paper's 0.9
            one would be left.
    """

    workdir: pathlib.Path
    seeds: tuple[int, ...] = (0, 1, 2)
    pretrain_clips: int = 4096
    pretrain_steps: int = 2000
    pretrain_rate: float = 4e-3
    labelled_clips: int = 512
    tune_steps: int = 300
    tune_rates: tuple[float, ...] = (2e-3,)
    eval_clips: int = 300
    batch_size: int = 32
    mask_ratio: float = 0.5


def main(experiment: Experiment) -> None:
    """Runs the experiment and prints what it shows.

    Args:
        experiment: What is compared.
    """
    found: dict[tuple[str, float], list[float]] = {}
    pretrained = _fit(_pretraining(experiment), experiment.workdir / "pretraining")
    losses = [x["loss"] for x in pretrained.history if x["group"] == "eval"]
    _tell(run="pretraining", held_out_loss=losses)
    for seed in experiment.seeds:
        for rate in experiment.tune_rates:
            for start in ("scratch", "pretrained"):
                init = str(pretrained.workdir) if start == "pretrained" else None
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
        for start in ("scratch", "pretrained")
    }
    _tell(best_of_rates=best, difference=best["pretrained"] - best["scratch"])


def _data(experiment: Experiment, clips: int, seed: int) -> DataConfig:
    return DataConfig(
        source="synthetic_motion",
        batch_size=experiment.batch_size,
        eval_batch_size=100,
        num_frames=8,
        size=32,
        flip_rate=0.0,  # Left and right are classes.
        synthetic=SyntheticConfig(
            num_train=clips, num_eval=experiment.eval_clips, seed=seed
        ),
    )


def _pretraining(experiment: Experiment) -> Config:
    return Config(
        model="videomae_pretrain_tiny",
        model_args={"mask_ratio": experiment.mask_ratio},
        objective="masked_pixels",
        data=_data(experiment, experiment.pretrain_clips, seed=1),
        optim=OptimConfig(
            name="adamw",
            learning_rate=experiment.pretrain_rate,
            warmup_steps=experiment.pretrain_steps // 20,
            b2=0.95,
            weight_decay=0.05,
            decay="layers",
        ),
        steps=experiment.pretrain_steps,
        eval_every=max(experiment.pretrain_steps // 5, 1),
        save_every=experiment.pretrain_steps,
        log=LogConfig(every=50),
    )


def _tuning(experiment: Experiment, seed: int, rate: float, init: str | None) -> Config:
    return Config(
        model="videomae_tiny",
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
