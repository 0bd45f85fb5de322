"""One shard of a prepared set: the piece of work that a machine takes at once.

Whether a shard is written by threads here or by a worker of a Beam pipeline, it is
`write_job` that does it, so its bytes are the same.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from vidjax.data.ahead import map_ahead
from vidjax.data.buckets import AnyPath, as_path, replacing
from vidjax.data.lists import Example
from vidjax.data.prepared import encode_video, write_shard


@dataclasses.dataclass(frozen=True)
class PrepareSettings:
    """How videos become frames; all of it is part of the result.

    Attributes:
        short_side: Pixels of the short side; smaller videos keep their size, and 0
            keeps all.
        fps: Frames per second; 0 keeps the video's own.
        quality: Of the JPEGs, in [1, 100].
        shards: Files of a split; 0 makes one for each 500 videos.
    """

    short_side: int = 320
    fps: float = 0.0
    quality: int = 95
    shards: int = 0


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """A shard to write.

    Attributes:
        path: The shard.
        examples: Its videos, in their order.
        label_names: Names of the K classes.
        settings: How videos become frames.
    """

    path: str
    examples: tuple[Example, ...]
    label_names: tuple[str, ...]
    settings: PrepareSettings


def job_to_dict(job: ShardJob) -> dict[str, Any]:
    """Returns a job, ready for JSON.

    Args:
        job: The job.

    Returns:
        What `job_from_dict` takes.
    """
    return dataclasses.asdict(job)


def job_from_dict(values: dict[str, Any]) -> ShardJob:
    """Returns a job from what was in JSON.

    Args:
        values: What `job_to_dict` gave.

    Returns:
        The job.

    Example:
        >>> job = ShardJob("a", (Example("b.mp4", 0),), ("c",), PrepareSettings())
        >>> job_from_dict(json.loads(json.dumps(job_to_dict(job)))) == job
        True
    """
    return ShardJob(
        values["path"],
        tuple(Example(**example) for example in values["examples"]),
        tuple(values["label_names"]),
        PrepareSettings(**values["settings"]),
    )


def write_job(
    job: ShardJob,
    *,
    workers: int | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Writes a shard, its index and its facts; a whole one is left as it is.

    Args:
        job: The shard.
        workers: Threads; None takes one a core.
        tell: Called with the number of videos done.

    Returns:
        The facts: "sha256", "bytes", and "bad", the file and the reason of each video
        that could not be read.

    Raises:
        OSError: If it cannot be written; nothing is left of it then.
    """
    path, settings = as_path(job.path), job.settings
    facts = read_facts(path)
    if facts is not None:
        return facts
    bad: list[tuple[str, str]] = []

    def encode(example: Example) -> tuple[Example, bytes | None, str]:
        return encode_video(
            example,
            job.label_names[example.label],
            short_side=settings.short_side or None,
            fps=settings.fps or None,
            quality=settings.quality,
        )

    def good() -> Iterator[bytes]:
        encoded = map_ahead(encode, job.examples, workers=workers)
        for number, (example, record, reason) in enumerate(encoded, 1):
            if record is None:
                bad.append((example.path, reason))
            else:
                yield record
            tell(number)

    write_shard(path, good())
    facts = {"sha256": digest(path), "bytes": path.stat().st_size, "bad": bad}
    save_json(path.with_name(f"{path.name}.json"), facts)
    return facts


def read_facts(path: AnyPath) -> dict[str, Any] | None:
    """Returns what is known of a whole shard.

    Args:
        path: The shard.

    Returns:
        The facts of `write_job`, or None if the shard is not there, or not whole.
    """
    facts = path.with_name(f"{path.name}.json")
    if not (facts.is_file() and path.is_file()):
        return None
    return json.loads(facts.read_text(encoding="utf-8"))


def digest(path: AnyPath) -> str:
    """Returns the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        Hexadecimal.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_json(path: AnyPath, value: Any) -> None:
    """Writes a value as JSON, whole or not at all.

    Args:
        path: The file, on a disk or in a bucket.
        value: Dicts, lists and scalars.
    """
    with replacing(path) as temporary:
        temporary.write_bytes((json.dumps(value, indent=2) + "\n").encode())
