"""A user's own pairs: a table of files, and whether each two are of one class."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from siamesekit._checks import check_path, shown
from siamesekit._files import read_bounded
from siamesekit._types import IntArray
from siamesekit.data._pictures import Pictures
from siamesekit.data.folders import stack_pictures
from siamesekit.data.images import check_images
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidDataError

__all__ = ["ImagePairs", "load_pairs_csv"]

_COLUMNS = ("a", "b", "same")
_SAME = {"1": True, "true": True, "0": False, "false": False}
_LARGEST = 2**26


@dataclass(frozen=True, eq=False)
class ImagePairs:
    """Pairs of images, each image once.

    Attributes
    ----------
    X : ndarray of uint8, shape (n, h, w) or (n, 3, h, w)
    first, second : ndarray of int64, shape (p,)
        Positions of the two images of each pair.
    same : ndarray of bool, shape (p,)
        Whether they are of one class.
    paths : ndarray of str, shape (n,)
        File of each image, as the table names it.

    Raises
    ------
    InvalidDataError
        If the columns do not fit.
    """

    X: np.ndarray
    first: IntArray
    second: IntArray
    same: np.ndarray
    paths: np.ndarray

    def __post_init__(self) -> None:
        check_images("X", self.X)
        sides = (self.first, self.second)
        n = len(self.same)
        fits = all(
            side.shape == (n,) and side.dtype.kind in "iu" and (side < len(self.X)).all()
            for side in sides
        )
        if not fits or self.same.dtype != bool or len(self.paths) != len(self.X):
            raise InvalidDataError(
                "first, second and same must hold an entry a pair, positions among the images and "
                "True or False, and paths one an image."
            )

    def __len__(self) -> int:
        return len(self.same)

    @property
    def A(self) -> np.ndarray:  # noqa: N802
        """The first image of each pair, shape (p, …)."""
        return self.X[self.first]

    @property
    def B(self) -> np.ndarray:  # noqa: N802
        """The second image of each pair, shape (p, …)."""
        return self.X[self.second]


def load_pairs_csv(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    mode: str = "grey",
    size: int | tuple[int, int] | None = None,
    invert: bool = False,
) -> ImagePairs:
    """Load pairs of pictures from a table with the columns ``a``, ``b`` and ``same``.

    Parameters
    ----------
    path : path-like
        A file of comma-separated values in UTF-8, whose first line names its columns, in any
        order; others are passed over. ``a`` and ``b`` are files, ``same`` is 1 or 0 (or true or
        false).
    root : path-like, optional
        Where files are that are named relatively; by default beside the table.
    mode, size, invert
        As for `load_image_folder`.

    Returns
    -------
    ImagePairs
        A file that stands in several pairs is read once. ``fit(pairs.A, pairs.B, pairs.same)``
        trains a `SiameseVerifier`.

    Raises
    ------
    InvalidParameterError
        If an argument is not as said.
    DatasetNotFoundError
        If there is no such table, or Pillow is not installed.
    CorruptDatasetError
        If a line of the table cannot be used (it is named by its number): a column is missing or
        empty, ``same`` is something else, a file is not there or is compared with itself, or a
        pair is there twice and contradicts itself. If a picture cannot be read, or is of another
        size than the first.

    See Also
    --------
    load_image_folder : pictures of which the class is known.
    """
    table = check_path("path", path)
    folder = table.parent if root is None else check_path("root", root)
    pictures = Pictures(mode, size, invert)
    places: dict[str, int] = {}
    known: dict[tuple[int, int], tuple[bool, int]] = {}
    first, second, same = [], [], []
    for line, a, b, alike in _rows(table):
        pair = []
        for name in map(os.path.normpath, (a, b)):
            if name not in places:
                _check_file(folder / name, table, line)
            pair.append(places.setdefault(name, len(places)))
        _check_pair((min(pair), max(pair)), alike, known, table, line, a)
        first.append(pair[0])
        second.append(pair[1])
        same.append(alike)
    if not same:
        raise CorruptDatasetError(f"{table} must hold a pair or more; it holds its header only.")
    return ImagePairs(
        X=stack_pictures(pictures, folder, places),
        first=np.array(first, dtype=np.int64),
        second=np.array(second, dtype=np.int64),
        same=np.array(same),
        paths=np.array(list(places)),
    )


def _rows(table: Path) -> Iterator[tuple[int, str, str, bool]]:
    """Yield number of line, both files and *same* of each row."""
    reader = csv.reader(io.StringIO(_text(table), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        wrong = [name for name in _COLUMNS if header.count(name) != 1]
        if wrong:
            raise CorruptDatasetError(
                f"{table} must name the columns a, b and same in its first line, once each and "
                f"with commas between them; {', '.join(wrong)} not so in {shown(header)}."
            )
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise CorruptDatasetError(
                    f"{table}, line {reader.line_num}: there must be {len(header)} cells, as in "
                    f"the first line; got {len(cells)}."
                )
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            yield reader.line_num, row["a"], row["b"], _same(row, table, reader.line_num)
    except csv.Error as error:
        raise CorruptDatasetError(f"{table}, line {reader.line_num}: {error}.") from error


def _text(table: Path) -> str:
    if not table.exists():
        raise DatasetNotFoundError(f"path must be a table of pairs; {table}: there is nothing.")
    try:
        return read_bounded(table, _LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptDatasetError(f"{table} cannot be read: {error}.") from error


def _same(row: dict[str, str], table: Path, line: int) -> bool:
    for name in _COLUMNS:
        if not row[name]:
            raise CorruptDatasetError(f"{table}, line {line}: {name} must not be empty.")
    alike = _SAME.get(row["same"].lower())
    if alike is None:
        raise CorruptDatasetError(
            f"{table}, line {line}: same must be 1 or 0, true or false; got {shown(row['same'])}."
        )
    return alike


def _check_file(path: Path, table: Path, line: int) -> None:
    if "\0" in str(path) or not path.is_file():
        raise CorruptDatasetError(f"{table}, line {line}: there is no file {path}.")


def _check_pair(
    pair: tuple[int, int],
    alike: bool,
    known: dict[tuple[int, int], tuple[bool, int]],
    table: Path,
    line: int,
    name: str,
) -> None:
    if pair[0] == pair[1]:
        raise CorruptDatasetError(f"{table}, line {line}: {name!r} is compared with itself.")
    before, where = known.setdefault(pair, (alike, line))
    if before != alike:
        raise CorruptDatasetError(
            f"{table}, line {line}: same contradicts line {where}, which has the same two files."
        )
