"""Files read within bounds, and written whole or not at all."""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular", "read_bounded", "write_whole"]


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


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that whoever reads it, now or after a crash, sees all of it or the old one.

    Its mode is what the umask leaves of ``rw-rw-rw-``.

    Raises
    ------
    OSError
        If it cannot be written; what stood there before is untouched.
    """
    partial = path.with_name(f".{path.name}-{secrets.token_hex(8)}.partial")
    # Not by tempfile: its files are 0600 whatever the umask says.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(partial, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
