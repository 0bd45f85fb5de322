"""Data: from video files, or from a seed, to batches of clips."""

from vidjax.data.decode import VideoError
from vidjax.data.pipeline import eval_batches, train_batches
from vidjax.data.sources import Source, make_source

__all__ = [
    "Source",
    "VideoError",
    "eval_batches",
    "make_source",
    "train_batches",
]
