"""Binary images of an archive, kept at a bit a pixel so that the next load is fast."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from siamesekit.data.download import cache_folder

__all__ = ["PixelCache"]

# Part of the key: a file of another layout is never read.
_LAYOUT = "1"


class PixelCache:
    """Names and packed pixels of one source, beside it or in the user's cache.

    The key holds the path, size and time of every file of the source, so that a source that has
    changed is read afresh.

    Parameters
    ----------
    source : Path
        A zip archive, or the folder extracted from it.
    row_bytes : int
        Bytes of packed pixels of each name.
    """

    def __init__(self, source: Path, row_bytes: int) -> None:
        self.row_bytes = row_bytes
        digest = hashlib.sha256(_LAYOUT.encode())
        for line in sorted(_state(source)):
            digest.update(line.encode("utf-8", "surrogateescape"))
        name = f"{source.stem}-{digest.hexdigest()[:16]}.npz"
        self._beside = source.resolve().parent / f".siamesekit-{name}"
        self._paths = [self._beside, cache_folder() / "pixels" / name]

    def read(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return names (n,) and packed rows (n, row_bytes), or None where nothing whole is."""
        for path in self._paths:
            try:
                with np.load(path, allow_pickle=False) as stored:
                    names, rows = stored["names"], stored["rows"]
            except Exception:  # absent, or damaged in one of many ways: it is made again
                continue
            if rows.shape == (len(names), self.row_bytes) and rows.dtype == np.uint8:
                return names, rows
        return None

    def write(self, names: np.ndarray, rows: np.ndarray) -> None:
        """Store in the first place that may be written; if there is none, do without."""
        for path in self._paths:
            if path == self._beside and not _is_writable(path.parent):
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_whole(path, names, rows)
            except OSError:
                continue
            return


def _state(source: Path) -> Iterator[str]:
    """Yield a line of path, size and time for each file of a source."""
    if not source.is_dir():
        state = source.stat()
        yield f"{source.resolve()} {state.st_size} {state.st_mtime_ns}\n"
        return
    folders = [source.resolve()]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif not entry.name.startswith("."):
                    state = entry.stat()
                    yield f"{entry.path} {state.st_size} {state.st_mtime_ns}\n"


def _is_writable(folder: Path) -> bool:
    # Root may write where the mode forbids it, but data marked read-only is to stay as it is.
    return bool(folder.stat().st_mode & stat.S_IWUSR) and os.access(folder, os.W_OK)


def _write_whole(path: Path, names: np.ndarray, rows: np.ndarray) -> None:
    """Write under another name first, so that a reader never sees half a file."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, names=names, rows=rows)
        os.chmod(partial, 0o644)  # mkstemp keeps it from the others who share the data
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
