"""Lake's 20 runs of the one-shot classification task."""

import os
from dataclasses import dataclass

import numpy as np

from siamesekit.data._archive import Files, find_source, open_files
from siamesekit.data.download import fetch
from siamesekit.data.omniglot import LAKE_ALPHABETS, decode_ink
from siamesekit.errors import CorruptDatasetError

__all__ = ["OneShotRun", "load_omniglot_runs"]

_URL = (
    "https://github.com/brendenlake/omniglot/raw/master/python/one-shot-classification/all_runs.zip"
)
_HASH = "sha256:437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325"
_RUNS = 20
_WAY = 20


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
    key = f"{run}/class_labels.txt"
    # Each line: the path of a query, and of the support that shows the same character.
    pairs = [line.split() for line in files.read(key).decode("latin-1").splitlines() if line]
    queries, answers = [pair[0] for pair in pairs], [pair[-1] for pair in pairs]
    supports = sorted(name for name in files.names if name.startswith(f"{run}/training/"))
    if not len(supports) == len(set(queries)) == len(pairs) == _WAY or not set(answers) <= set(
        supports
    ):
        raise CorruptDatasetError(
            f"{files.source}: {key} must name for each of {_WAY} queries one of the {_WAY} images "
            f"in {run}/training; it has {len(pairs)} lines, and there are {len(supports)} images."
        )
    return OneShotRun(
        alphabet=LAKE_ALPHABETS[number // 2],
        support=_images(files, supports),
        query=_images(files, queries),
        answers=np.array([supports.index(answer) for answer in answers], dtype=np.int64),
    )


def _images(files: Files, names: list[str]) -> np.ndarray:
    ink = [decode_ink(files.read(name), f"{files.source}: {name}") for name in names]
    return np.stack(ink).astype(np.uint8) * 255
