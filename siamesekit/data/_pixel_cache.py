"""Binary images of an archive, kept at a bit a pixel so that the next load is fast."""

import hashlib
import io
import zipfile
from contextlib import suppress

import numpy as np

from siamesekit._files import read_bounded, write_whole
from siamesekit.data.download import cache_folder

__all__ = ["PixelCache"]

# Part of the key: a file of another layout is never read.
_LAYOUT = "2"
# Of the names, and of what the file adds to its arrays.
_OVERHEAD = 2**20


class PixelCache:
    """Names and packed pixels of one source, in the user's cache folder.

    The key is the content of the source, so that one that has changed is read afresh, wherever it
    lies. What is stored carries a checksum of itself and of the key: a file that is damaged, was
    edited, or is of another source is none.

    Parameters
    ----------
    name : str
        What the file's name begins with.
    digest : bytes
        Of the source; see `source_digest`.
    n_rows, row_bytes : int
        How many names there are, and the bytes of packed pixels of each.
    """

    def __init__(self, name: str, digest: bytes, n_rows: int, row_bytes: int) -> None:
        self.shape = (n_rows, row_bytes)
        self._key = hashlib.sha256(_LAYOUT.encode() + digest).digest()
        folder = cache_folder()
        self.path = folder and folder / "pixels" / f"{name}-{self._key.hex()[:16]}.npz"

    def read(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return names (n,) and packed rows (n, row_bytes), or None where nothing whole is."""
        if self.path is None:
            return None
        try:
            data = read_bounded(self.path, self.shape[0] * self.shape[1] + _OVERHEAD)
            names, rows, checksum = _unpacked(data)
        except Exception:  # absent, or damaged in one of many ways: it is made again
            return None
        whole = rows.shape == self.shape and rows.dtype == np.uint8 and names.dtype.kind == "U"
        return (names, rows) if whole and checksum == self._checksum(names, rows) else None

    def write(self, names: np.ndarray, rows: np.ndarray) -> None:
        """Store, where there is a folder that may be written; else do without."""
        if self.path is None:
            return
        file = io.BytesIO()
        checksum = np.frombuffer(self._checksum(names, rows), dtype=np.uint8)
        np.savez(file, names=names, rows=rows, checksum=checksum)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, file.getbuffer())

    def _checksum(self, names: np.ndarray, rows: np.ndarray) -> bytes:
        digest = hashlib.sha256(self._key)
        digest.update("\n".join(names.tolist()).encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(rows).data)
        return digest.digest()


def _unpacked(data: bytes) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Return names, rows and checksum; only what lies there as it is, so that nothing swells."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise zipfile.BadZipFile("a pixel cache is not compressed")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return stored["names"], stored["rows"], stored["checksum"].tobytes()
