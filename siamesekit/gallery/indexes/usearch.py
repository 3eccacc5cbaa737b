"""Approximate search by usearch: a graph of near neighbours (HNSW) that can forget."""

from typing import Any

import numpy as np

from siamesekit._types import FloatArray, IntArray, Neighbours
from siamesekit.errors import InvalidParameterError
from siamesekit.gallery.indexes._graph import GraphIndex
from siamesekit.gallery.indexes.base import Metric
from siamesekit.gallery.indexes.exact import unit
from siamesekit.registry import register

__all__ = ["UsearchIndex"]

_METRICS = {"cosine": "ip", "euclidean": "l2sq", "dot": "ip"}


@register("indexes", "usearch")
class UsearchIndex(GraphIndex):
    """A graph of near neighbours (HNSW), of usearch (extra ``usearch``).

    Parameters
    ----------
    metric, connectivity, expansion_add, expansion_search
        As of every `GraphIndex`.
    """

    kind = "usearch"

    def __init__(
        self,
        metric: Metric = "cosine",
        connectivity: int = 16,
        expansion_add: int = 128,
        expansion_search: int = 64,
    ) -> None:
        super().__init__(metric, connectivity, expansion_add, expansion_search)
        self._graph: Any = None
        self._has_removed = False

    def __len__(self) -> int:
        """Return the number of vectors."""
        return 0 if self._graph is None else len(self._graph)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""
        return None if self._graph is None else int(self._graph.ndim)

    def _holds(self, ids: IntArray) -> np.ndarray:
        if self._graph is None or len(ids) == 0:
            return np.zeros(len(ids), bool)
        return np.asarray(self._graph.contains(ids.astype(np.uint64)), bool)

    def _add(self, vectors: FloatArray, ids: IntArray) -> None:
        if self._graph is None:
            self._graph = self._empty(vectors.shape[1])
        # One thread: the graph, and so what it finds, does not hang on the order of threads.
        stored = unit(vectors) if self.metric == "cosine" else vectors
        self._graph.add(ids.astype(np.uint64), stored, threads=1)

    def _empty(self, dim: int) -> Any:
        try:
            from usearch.index import Index as Graph
        except ImportError as error:
            raise InvalidParameterError(
                'index "usearch" needs usearch: pip install "siamesekit[usearch]".'
            ) from error
        return Graph(
            ndim=dim,
            metric=_METRICS[self.metric],
            dtype="f32",
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
            expansion_search=self.expansion_search,
        )

    def _remove(self, ids: IntArray) -> None:
        self._graph.remove(ids.astype(np.uint64))
        self._has_removed = True

    def _search(self, queries: FloatArray, k: int) -> Neighbours:
        asked = unit(queries) if self.metric == "cosine" else queries
        # Two rows at least: for one the library answers in another form.
        found = self._graph.search(np.concatenate([asked, asked[:1]]), k, threads=1)
        counts = np.asarray(found.counts)[: len(asked), None]
        missing = np.arange(k) >= counts
        keys = np.where(missing, -1, found.keys[: len(asked)].astype(np.int64))
        distances = found.distances[: len(asked)]
        euclidean = self.metric == "euclidean"
        scores = -np.sqrt(np.maximum(distances, 0)) if euclidean else 1 - distances
        return Neighbours(keys, np.where(missing, -np.inf, scores).astype(np.float32))

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._graph is None:
            return {"dim": None}, {"graph": np.empty(0, np.uint8)}
        if self._has_removed:
            self._rebuild()
        return {"dim": self.dim}, {"graph": np.frombuffer(bytes(self._graph.save()), np.uint8)}

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if facts["dim"] is not None:
            self._graph = self._empty(facts["dim"])
            self._graph.load(arrays["graph"].tobytes())

    def _rebuild(self) -> None:
        """Make the graph anew: in the old one, the bytes of what was removed are still there."""
        keys = np.asarray(list(self._graph.keys), np.uint64)
        graph = self._empty(self._graph.ndim)
        if len(keys):
            graph.add(keys, np.asarray(self._graph.get(keys), np.float32), threads=1)
        self._graph, self._has_removed = graph, False
