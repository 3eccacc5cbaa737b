"""All distances, in blocks."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import FloatArray, IntArray, Neighbours
from siamesekit.gallery.indexes import _in_bytes as in_bytes
from siamesekit.gallery.indexes._in_bytes import Packed
from siamesekit.gallery.indexes.base import Index, Metric, are_among
from siamesekit.registry import register

__all__ = ["ExactIndex", "unit"]

# Columns of scores at a time: they stay in a processor's cache, and memory stays small.
_BLOCK = 2048
_QUERIES = 1024
# From so many vectors and queries on they are compared in bytes first, but for a share of all.
_MANY, _SEVERAL, _MOST = 2**14, 32, 1024
# Numbers in the differences of queries and what they found, at a time.
_NUMBERS = 2**22


@register("indexes", "exact")
class ExactIndex(Index):
    """Compares a query with every vector: nothing is missed, nothing is built.

    Many queries by ``"cosine"`` or ``"dot"`` are first compared in bytes, where the processor is
    quick at that; what the error of these cannot rule out is compared in float32, so that nothing
    is missed either. Memory beside the vectors is that of one block of scores, and then a quarter
    of the vectors. Removal puts the last vector in the place of the one that goes.

    Parameters
    ----------
    metric : {"cosine", "euclidean", "dot"}
    """

    kind = "exact"

    def __init__(self, metric: Metric = "cosine") -> None:
        super().__init__(metric)
        self._vectors: FloatArray = np.empty((0, 0), np.float32)
        self._ids: IntArray = np.empty(0, np.int64)
        self._place: dict[int, int] = {}
        # The same in bytes, made by a search of many queries; None after any change.
        self._packed: Packed | None = None

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._place)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""
        return self._vectors.shape[1] or None

    def _holds(self, ids: IntArray) -> np.ndarray:
        return are_among(ids, self._place)

    def _add(self, vectors: FloatArray, ids: IntArray) -> None:
        n = len(self)
        self._packed = None
        self._make_room(n + len(ids), vectors.shape[1])
        self._vectors[n : n + len(ids)] = unit(vectors) if self.metric == "cosine" else vectors
        self._ids[n : n + len(ids)] = ids
        self._place.update(zip(ids.tolist(), range(n, n + len(ids)), strict=True))

    def _make_room(self, n: int, dim: int) -> None:
        """Double the room where it is too small, so that n additions cost O(n) in all."""
        if n <= len(self._ids) and self._vectors.shape[1] == dim:
            return
        room = max(n, 2 * len(self._ids))
        vectors, ids = np.zeros((room, dim), np.float32), np.zeros(room, np.int64)
        if len(self):
            vectors[: len(self)] = self._vectors[: len(self)]
            ids[: len(self)] = self._ids[: len(self)]
        self._vectors, self._ids = vectors, ids

    def _remove(self, ids: IntArray) -> None:
        self._packed = None
        for key in ids.tolist():
            place, last = self._place.pop(key), len(self._place)
            if place != last:
                moved = int(self._ids[last])
                self._vectors[place], self._ids[place] = self._vectors[last], moved
                self._place[moved] = place
            self._vectors[last], self._ids[last] = 0, 0

    def _search(self, queries: FloatArray, k: int) -> Neighbours:
        stored = torch.from_numpy(self._vectors[: len(self)])
        asked = torch.from_numpy(unit(queries) if self.metric == "cosine" else queries)
        found = self._best_in_bytes(asked, stored, k)
        if found is not None:
            return Neighbours(self._ids[found[0]], found[1])
        blocks = [self._best(block, stored, k) for block in torch.split(asked, _QUERIES)]
        places = torch.cat([place for place, _ in blocks]).numpy()
        scores = torch.cat([score for _, score in blocks]).numpy()
        return Neighbours(self._ids[places], scores)

    def _best_in_bytes(
        self, asked: Tensor, stored: Tensor, k: int
    ) -> tuple[IntArray, FloatArray] | None:
        """Return places and scores by products of bytes, where these are exact and faster."""
        n, m = len(stored), len(asked)
        if self.metric == "euclidean" or n < _MANY or m < _SEVERAL or k > n // _MOST:
            return None
        if not in_bytes.is_fast(stored.shape[1]):
            return None
        packed = self._packed
        if packed is None:
            packed = self._packed = in_bytes.pack(stored)
        return in_bytes.best_of(asked, stored, packed, self._ids[:n], k)

    def _best(self, queries: Tensor, stored: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return places and scores of the best `k`, block after block of the stored vectors."""
        best = queries.new_full((len(queries), 0), -torch.inf)
        places = torch.empty(len(queries), 0, dtype=torch.int64)
        for first in range(0, len(stored), _BLOCK):
            block = stored[first : first + _BLOCK]
            scores, place = self._rank(queries, block).topk(min(k, len(block)), dim=1)
            best, order = torch.cat([best, scores], 1).topk(
                min(k, best.shape[1] + scores.shape[1]), dim=1
            )
            places = torch.cat([places, place + first], 1).gather(1, order)
        if self.metric == "euclidean":
            return _by_distance(queries, stored, places)
        return places, best

    def _rank(self, queries: Tensor, block: Tensor) -> Tensor:
        """Return numbers in the order of the scores."""
        if self.metric != "euclidean":
            return queries @ block.T
        return torch.addmm(block.square().sum(1), queries, block.T, beta=-1, alpha=2)

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"vectors": self._vectors[: len(self)], "ids": self._ids[: len(self)]}


def _by_distance(queries: Tensor, stored: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Return places in order of distance, and the distances as scores.

    From differences: products, which chose these places, cancel where vectors are close.
    """
    rows = max(1, _NUMBERS // max(1, places.shape[1] * stored.shape[1]))
    distances = torch.cat(
        [
            (asked[:, None, :] - stored[place]).square().sum(2).sqrt()
            for asked, place in zip(
                torch.split(queries, rows), torch.split(places, rows), strict=True
            )
        ]
    )
    distances, order = distances.sort(dim=1, stable=True)
    return places.gather(1, order), -distances


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of length 1; those of zeros as they are."""
    # Divided by the largest number first: squares of 1e30 would be infinite.
    largest = np.abs(vectors).max(1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: FloatArray = (scaled / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
