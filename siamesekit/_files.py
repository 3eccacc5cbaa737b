"""Files read within bounds, and written whole or not at all."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "alone_in",
    "is_stale",
    "mode_of",
    "open_regular",
    "read_bounded",
    "sync_folder",
    "write_whole",
]

# Seconds that a writer waits for another one to be done.
_PATIENCE = 60.0
# Seconds after which a file is stale where no lock can tell.
_STALE = 3600.0


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to be read; what is none (folder, device, pipe) is refused at once.

    Raises
    ------
    OSError
        If it cannot be opened or is no regular file.
    """
    # Without O_NONBLOCK a pipe that nobody writes to would hold us here for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return os.fdopen(handle, "rb")


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the bytes of a regular file that holds `most` of them at most.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file or is larger.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes", os.fspath(path))
    return data


def write_whole(
    path: Path, data: bytes | memoryview, mode: int = 0o666, mark: str | None = None
) -> None:
    """Write a file so that whoever reads it, now or after a crash, sees all of it or the old one.

    Until it is whole its name is ``.MARK-….partial``; a process that is killed leaves that behind.

    Parameters
    ----------
    path : Path
    data : bytes or memoryview
    mode : int
        From which the umask takes away.
    mark : str, optional
        The name of the file by default.

    Raises
    ------
    OSError
        If it cannot be written; what stood there before is untouched.
    """
    partial = path.with_name(f".{mark or path.name}-{secrets.token_hex(8)}.partial")
    # Not by tempfile: its files are 0600 whatever the umask says.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(partial, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def mode_of(path: Path) -> int:
    """Return the mode for a file that takes the place of another, from which the umask takes away.

    What its owner has closed to others stays closed to them.
    """
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o666
    except OSError:
        return 0o666


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Hold a folder against other writers that ask for it so; give whether that is sure.

    The lock is on the folder itself: it leaves no file, and ends with the process.

    Raises
    ------
    BlockingIOError
        If another one has been holding it for a minute.
    """
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.005)
        except OSError:  # a file system without locks
            return False


def is_stale(file: Path) -> bool:
    """Return whether a file is so old that whoever was writing it is gone."""
    return time.time() - file.lstat().st_mtime > _STALE


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can do that."""
    # Without this a power cut could keep a new file and lose what it names.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
