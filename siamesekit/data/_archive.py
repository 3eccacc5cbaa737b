"""Files of a zip archive or of its extracted folder, read alike and within bounds."""

import hashlib
import io
import os
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from siamesekit._checks import check_path
from siamesekit._files import read_bounded
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["Files", "find_source", "open_files", "source_digest"]

# Bytes of an archive; the largest of the data sets has 9.5 million.
_LARGEST_ARCHIVE = 2**26
# Bytes of a file in it, where a data set does not know better.
_LARGEST_FILE = 2**24
# Several times what any of the data sets holds; links that lead in circles have no other bound.
_MOST_ENTRIES = 200_000
# Links that lead to one another make of a few folders more paths than anybody can walk.
_MOST_FOLDERS = 10_000
# Those that give no more than they are asked for; bzip2 and LZMA unpack gigabytes to give a byte.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What an entry in the directory of a zip archive begins with.
_ENTRY_MARK = b"PK\x01\x02"


class Files:
    """The files of a source, by their paths below the folders that all of them share.

    An archive may hold ``Greek/…`` or ``images_background/Greek/…``; both read alike. What an
    operating system adds (``__MACOSX``, names with a leading dot) is passed over.

    Attributes
    ----------
    source : Path
    names : list of str
        Sorted paths, with ``/`` between folders.

    Raises
    ------
    CorruptDatasetError
        If a path is absolute or climbs (``..``), stands there twice, or there are too many.
    """

    def __init__(
        self, source: Path, entries: Iterable[str], read: Callable[[str, int], bytes]
    ) -> None:
        kept = _checked_entries(source, entries)
        shared = _shared_folder(kept)
        self.source = source
        self._entries = {path.removeprefix(shared): entry for path, entry in kept.items()}
        self._read = read
        self.names = sorted(self._entries)

    def read(self, name: str, most: int = _LARGEST_FILE) -> bytes:
        """Return the bytes of a file that holds `most` of them at most.

        Raises
        ------
        CorruptDatasetError
            If there is no such file, it is damaged or larger; the source and the file are named.
        """
        if name not in self._entries:
            raise CorruptDatasetError(f"{self.source} is incomplete: it has no {name}.")
        try:
            return self._read(self._entries[name], most)
        except Exception as error:  # zipfile and its decompressors fail in a dozen ways
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
    InvalidParameterError
        If `root` is no path.
    DatasetNotFoundError
        If there is neither.
    """
    folder = check_path("root", root)
    for path in (folder / name, folder / f"{name}.zip"):
        if os.path.exists(path):
            return path
    if folder.name in (name, f"{name}.zip") and os.path.exists(folder):
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
        If it is neither, or cannot be read.
    """
    if os.path.isdir(source):
        yield _files_of_folder(source)
        return
    content = _archive_bytes(source)
    # zipfile keeps half a kilobyte of each, before anybody can look at how many there are.
    if content.count(_ENTRY_MARK) > _MOST_ENTRIES:
        raise _too_many(source, "files", _MOST_ENTRIES)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # as above
        raise CorruptDatasetError(f"{source} is no whole zip archive: {error}") from error
    with archive:
        yield _files_of_zip(source, archive)


def source_digest(source: Path, suffix: str, most: int) -> bytes:
    """Return the SHA-256 of a zip archive, or of the files of a folder and their names.

    Parameters
    ----------
    source : Path
    suffix : str
        Of the files of a folder that count.
    most : int
        Bytes that each of these may hold.

    Raises
    ------
    CorruptDatasetError
        If the archive, or a file in the folder, cannot be read or is too large.
    """
    if not os.path.isdir(source):
        return hashlib.sha256(_archive_bytes(source)).digest()
    files = _files_of_folder(source)
    digest = hashlib.sha256()
    for name in files.names:
        if name.endswith(suffix):
            content = files.read(name, most)
            # With lengths between them, no two folders have the same run of bytes.
            head = f"{len(name)} {name} {len(content)} "
            digest.update(head.encode("utf-8", "surrogateescape"))
            digest.update(content)
    return digest.digest()


def _archive_bytes(source: Path) -> bytes:
    try:
        return read_bounded(source, _LARGEST_ARCHIVE)
    except OSError as error:
        raise CorruptDatasetError(f"{source} cannot be read: {error}") from error


def _files_of_folder(source: Path) -> Files:
    try:
        return Files(source, _files_below(source), lambda e, most: read_bounded(source / e, most))
    except OSError as error:
        raise CorruptDatasetError(f"{source} cannot be read: {error}") from error


def _files_of_zip(source: Path, archive: zipfile.ZipFile) -> Files:
    def read(entry: str, most: int) -> bytes:
        if archive.getinfo(entry).compress_type not in _METHODS:
            raise zipfile.BadZipFile("it must be stored or deflated")
        with archive.open(entry) as stream:
            data = stream.read(most + 1)
        if len(data) > most:
            raise zipfile.BadZipFile(f"it holds more than {most:,} bytes")
        return data

    return Files(source, (e for e in archive.namelist() if not e.endswith("/")), read)


def _checked_entries(source: Path, entries: Iterable[str]) -> dict[str, str]:
    """Return the entries that count by their paths, each of them once and below the source."""
    kept: dict[str, str] = {}
    for position, entry in enumerate(entries):
        if position >= _MOST_ENTRIES:
            raise _too_many(source, "files", _MOST_ENTRIES)
        if entry.startswith("/") or ".." in PurePosixPath(entry).parts:
            raise CorruptDatasetError(f"{source}: {entry} lies outside of the archive.")
        path = posixpath.normpath(entry)
        if path in kept:
            raise CorruptDatasetError(f"{source}: {entry} is there twice.")
        if not _is_clutter(path):
            kept[path] = entry
    return kept


def _files_below(folder: Path) -> Iterator[str]:
    """Yield the files below a folder; links to folders are followed, but never in a circle."""
    pending: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    n_folders = 0
    while pending:
        parent, above = pending.pop()
        n_folders += 1
        if n_folders > _MOST_FOLDERS:
            raise _too_many(folder, "folders", _MOST_FOLDERS)
        state = os.stat(parent)
        own = (state.st_dev, state.st_ino)
        if own in above:
            continue
        with os.scandir(parent) as entries:
            for entry in entries:
                # is_dir() that follows a link fails where the link leads to itself.
                folder_link = entry.is_symlink() and os.path.isdir(entry.path)
                if folder_link or entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), above | {own}))
                else:
                    yield Path(entry.path).relative_to(folder).as_posix()


def _too_many(source: Path, what: str, most: int) -> CorruptDatasetError:
    return CorruptDatasetError(f"{source} must hold {most:,} {what} at most.")


def _is_clutter(entry: str) -> bool:
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(entry).parts)


def _shared_folder(entries: Iterable[str]) -> str:
    """Return the folders that all entries begin with, as ``"a/b/"`` or ``""``."""
    folders = {posixpath.dirname(entry) for entry in entries}
    shared = posixpath.commonpath(folders) if folders else ""
    return f"{shared}/" if shared else ""
