"""Files of a zip archive or of its extracted folder, read alike."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["Files", "find_source", "open_files"]


class Files(Protocol):
    """The files below a named folder."""

    def names(self) -> list[str]:
        """Return the sorted paths of all files, relative to that folder."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        ...


def find_source(root: str | os.PathLike[str], name: str) -> Path:
    """Return ``root/name`` (a folder), ``root/name.zip``, or `root` itself if it is called so.

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
        f"root must hold {name}.zip or the folder {name}; {folder} has neither."
    )


@contextmanager
def open_files(source: Path) -> Iterator[Files]:
    """Open a folder, or a zip whose entries lie below a folder of its own name.

    Raises
    ------
    CorruptDatasetError
        If the zip is damaged.
    """
    if source.is_dir():
        yield _Folder(source)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            yield _Zip(archive, source)
    except (zipfile.BadZipFile, EOFError) as error:
        raise CorruptDatasetError(f"{source} is no whole zip archive: {error}") from error


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in files)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, source: Path) -> None:
        self.archive = archive
        entries = [e for e in archive.namelist() if not e.endswith("/") and "__MACOSX" not in e]
        prefix = f"{source.stem}/"
        self.entries = {entry.removeprefix(prefix): entry for entry in entries}

    def names(self) -> list[str]:
        return sorted(self.entries)

    def read(self, name: str) -> bytes:
        return self.archive.read(self.entries[name])
