"""Frames from video files, through PyAV: only those that are wanted."""


class VideoError(ValueError):
    """A video cannot be read; the message is one sentence that names the file."""
