"""A user's own pictures: a folder a class."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np

from siamesekit._checks import check_flag, check_path
from siamesekit.data._pictures import SUFFIXES, Pictures
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidParameterError

__all__ = ["ImageFiles", "load_image_folder", "stack_pictures"]

# What file managers leave behind.
_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_MOST_FILES = 1_000_000
_NAMED = 5


class ImageFiles(NamedTuple):
    """Files of pictures, not read yet: ``clf.fit(*load_image_folder(root, as_paths=True))``.

    Attributes
    ----------
    paths : ndarray of str, shape (n,)
        Of files, `root` before them.
    y : ndarray of str, shape (n,)
        Class of each.
    groups : ndarray of str or None, shape (n,)
        Group of each, where folders lie two levels deep.
    """

    paths: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None


@overload
def load_image_folder(
    root: str | os.PathLike[str],
    *,
    mode: str = ...,
    size: int | tuple[int, int] | None = ...,
    invert: bool = ...,
    as_paths: Literal[False] = ...,
) -> ImageSet: ...


@overload
def load_image_folder(root: str | os.PathLike[str], *, as_paths: Literal[True]) -> ImageFiles: ...


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    mode: str = "grey",
    size: int | tuple[int, int] | None = None,
    invert: bool = False,
    as_paths: bool = False,
) -> ImageSet | ImageFiles:
    """Load pictures of a folder that holds a folder for each class: ``root/class/*.png``.

    Two levels deep, ``root/group/class/*.png``, the upper folders are groups, such as alphabets.

    Parameters
    ----------
    root : path-like
        Its folders are the classes, or all of them groups, which hold nothing but folders. Names
        that begin with a dot, and what file managers leave behind (``Thumbs.db``), are passed over,
        and so are files beside the folders that are no pictures.
    mode : {"grey", "rgb"}, default="grey"
    size : int, pair of int, or None
        Height and width to which each picture is averaged, whatever its shape was; a number is
        both. None: as they are, which must then be all of one size.
    invert : bool, default=False
        Whether dark is to become bright: for ink on paper, since here ink is bright.
    as_paths : bool, default=False
        Return the paths and read nothing: for estimators, which read them as they need them, so
        that there may be more than memory holds. How they are read is then said by an estimator's
        ``reader=ImageReader(size=..., mode=..., invert=...)``, and not here.

    Returns
    -------
    ImageSet, or ImageFiles
        ``X``: uint8, shape (n, h, w) or (n, 3, h, w); ``y``: names of the classes (str), two levels
        deep ``group/class``; ``groups``: names of the groups, or None;
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
    if check_flag("as_paths", as_paths):
        if (mode, size, invert) != ("grey", None, False):
            raise InvalidParameterError(
                "mode, size and invert must be given to an estimator's reader where as_paths=True: "
                f"reader=ImageReader(...); got {mode!r}, {size!r} and {invert!r}."
            )
        paths, y, groups = _paths(folder)
        return ImageFiles(np.array([str(folder / path) for path in paths]), y, groups)
    pictures = Pictures(mode, size, invert)
    paths, y, groups = _paths(folder)
    return ImageSet(
        X=stack_pictures(pictures, folder, paths), y=y, groups=groups, paths=np.array(paths)
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


def _paths(root: Path) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Return the pictures below `root` as ``class/file``, in order, their classes and groups."""
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
    is_deep = all(map(_is_group, (root / name for name in classes)))
    if is_deep:
        classes = [f"{name}/{e.name}" for name in classes for e in _entries(root / name)]
    found = {name: _pictures_of(root / name) for name in classes}
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise CorruptDatasetError(
            f"{root} must hold a picture or more in each class; there is none in {_listed(empty)}. "
            f"Pictures end in {', '.join(SUFFIXES)}."
        )
    paths = [f"{name}/{file}" for name, files in found.items() for file in files]
    y = np.array([path.rpartition("/")[0] for path in paths])
    return paths, y, np.array([name.partition("/")[0] for name in y]) if is_deep else None


def _is_group(folder: Path) -> bool:
    """Return whether a folder holds folders, and nothing but folders."""
    entries = _entries(folder)
    return bool(entries) and all(entry.is_dir() for entry in entries)


def _pictures_of(folder: Path) -> list[str]:
    entries = _entries(folder)
    nested = [entry.name for entry in entries if entry.is_dir()]
    if nested:
        raise CorruptDatasetError(
            f"{folder} must hold pictures only, as each class does (root/class/*.png, or "
            f"root/group/class/*.png everywhere); it holds the folder {_listed(nested)}."
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
