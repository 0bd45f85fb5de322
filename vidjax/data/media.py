"""What PyAV reads a video from: a file, or a bucket as if it were one."""

import contextlib
import io
import threading
from collections.abc import Iterator

from vidjax.data.buckets import BucketPath, is_remote

# Ours. Files up to this size are fetched at once: reading the times of all frames goes
# through a whole file anyway, and a request costs more than these bytes.
_SMALL = 16 << 20
_kept = threading.local()  # The last small file of each thread.


@contextlib.contextmanager
def open_media(name: str) -> Iterator[str | io.BufferedIOBase]:
    """Gives what PyAV opens: the path of a file, or an object that reads a bucket.

    Args:
        name: A video file.

    Yields:
        The path, where it is on a disk. A small file of a bucket is fetched at once,
        and kept until the thread wants another; of a larger one only the blocks that
        are read are fetched.

    Raises:
        OSError: If it cannot be read.
    """
    if not is_remote(name):
        yield name
        return
    path = BucketPath(name)
    state = path.stat()
    if state.st_size > _SMALL:
        with path.open() as file:
            yield file
        return
    key = (name, state.st_size, state.st_mtime_ns)
    if getattr(_kept, "key", None) != key:
        _kept.content, _kept.key = path.read_bytes(), key
    yield io.BytesIO(_kept.content)
