"""Work that outgrows one machine, as an Apache Beam pipeline.

A pipeline here is a function and a list of jobs. Jobs and results are JSON files in a
folder that every machine sees, so that the graph which a runner is sent stays small:
Dataflow takes 10 MB, and a list of 650,000 videos is more.
"""

import functools
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from vidjax.data.buckets import AnyPath, as_path
from vidjax.tasks.shard_job import save_json

JobFunction = Callable[[Any], Any]


def run_on_beam(
    function: JobFunction,
    jobs: Sequence[Any],
    *,
    folder: AnyPath,
    options: Sequence[str] = (),
) -> list[Any]:
    """Calls a function for every job on the workers of a pipeline, and waits.

    A job that fails is tried again, as often as the runner says; the function has to
    bear that.

    Args:
        function: At the top of a module, which workers can import.
        jobs: What it takes, ready for JSON.
        folder: Where jobs and results are kept meanwhile; workers see it as well.
        options: Beam's, such as "--runner=DataflowRunner"; without a runner it runs
            here.

    Returns:
        What the function returned for each job, through JSON.

    Raises:
        ImportError: If Apache Beam is missing.
        OSError: If the pipeline fails.
    """
    beam = _import_beam()
    inside = folder / f".beam-{uuid.uuid4().hex}"
    inside.mkdir(parents=True, exist_ok=True)
    try:
        for number, job in enumerate(jobs):
            save_json(inside / f"{number:06d}.job", job)
        names = [str(inside / f"{number:06d}") for number in range(len(jobs))]
        chosen = beam.options.pipeline_options.PipelineOptions(list(options))
        with beam.Pipeline(options=chosen) as pipeline:
            _ = (
                pipeline
                | "jobs" >> beam.Create(names)
                | "spread" >> beam.Reshuffle()
                | "work" >> beam.Map(functools.partial(_work, function))
            )
        return [json.loads(as_path(f"{name}.result").read_text()) for name in names]
    except Exception as error:  # Each runner has errors of its own.
        reason = str(error).strip().partition("\n")[0]
        raise OSError(f"The pipeline failed: {reason}") from error
    finally:
        for path in list(inside.iterdir()):
            path.unlink()
        inside.rmdir()


def _work(function: JobFunction, name: str) -> None:
    job = json.loads(as_path(f"{name}.job").read_text())
    save_json(as_path(f"{name}.result"), function(job))


def _import_beam() -> Any:
    try:
        import apache_beam as beam
        import apache_beam.options.pipeline_options
    except ImportError as error:
        raise ImportError(
            "A pipeline takes Apache Beam, which is not installed. This command "
            'installs it: pip install "vidjax[data,beam]"'
        ) from error
    return beam
