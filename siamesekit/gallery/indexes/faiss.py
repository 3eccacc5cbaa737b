"""Approximate search by faiss: a graph of near neighbours (HNSW), rebuilt as it forgets."""

from typing import Any

import numpy as np

from siamesekit._types import FloatArray, IntArray, Neighbours
from siamesekit.errors import InvalidParameterError
from siamesekit.gallery.indexes._graph import GraphIndex
from siamesekit.gallery.indexes.base import Metric, are_among
from siamesekit.gallery.indexes.exact import unit
from siamesekit.registry import register

__all__ = ["FaissIndex"]


@register("indexes", "faiss")
class FaissIndex(GraphIndex):
    """A graph of near neighbours (HNSW), of faiss (extra ``faiss``).

    faiss cannot take a vector out of such a graph. What is removed is passed over in searches, and
    the graph is built anew when a quarter of it is gone, and before it is saved.

    Parameters
    ----------
    metric, connectivity, expansion_add, expansion_search
        As of every `GraphIndex`.
    """

    kind = "faiss"

    def __init__(
        self,
        metric: Metric = "cosine",
        connectivity: int = 20,
        expansion_add: int = 100,
        expansion_search: int = 28,
    ) -> None:
        super().__init__(metric, connectivity, expansion_add, expansion_search)
        self._graph: Any = None
        # Of each place in the graph, in which removed vectors stay until it is built anew.
        self._ids: IntArray = np.empty(0, np.int64)
        self._gone = np.empty(0, bool)
        self._place: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._place)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""
        return None if self._graph is None else int(self._graph.d)

    def _holds(self, ids: IntArray) -> np.ndarray:
        return are_among(ids, self._place)

    def _add(self, vectors: FloatArray, ids: IntArray) -> None:
        if self._graph is None:
            self._graph = self._empty(vectors.shape[1])
        self._graph.add(unit(vectors) if self.metric == "cosine" else vectors)
        first = len(self._ids)
        self._place.update(zip(ids.tolist(), range(first, first + len(ids)), strict=True))
        self._ids = np.concatenate([self._ids, ids])
        self._gone = np.concatenate([self._gone, np.zeros(len(ids), bool)])

    def _empty(self, dim: int) -> Any:
        faiss = _faiss()
        euclidean = self.metric == "euclidean"
        metric = faiss.METRIC_L2 if euclidean else faiss.METRIC_INNER_PRODUCT
        graph = faiss.IndexHNSWFlat(dim, self.connectivity, metric)
        graph.hnsw.efConstruction = self.expansion_add
        return graph

    def _remove(self, ids: IntArray) -> None:
        self._gone[[self._place.pop(key) for key in ids.tolist()]] = True
        if 4 * self._gone.sum() > len(self._gone):
            self._rebuild()

    def _rebuild(self) -> None:
        kept = np.flatnonzero(~self._gone)
        graph = self._empty(self._graph.d)
        if len(kept):
            graph.add(self._stored()[kept])
        self._graph, self._ids = graph, self._ids[kept]
        self._gone = np.zeros(len(kept), bool)
        self._place = dict(zip(self._ids.tolist(), range(len(kept)), strict=True))

    def _stored(self) -> FloatArray:
        vectors: FloatArray = self._graph.reconstruct_n(0, len(self._ids))
        return vectors

    def _search(self, queries: FloatArray, k: int) -> Neighbours:
        faiss = _faiss()
        options: dict[str, Any] = {"efSearch": max(self.expansion_search, k)}
        if self._gone.any():
            here = np.packbits(~self._gone, bitorder="little")
            options["sel"] = faiss.IDSelectorBitmap(here)
        asked = unit(queries) if self.metric == "cosine" else queries
        # faiss.contrib.torch_utils, which pytorch-metric-learning imports, puts a `search` in the
        # place of faiss's own that takes no parameters.
        search = getattr(self._graph, "search_numpy", self._graph.search)
        found, places = search(asked, k, params=faiss.SearchParametersHNSW(**options))
        missing = places < 0
        ids = np.where(missing, -1, self._ids[places])
        scores = -np.sqrt(np.maximum(found, 0)) if self.metric == "euclidean" else found
        return Neighbours(ids, np.where(missing, -np.inf, scores).astype(np.float32))

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._gone.any():
            self._rebuild()
        # No graph: faiss takes a file for what it says, also where it lies. It is built again.
        stored = np.empty((0, 0), np.float32) if self._graph is None else self._stored()
        return {}, {"vectors": stored, "ids": self._ids}


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InvalidParameterError(
            'index "faiss" needs faiss: pip install "siamesekit[faiss]".'
        ) from error
    return faiss
