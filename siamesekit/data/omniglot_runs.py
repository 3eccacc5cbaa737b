"""Lake's 20 runs of the one-shot classification task."""

import os
from dataclasses import dataclass

import numpy as np

from siamesekit.data._archive import Files, find_source, open_files
from siamesekit.data.download import fetch
from siamesekit.data.omniglot import LAKE_ALPHABETS, drawing
from siamesekit.errors import CorruptDatasetError

__all__ = ["OneShotRun", "load_omniglot_runs"]

_URL = (
    "https://github.com/brendenlake/omniglot/raw/master/python/one-shot-classification/all_runs.zip"
)
_HASH = "sha256:437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325"
_RUNS = 20
_WAY = 20
# Bytes of a file of labels: 20 lines of two short paths, and room for blanks.
_LARGEST_LABELS = 2**14


@dataclass(frozen=True, eq=False)
class OneShotRun:
    """One run: 20 supports by one drawer, 20 queries by another.

    Attributes
    ----------
    alphabet : str
    support : ndarray of uint8, shape (20, 105, 105)
        One image a class; ink is 255.
    query : ndarray of uint8, shape (20, 105, 105)
    answers : ndarray of int64, shape (20,)
        Position of each query's class among the supports.
    """

    alphabet: str
    support: np.ndarray
    query: np.ndarray
    answers: np.ndarray


def load_omniglot_runs(root: str | os.PathLike[str] | None = None) -> list[OneShotRun]:
    """Load Lake's 20 runs (400 trials, within alphabet).

    Parameters
    ----------
    root : path-like, optional
        Folder that holds ``all_runs.zip`` or the folder extracted from it. Without it the official
        file is downloaded (extra ``data``).

    Raises
    ------
    InvalidParameterError
        If `root` is no path.
    DatasetNotFoundError
        If the files are not there.
    CorruptDatasetError
        If a file is damaged or incomplete; it is named.
    """
    source = fetch(_URL, _HASH, "omniglot") if root is None else find_source(root, "all_runs", _URL)
    with open_files(source) as files:
        return [_load_run(files, number) for number in range(_RUNS)]


def _load_run(files: Files, number: int) -> OneShotRun:
    run = f"run{number + 1:02d}"
    supports = sorted(name for name in files.names if name.startswith(f"{run}/training/"))
    queries, answers = _labels(files, run)
    right = (
        len(supports) == len(queries) == len(set(queries)) == _WAY
        and set(answers) <= set(supports)
        and all(query.startswith(f"{run}/test/") for query in queries)
    )
    if not right:
        raise CorruptDatasetError(
            f"{files.source}: {run}/class_labels.txt must name for each of {_WAY} queries in "
            f"{run}/test one of the {_WAY} images in {run}/training; it has {len(queries)} lines, "
            f"and there are {len(supports)} images."
        )
    return OneShotRun(
        alphabet=LAKE_ALPHABETS[number // 2],
        support=_images(files, supports),
        query=_images(files, queries),
        answers=np.array([supports.index(answer) for answer in answers], dtype=np.int64),
    )


def _labels(files: Files, run: str) -> tuple[list[str], list[str]]:
    """Return the paths of the queries, and for each the support of the same character."""
    name = f"{run}/class_labels.txt"
    lines = files.read(name, _LARGEST_LABELS).decode("latin-1").splitlines()
    pairs = [line.split() for line in lines if line.strip()]
    for pair in pairs:
        if len(pair) != 2:
            raise CorruptDatasetError(
                f"{files.source}: {name} must have two paths a line; got {' '.join(pair)[:80]!r}."
            )
    return [query for query, _ in pairs], [answer for _, answer in pairs]


def _images(files: Files, names: list[str]) -> np.ndarray:
    return np.stack([drawing(files, name) for name in names]).astype(np.uint8) * 255
