"""Paths in buckets, such as gs://bucket/videos, beside those on a disk.

Everything goes through `tf.io.gfile`, which brings gs:// (and ram://, memory that acts
as a bucket, for tests). A `BucketPath` has the part of `pathlib.Path` that vidjax uses,
so that readers of lists, videos and shards need not know where they are.
"""

import contextlib
import functools
import glob
import io
import os
import pathlib
import stat
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from vidjax.data.backends import import_tensorflow

StrPath = str | os.PathLike[str]

_BLOCK = 1 << 20  # Ours: bytes of a request where only parts are wanted.
# Ours: endings of names that are taken for files without asking.
_FILES = (
    *(".mp4", ".avi", ".webm", ".mkv", ".mov", ".txt", ".csv", ".json", ".jpg"),
    *(".tfrecord", ".npz", ".npy"),
)


class BucketPath(pathlib.PurePosixPath):
    """A path with a scheme, such as gs://bucket/name."""

    __slots__ = ()

    def __str__(self) -> str:
        """Returns the path; pathlib makes one slash of the two behind the scheme."""
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        """Returns the path."""
        return str(self)

    def exists(self) -> bool:
        """Tells whether there is a file or a folder."""
        return self._ask("exists")

    def is_dir(self) -> bool:
        """Tells whether it is a folder."""
        return self._ask("isdir")

    def is_file(self) -> bool:
        """Tells whether it is a file."""
        try:
            return stat.S_ISREG(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def iterdir(self) -> "Iterator[BucketPath]":
        """Yields what is in the folder."""
        for name in self._ask("listdir"):
            yield self / name.rstrip("/")

    def glob(self, pattern: str) -> "Iterator[BucketPath]":
        """Lists what is in the folder, if it is there, and has such a name.

        Args:
            pattern: Names, with "*".

        Yields:
            Paths of files and folders.
        """
        if self.is_dir():
            yield from (path for path in self.iterdir() if path.match(pattern))

    def rglob(self, pattern: str) -> "Iterator[BucketPath]":
        """Lists files of such a name, however deep.

        Args:
            pattern: Names, with "*".

        Yields:
            Their paths.
        """
        for folder, _, files in walk(self):
            for file in files:
                path = BucketPath(folder) / file
                if path.match(pattern):
                    yield path

    def stat(self) -> types.SimpleNamespace:
        """Returns `st_size` in bytes, `st_mtime_ns` and the kind in `st_mode`."""
        facts = self._ask("stat")
        return types.SimpleNamespace(
            st_size=int(facts.length),
            st_mtime_ns=int(facts.mtime_nsec),
            st_mode=stat.S_IFDIR if facts.is_directory else stat.S_IFREG,
        )

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens the file for reading bytes; only the blocks that are read are fetched.

        Args:
            mode: "rb".

        Returns:
            A file object that seeks.

        Raises:
            ValueError: If the mode is another.
            OSError: If there is no such file.
        """
        if mode != "rb":
            raise ValueError(f"A file in a bucket is opened as 'rb', got {mode!r}.")
        size = self.stat().st_size
        return io.BufferedReader(_BucketFile(str(self), size), _BLOCK)

    def read_bytes(self) -> bytes:
        """Returns what is in the file."""
        gfile = import_tensorflow().io.gfile
        with _os_errors(str(self)), gfile.GFile(str(self), "rb") as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """Returns the text in the file.

        Args:
            encoding: Of the bytes.

        Returns:
            The text; lines end with a line feed.
        """
        return self.read_bytes().decode(encoding).replace("\r\n", "\n")

    def write_bytes(self, content: bytes) -> None:
        """Writes the file.

        Args:
            content: Its bytes.
        """
        gfile = import_tensorflow().io.gfile
        with _os_errors(str(self)), gfile.GFile(str(self), "wb") as file:
            file.write(content)

    def mkdir(self, *, parents: bool = True, exist_ok: bool = True) -> None:
        """Makes the folder, and those around it; it may be there.

        Args:
            parents: As if True.
            exist_ok: As if True.
        """
        del parents, exist_ok
        self._ask("makedirs")

    def rmdir(self) -> None:
        """Removes the folder, which is empty; a bucket may have forgotten it."""
        if self.exists():
            self._ask("rmtree")

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Removes the file.

        Args:
            missing_ok: Whether it may be missing.

        Raises:
            OSError: If it is missing and may not be.
        """
        if not (missing_ok and not self.exists()):
            self._ask("remove")

    def replace(self, target: StrPath) -> None:
        """Renames the file, in place of what is there.

        Args:
            target: Its new path.
        """
        with _os_errors(str(self)):
            rename = import_tensorflow().io.gfile.rename
            rename(str(self), os.fspath(target), overwrite=True)

    def _ask(self, name: str) -> Any:
        """Calls a function of `tf.io.gfile` with the path."""
        with _os_errors(str(self)):
            return getattr(import_tensorflow().io.gfile, name)(str(self))


AnyPath = pathlib.Path | BucketPath
"""A path on a disk or in a bucket."""


def as_path(path: StrPath) -> AnyPath:
    """Returns a path on a disk or in a bucket.

    Args:
        path: With a scheme ("gs://...") for a bucket.

    Returns:
        A `BucketPath` or a `pathlib.Path`.

    Example:
        >>> as_path("gs://bucket/a") / "b.mp4", as_path("a").name
        (BucketPath('gs://bucket/a/b.mp4'), 'a')
    """
    return BucketPath(path) if is_remote(path) else pathlib.Path(path)


def is_remote(path: StrPath) -> bool:
    """Tells whether a path has a scheme.

    Args:
        path: A path.

    Returns:
        Whether it is one in a bucket.
    """
    return "://" in os.fspath(path)


def walk(root: StrPath) -> Iterator[tuple[str, list[str], list[str]]]:
    """Goes through a folder and the folders inside, in the order of their names.

    Args:
        root: The folder; links to folders are followed.

    Yields:
        A folder, the names of the folders in it, and those of its files.

    Raises:
        OSError: If a bucket cannot be read.
    """
    if not is_remote(root):
        for folder, folders, files in os.walk(root, followlinks=True):
            folders.sort()
            yield folder, folders, sorted(files)
        return
    folder = BucketPath(root)
    listed = sorted(folder._ask("listdir"))
    inside = [name for name in listed if _is_folder(folder, name)]
    files = [name for name in listed if name not in {*inside}]
    yield str(folder), [name.rstrip("/") for name in inside], files
    for name in inside:
        yield from walk(folder / name)


def _is_folder(folder: BucketPath, name: str) -> bool:
    """Asks as seldom as it can: that is a request a name."""
    if name.endswith("/"):  # So lists Google's.
        return True
    return not name.lower().endswith(_FILES) and (folder / name).is_dir()


def join(folder: str, name: str) -> str:
    """Returns a path that a list in a folder says.

    Args:
        folder: The folder.
        name: Relative to it, or absolute, or in a bucket.

    Returns:
        The path.
    """
    return name if is_remote(name) else os.path.join(folder, name)


def make_is_file() -> Callable[[str], bool]:
    """Returns a function that tells whether a file is there, for a long list of them.

    Returns:
        The function; it lists each folder once, since to ask for each file takes long
        where files are far.
    """

    @functools.cache
    def names(folder: str) -> frozenset[str]:
        try:
            if is_remote(folder):
                return frozenset(path.name for path in as_path(folder).iterdir())
            with os.scandir(folder or ".") as entries:
                return frozenset(entry.name for entry in entries if entry.is_file())
        except OSError:
            return frozenset()

    def is_file(path: str) -> bool:
        folder, name = os.path.split(path)
        # Some disks find a name whatever its case, and some folders cannot be listed.
        return name in names(folder) or (not is_remote(path) and os.path.isfile(path))

    return is_file


def find(pattern: str) -> list[str]:
    """Returns the files whose paths match.

    Args:
        pattern: A path with "*" in its name; on a disk, in those of folders as well.

    Returns:
        Their paths, sorted.
    """
    if not is_remote(pattern):
        return sorted(glob.glob(pattern))
    path = BucketPath(pattern)
    return sorted(map(str, path.parent.glob(path.name)))


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[AnyPath]:
    """Gives a name to write first, so that a file is there whole or not at all.

    Args:
        path: The file that shall be there.

    Yields:
        A name in the same folder. Where no error comes, it becomes `path`; otherwise
        what was written is removed.
    """
    temporary = path.with_name(f"{PART}{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)  # type: ignore[arg-type]
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


PART = ".part-"
"""What names of files begin with that are not whole."""


class _BucketFile(io.RawIOBase):
    """The bytes of a file in a bucket, for `io.BufferedReader`."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._file = import_tensorflow().io.gfile.GFile(name, "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}
        place = start[whence] + offset
        with _os_errors(self._name):
            self._file.seek(place)
        return place

    def readinto(self, buffer: Any) -> int:
        with _os_errors(self._name):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def _os_errors(name: str) -> Iterator[None]:
    """Turns TensorFlow's errors into those that a disk gives."""
    errors = import_tensorflow().errors
    try:
        yield
    except errors.NotFoundError as error:
        raise FileNotFoundError(f"{name} does not exist.") from error
    except errors.OpError as error:
        raise OSError(f"{name} cannot be read or written: {error.message}") from error
