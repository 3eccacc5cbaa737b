"""What an index must do."""

import tempfile
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import numpy as np

from siamesekit._types import IntArray
from siamesekit.testing._findings import DIM, SEED, Findings

__all__ = ["BASE", "check"]

BASE = Sized

_N, _K = 20, 3

# Score of two unit vectors by each metric, from their cosine.
_SCORES: dict[object, Callable[[np.ndarray], np.ndarray]] = {
    "cosine": lambda cosine: cosine,
    "dot": lambda cosine: cosine,
    "euclidean": lambda cosine: -np.sqrt(np.maximum(2 - 2 * cosine, 0)),
}


def check(part: Any, found: Findings) -> None:
    """Add vectors to an empty index, search, remove, save and load.

    Parameters
    ----------
    part : object
    found : Findings
        Takes what is missing.
    """
    lacks = [name for name in ("add", "remove", "search", "save", "load") if not _has(part, name)]
    found.expect(not lacks, f"it must have {', '.join(lacks)}")
    found.expect(len(part) == 0, "an index just made must be empty, and its len() 0")
    if lacks or len(part):
        return
    vectors = np.random.default_rng(SEED).standard_normal((_N, DIM)).astype(np.float32)
    # Unit vectors: each is the nearest to itself by any metric.
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(_N, dtype=np.int64) * 7 + 5
    with found.attempt("add(vectors, ids)"):
        part.add(vectors[:8], ids[:8])
        part.add(vectors[8:], ids[8:])
        found.expect(len(part) == _N, "len() must be the number of vectors added")
    with found.attempt("search(vectors, k)"):
        _check_search(part, vectors, ids, found)
    with found.attempt("save(path) and load(path)"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        part.save(path)
        again = type(part).load(path)
        found.expect(len(again) == len(part), "a loaded index must hold what was saved")
        ids_again, scores_again = _found(again, vectors)
        ids_before, scores_before = _found(part, vectors)
        found.expect(
            np.array_equal(ids_again, ids_before)
            and np.allclose(scores_again, scores_before, rtol=1e-4, atol=1e-5),
            "a loaded index must find what the saved one finds",
        )
    with found.attempt("remove(ids)"):
        part.remove(ids[:4])
        found.expect(len(part) == _N - 4, "len() must fall by the number of ids removed")
        left = _found(part, vectors)[0]
        found.expect(not np.isin(left, ids[:4]).any(), "what is removed must not be found")
        _check_search(part, vectors[4:], ids[4:], found)
    with found.attempt("searching for more than there are"):
        shape = part.search(vectors[:2], 10 * _N).ids.shape
        found.expect(shape == (2, len(part)), f"k is cut to len(); got ids of shape {shape}")


def _check_search(part: Any, vectors: np.ndarray, ids: IntArray, found: Findings) -> None:
    keys, scores = _found(part, vectors)
    found.expect(
        keys.shape == scores.shape == (len(vectors), _K),
        f"search must return ids and scores of shape (m, k); got {keys.shape} and {scores.shape} "
        f"for m = {len(vectors)}, k = {_K}",
    )
    if keys.shape != (len(vectors), _K):
        return
    found.expect(keys.dtype == np.int64, f"ids must be of int64; got {keys.dtype}")
    found.expect(scores.dtype == np.float32, f"scores must be of float32; got {scores.dtype}")
    found.expect(np.array_equal(keys[:, 0], ids), "the nearest to a vector must be itself")
    found.expect((np.diff(scores, axis=1) <= 0).all(), "best first: scores must not rise in a row")
    cosines = (vectors @ vectors.T)[np.arange(len(vectors))[:, None], np.searchsorted(ids, keys)]
    wanted = _SCORES.get(getattr(part, "metric", None))
    if wanted is not None:
        found.expect(
            np.allclose(scores, wanted(cosines), rtol=1e-3, atol=1e-2),
            f"scores must be those of its metric, {part.metric!r}",
        )
        return
    # By any metric, of unit vectors those with the greater cosine are the more alike.
    ranked = scores.ravel()[cosines.argsort(axis=None)]
    found.expect(
        (np.diff(ranked) >= -1e-3 * np.ptp(ranked)).all() and np.ptp(ranked) > 0,
        "a score must say how alike two vectors are: those of nearer ones are not all higher",
    )


def _found(part: Any, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    neighbours = part.search(vectors, _K)
    return np.asarray(neighbours.ids), np.asarray(neighbours.scores)


def _has(part: Any, name: str) -> bool:
    return callable(getattr(part, name, None))
