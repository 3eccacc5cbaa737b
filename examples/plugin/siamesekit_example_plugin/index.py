"""Search: all vectors, one matrix product."""

from typing import Any

import numpy as np

from siamesekit.gallery import Index, Neighbours

__all__ = ["FlatIndex"]


class FlatIndex(Index):
    """Compares a query with every vector; `Index` keeps the door and the files.

    Parameters
    ----------
    metric : {"cosine", "euclidean", "dot"}
    """

    kind = "example-flat"

    def __init__(self, metric: Any = "cosine") -> None:
        super().__init__(metric)
        self._vectors = np.empty((0, 0), np.float32)
        self._ids = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._ids)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""
        return self._vectors.shape[1] or None

    def _holds(self, ids: np.ndarray) -> np.ndarray:
        return np.isin(ids, self._ids)

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        here = self._vectors.reshape(-1, vectors.shape[1])
        self._vectors = np.concatenate([here, vectors])
        self._ids = np.concatenate([self._ids, ids])

    def _remove(self, ids: np.ndarray) -> None:
        kept = ~np.isin(self._ids, ids)
        self._vectors, self._ids = self._vectors[kept], self._ids[kept]

    def _search(self, queries: np.ndarray, k: int) -> Neighbours:
        scores = self._scores(queries)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Neighbours(self._ids[best], np.take_along_axis(scores, best, 1))

    def _scores(self, queries: np.ndarray) -> np.ndarray:
        if self.metric == "euclidean":
            apart = queries[:, None] - self._vectors
            return -np.sqrt(np.square(apart).sum(2))
        products = queries @ self._vectors.T
        if self.metric == "dot":
            return products
        lengths = np.outer(_lengths(queries), _lengths(self._vectors))
        return products / np.maximum(lengths, np.finfo(np.float32).tiny)

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"vectors": self._vectors, "ids": self._ids}


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(vectors).sum(1))
