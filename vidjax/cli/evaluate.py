"""`vidjax evaluate`: a config and weights in, accuracy out."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vidjax.cli.arguments import ConfigFlags, run_with_config
from vidjax.config import Config

if TYPE_CHECKING:
    from vidjax.tasks.judgement import EvalResult


def run(argv: Sequence[str]) -> int:
    """Tests a model.

    Args:
        argv: Arguments after `vidjax evaluate`: CONFIG, overrides, and --workdir DIR or
            --weights FILE; or --fuse and folders of runs; or --predictions and
            --ground-truth.

    Returns:
        The exit code.
    """
    if "--fuse" in argv:
        return tyro.cli(
            _fuse,
            args=list(argv),
            prog="vidjax evaluate",
            description="Adds the scores of finished runs, such as one on colours and "
            "one on flow.\n\nexample: vidjax evaluate --fuse runs/rgb runs/flow "
            "--weights 1 1.5",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    if "--predictions" in argv:
        from vidjax.cli.evaluate_segments import run as run_segments

        return run_segments(argv)
    return run_with_config(
        argv,
        _make_command,
        prog="vidjax evaluate",
        description="Tests a model on the held-out videos of a config, over the views "
        "of its card: top-1, top-5, mean class accuracy, confusion matrix.\n\n"
        "example: vidjax evaluate quickstart --workdir runs/quickstart\n"
        "and again, joined otherwise: vidjax evaluate quickstart --join "
        "runs/quickstart/scores.npz --eval.average logits\n"
        "and runs together: vidjax evaluate --fuse runs/rgb runs/flow --weights 1 1.5\n"
        "and segments of any detector: vidjax evaluate --predictions found.json "
        "--ground-truth thumos14.json --dataset thumos14 --subset test",
    )


def _fuse(
    *,
    fuse: tuple[pathlib.Path, ...],
    weights: tuple[float, ...] = (),
    at: Literal["logits", "softmax"] = "logits",
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Fuses.

    Args:
        fuse: Folders of finished runs on the same data.
        weights: Weight of each; all alike by default.
        at: "logits" adds scores before softmax, "softmax" probabilities.
        json_: Print one JSON object and nothing else.
    """
    from vidjax.tasks.fuse import fuse_runs

    return _show(fuse_runs(fuse, weights=weights or None, at=at), json_)


def _show(result: "EvalResult", as_json: bool) -> int:
    from vidjax.cli.progress import show_evaluation

    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        show_evaluation(result)
    return 0


def _make_command(default: Config) -> Callable[..., int]:
    def evaluate(
        *,
        workdir: pathlib.Path | None = None,
        weights: str | None = None,
        scores: pathlib.Path | None = None,
        join: pathlib.Path | None = None,
        json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
        config: ConfigFlags = default,
    ) -> int:
        """Tests.

        Args:
            workdir: Folder of a training run; its best model is tested.
            weights: Tag of the model card, or file of weights, to test instead.
            scores: File for the scores of every view; by default scores.npz of the
                workdir. Of a detector: for what it finds, by default predictions.json.
            join: Such a file: its scores are joined as --eval.average says, and no
                video is read.
            json_: Print one JSON object and nothing else.
            config: The experiment.
        """
        from vidjax.tasks.evaluate import evaluate as run_evaluation
        from vidjax.tasks.judgement import join_scores

        if config.objective == "localization":
            from vidjax.cli.evaluate_segments import run_detector

            return run_detector(config, workdir, weights, scores, as_json=json_)
        if join is not None:
            result = join_scores(join, average=config.eval.average)
        else:
            result = run_evaluation(config, workdir, weights, scores=scores)
        return _show(result, json_)

    return evaluate
