"""Fusion of finished runs: their scores of the same videos as one."""

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from vidjax.eval.stored import StoredScores, load_scores
from vidjax.eval.views import ViewScores
from vidjax.ops.fuse import FuseAt, fuse_scores
from vidjax.tasks.evaluate import SCORES, evaluate
from vidjax.tasks.judgement import EvalResult, judge
from vidjax.tasks.workdir import read_config
from vidjax.typing import Views


def fuse_runs(
    workdirs: Sequence[str | pathlib.Path],
    *,
    weights: Sequence[float] | None = None,
    at: FuseAt = "logits",
) -> EvalResult:
    """Adds the scores of several runs, such as one on colours and one on flow.

    A run that was not evaluated yet is evaluated first. The views of a video are joined
    before runs are.

    Args:
        workdirs: Folders of finished runs on the same data.
        weights: Weight of each run; None weighs all alike.
        at: "logits" adds scores before softmax, averaged over views, "softmax"
            probabilities, averaged over views.

    Returns:
        As `vidjax.evaluate`.

    Raises:
        ValueError: If there is one run only, a folder is no run, or the runs are not of
            the same videos and classes.
    """
    if len(workdirs) < 2:
        raise ValueError(f"Expected two runs or more to fuse, got {len(workdirs)}.")
    runs = [_scores(pathlib.Path(workdir)) for workdir in workdirs]
    for workdir, run in zip(workdirs[1:], runs[1:], strict=True):
        _check_same(runs[0], run, str(workdirs[0]), str(workdir))
    fused = fuse_scores(
        [jnp.asarray(run.scores.log_probabilities(at), jnp.float32) for run in runs],
        weights=weights or (1.0,) * len(runs),
        at=at,
    )
    seen = runs[0].scores.present
    for run in runs[1:]:
        seen = seen & run.scores.present
    joined = ViewScores(len(seen), 1, fused.shape[-1], average="logits")
    joined.logits, joined.seen = np.asarray(fused)[:, None], seen[:, None]
    models = " + ".join(run.model for run in runs)
    views = Views(average="logits", name=f"fusion of {models}")
    first = runs[0]
    stored = StoredScores(
        joined, first.labels, first.label_names, first.paths, views, models
    )
    return judge(stored)


def _scores(workdir: pathlib.Path) -> StoredScores:
    if not (workdir / SCORES).is_file():
        evaluate(read_config(workdir), workdir)
    return load_scores(workdir / SCORES)


def _check_same(
    one: StoredScores, other: StoredScores, first: str, second: str
) -> None:
    same = {
        "videos": one.paths == other.paths,
        "classes": one.label_names == other.label_names,
        "labels": np.array_equal(one.labels, other.labels),
    }
    differing = [name for name, equal in same.items() if not equal]
    if differing:
        raise ValueError(
            f"The runs {first} and {second} cannot be fused: their "
            f"{' and '.join(differing)} differ."
        )
