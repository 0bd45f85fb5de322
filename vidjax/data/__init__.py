"""Data: from video files, or from a seed, to batches of clips."""

from vidjax.data.clips import load_clip
from vidjax.data.decode import VideoInfo, count_frames, probe, read_frames
from vidjax.data.labels import read_labels
from vidjax.data.pipeline import eval_batches, train_batches
from vidjax.data.sources import Source, make_source
from vidjax.data.synthetic import draw_clip
from vidjax.data.timeline import VideoError

__all__ = [
    "Source",
    "VideoError",
    "VideoInfo",
    "count_frames",
    "draw_clip",
    "eval_batches",
    "load_clip",
    "make_source",
    "probe",
    "read_frames",
    "read_labels",
    "train_batches",
]
