"""A user's own pictures: a folder a class."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from siamesekit._checks import check_path
from siamesekit.data._pictures import SUFFIXES, Pictures
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["load_image_folder", "stack_pictures"]

# What file managers leave behind.
_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_MOST_FILES = 1_000_000
_NAMED = 5


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    mode: str = "grey",
    size: int | tuple[int, int] | None = None,
    invert: bool = False,
) -> ImageSet:
    """Load pictures of a folder that holds a folder for each class: ``root/class/*.png``.

    Parameters
    ----------
    root : path-like
        Its folders are the classes. Names that begin with a dot, and what file managers leave
        behind (``Thumbs.db``), are passed over, and so are files beside the folders that are no
        pictures.
    mode : {"grey", "rgb"}, default="grey"
    size : int, pair of int, or None
        Height and width to which each picture is averaged, whatever its shape was; a number is
        both. None: as they are, which must then be all of one size.
    invert : bool, default=False
        Whether dark is to become bright: for ink on paper, since here ink is bright.

    Returns
    -------
    ImageSet
        ``X``: uint8, shape (n, h, w) or (n, 3, h, w); ``y``: names of the classes (str);
        ``paths``: of the files below `root`, with ``/`` between folder and file. In the order of
        the names, whatever the file system's is. Turned as their EXIF orientation says; what is
        transparent is white before it is inverted; 16 bits become 8.

    Raises
    ------
    InvalidParameterError
        If an argument is not as said.
    DatasetNotFoundError
        If there is no such folder, it holds no folders, or Pillow is not installed.
    CorruptDatasetError
        If a class holds no picture, a folder, or a file that is no picture; if a file is damaged
        or of another size than the first. The file is named.

    See Also
    --------
    load_pairs_csv : pictures of which only pairs are known.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> from siamesekit.data import load_image_folder
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("ann", "bob"):
    ...         pathlib.Path(root, name).mkdir()
    ...         Image.fromarray(np.zeros((8, 6), np.uint8)).save(f"{root}/{name}/1.png")
    ...     images = load_image_folder(root)
    >>> images.X.shape, images.y.tolist(), images.paths.tolist()
    ((2, 8, 6), ['ann', 'bob'], ['ann/1.png', 'bob/1.png'])
    """
    folder = check_path("root", root)
    pictures = Pictures(mode, size, invert)
    paths = _paths(folder)
    return ImageSet(
        X=stack_pictures(pictures, folder, paths),
        y=np.array([path.split("/")[0] for path in paths]),
        paths=np.array(paths),
    )


def stack_pictures(pictures: Pictures, folder: Path, paths: Iterable[str]) -> np.ndarray:
    """Return pictures below a folder as one array.

    Raises
    ------
    CorruptDatasetError
        If one cannot be read, or is of another size than the first.
    """
    read: list[np.ndarray] = []
    first = ""
    for path in paths:
        picture = pictures.read(folder / path)
        first = first or path
        if read and picture.shape != read[0].shape:
            raise CorruptDatasetError(
                f"{folder / path} must be of the size of {folder / first}: that one has "
                f"{_extent(read[0])} pixels, this one {_extent(picture)}. "
                f"size={read[0].shape[-2:]}, say, makes all of them one size."
            )
        read.append(picture)
    return np.stack(read)


def _paths(root: Path) -> list[str]:
    """Return the pictures below `root` as ``class/file``, in order, once all of it is as said."""
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is nothing"
        raise DatasetNotFoundError(
            f"root must be a folder of folders, one a class; {root}: {what}."
        )
    entries = _entries(root)
    classes = [entry.name for entry in entries if entry.is_dir()]
    astray = [entry.name for entry in entries if _is_picture(entry.name) and not entry.is_dir()]
    if astray:
        raise CorruptDatasetError(
            f"{root} must hold pictures in folders, one a class (root/class/*.png); it holds "
            f"{_listed(astray)} itself."
        )
    if not classes:
        raise DatasetNotFoundError(
            f"root must hold a folder for each class (root/class/*.png); {root} holds none."
        )
    found = {name: _pictures_of(root / name) for name in classes}
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise CorruptDatasetError(
            f"{root} must hold a picture or more in each class; there is none in {_listed(empty)}. "
            f"Pictures end in {', '.join(SUFFIXES)}."
        )
    return [f"{name}/{file}" for name, files in found.items() for file in files]


def _pictures_of(folder: Path) -> list[str]:
    entries = _entries(folder)
    nested = [entry.name for entry in entries if entry.is_dir()]
    if nested:
        raise CorruptDatasetError(
            f"{folder} must hold pictures only, as each class does (root/class/*.png); it holds "
            f"the folder {_listed(nested)}."
        )
    others = [entry.name for entry in entries if not _is_picture(entry.name)]
    if others:
        raise CorruptDatasetError(
            f"{folder} must hold pictures only ({', '.join(SUFFIXES)}); it holds {_listed(others)}."
        )
    return [entry.name for entry in entries]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, by name; clutter apart."""
    kept: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER:
                    kept.append(entry)
                if len(kept) > _MOST_FILES:
                    raise CorruptDatasetError(f"{folder} must hold {_MOST_FILES:,} files at most.")
    except OSError as error:
        raise CorruptDatasetError(f"{folder} cannot be read: {error.strerror}.") from error
    return sorted(kept, key=lambda entry: entry.name)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more


def _extent(picture: np.ndarray) -> str:
    return " × ".join(map(str, picture.shape[-2:]))
