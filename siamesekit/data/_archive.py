"""Files of a zip archive or of its extracted folder, read alike."""

import os
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["Files", "find_source", "open_files"]

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class Files:
    """The files of a source, by their paths below the folders that all of them share.

    An archive may hold ``Greek/…`` or ``images_background/Greek/…``; both read alike. What an
    operating system adds (``__MACOSX``, names with a leading dot) is passed over.

    Attributes
    ----------
    source : Path
    names : list of str
        Sorted paths, with ``/`` between folders.
    """

    def __init__(self, source: Path, entries: Iterable[str], read: Callable[[str], bytes]) -> None:
        kept = [entry for entry in entries if not _is_clutter(entry)]
        shared = _shared_folder(kept)
        self.source = source
        self._entries = {entry.removeprefix(shared): entry for entry in kept}
        self._read = read
        self.names = sorted(self._entries)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises
        ------
        CorruptDatasetError
            If there is no such file or it is damaged; the source and the file are named.
        """
        if name not in self._entries:
            raise CorruptDatasetError(f"{self.source} is incomplete: it has no {name}.")
        try:
            return self._read(self._entries[name])
        except _UNREADABLE as error:
            raise CorruptDatasetError(f"{self.source}: {name} cannot be read: {error}") from error


def find_source(root: str | os.PathLike[str], name: str, origin: str) -> Path:
    """Return ``root/name`` (a folder), ``root/name.zip``, or `root` itself if it is called so.

    Parameters
    ----------
    root : path-like
    name : str
    origin : str
        Where the archive can be had, for the error.

    Raises
    ------
    DatasetNotFoundError
        If there is neither.
    """
    folder = Path(root)
    for path in (folder / name, folder / f"{name}.zip"):
        if path.exists():
            return path
    if folder.name in (name, f"{name}.zip") and folder.exists():
        return folder
    raise DatasetNotFoundError(
        f"root must hold {name}.zip or the folder {name} extracted from it ({origin}); "
        f"{folder} has neither."
    )


@contextmanager
def open_files(source: Path) -> Iterator[Files]:
    """Open a folder or a zip archive.

    Raises
    ------
    CorruptDatasetError
        If it is neither.
    """
    if source.is_dir():
        yield Files(source, _files_below(source), lambda entry: (source / entry).read_bytes())
        return
    try:
        archive = zipfile.ZipFile(source)
    except _UNREADABLE as error:
        raise CorruptDatasetError(f"{source} is no whole zip archive: {error}") from error
    with archive:
        entries = [entry for entry in archive.namelist() if not entry.endswith("/")]
        yield Files(source, entries, archive.read)


def _files_below(folder: Path) -> Iterator[str]:
    for parent, _, files in os.walk(folder):
        below = Path(parent).relative_to(folder)
        yield from ((below / file).as_posix() for file in files)


def _is_clutter(entry: str) -> bool:
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(entry).parts)


def _shared_folder(entries: list[str]) -> str:
    """Return the folders that all entries begin with, as ``"a/b/"`` or ``""``."""
    if not entries:
        return ""
    shared = posixpath.commonpath([posixpath.dirname(entry) for entry in entries])
    return f"{shared}/" if shared else ""
