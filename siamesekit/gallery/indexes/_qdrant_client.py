"""Qdrant as a server: the points of a collection, by qdrant-client."""

import os
from collections.abc import Callable
from typing import Any

from siamesekit._types import FloatArray, IntArray
from siamesekit.errors import IndexUnavailableError, InvalidParameterError, SavedModelError

__all__ = ["Collection"]

_NAMES = {"cosine": "COSINE", "euclidean": "EUCLID", "dot": "DOT"}
# Points and queries of one request.
_POINTS = 1000


class Collection:
    """The points of one collection of a server.

    Parameters
    ----------
    url : str
    api_key : str or None
        By default that in the environment variable ``QDRANT_API_KEY``.
    name : str
    metric : {"cosine", "euclidean", "dot"}
    """

    def __init__(self, url: str, api_key: str | None, name: str, metric: str) -> None:
        key = api_key if api_key is not None else os.environ.get("QDRANT_API_KEY")
        self.url, self.name, self.metric = url, name, metric
        # Calls say themselves what does not fit; asking for the version first would only warn.
        self._client = self._try(
            _client().QdrantClient, url=url, api_key=key, timeout=60, check_compatibility=False
        )

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there is no collection."""
        if not self._try(self._client.collection_exists, self.name):
            return None
        about = self._try(self._client.get_collection, self.name)
        vectors = about.config.params.vectors
        size, distance = getattr(vectors, "size", None), getattr(vectors, "distance", None)
        if size is None or distance != getattr(_client().models.Distance, _NAMES[self.metric]):
            raise SavedModelError(
                f"collection {self.name!r} must hold one vector a point, by metric "
                f"{self.metric!r}; it holds {vectors}."
            )
        return int(size)

    def __len__(self) -> int:
        """Return the number of points."""
        if self.dim is None:
            return 0
        return int(self._try(self._client.count, self.name, exact=True).count)

    def known(self, ids: IntArray) -> list[int]:
        """Return which ids there are."""
        if self.dim is None:
            return []
        known: list[int] = []
        for start in range(0, len(ids), _POINTS):
            some = ids[start : start + _POINTS].tolist()
            found = self._try(
                self._client.retrieve, self.name, some, with_payload=False, with_vectors=False
            )
            known += [int(point.id) for point in found]
        return known

    def add(self, vectors: FloatArray, ids: IntArray) -> None:
        """Write points; the collection is made if it is not there."""
        models = _client().models
        if self.dim is None:
            distance = getattr(models.Distance, _NAMES[self.metric])
            config = models.VectorParams(size=vectors.shape[1], distance=distance)
            self._try(self._client.create_collection, self.name, vectors_config=config)
        for start in range(0, len(ids), _POINTS):
            some = slice(start, start + _POINTS)
            batch = models.Batch(ids=ids[some].tolist(), vectors=vectors[some].tolist())
            self._try(self._client.upsert, self.name, batch, wait=True)

    def remove(self, ids: IntArray) -> None:
        """Remove points."""
        chosen = _client().models.PointIdsList(points=ids.tolist())
        self._try(self._client.delete, self.name, chosen, wait=True)

    def search(
        self, queries: FloatArray, k: int, candidates: int | None
    ) -> list[list[tuple[int, float]]]:
        """Return the best `k` points of each query; None as candidates: of all of them."""
        models = _client().models
        params = models.SearchParams(hnsw_ef=candidates, exact=candidates is None)
        requests = [
            models.QueryRequest(query=row, limit=k, params=params) for row in queries.tolist()
        ]
        answers: list[list[tuple[int, float]]] = []
        for start in range(0, len(requests), _POINTS):
            some = requests[start : start + _POINTS]
            found = self._try(self._client.query_batch_points, self.name, requests=some)
            answers += [[(int(p.id), float(p.score)) for p in one.points] for one in found]
        return answers

    def settle(self) -> None:
        """Nothing is to be done: the server writes what it confirms."""

    def _try(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        # The client raises what httpx, pydantic and gRPC raise, and classes of its own.
        except Exception as error:
            said = str(error).strip().partition("\n")[0]
            raise IndexUnavailableError(
                f"collection {self.name!r} must be within reach of a Qdrant server; got "
                f"{type(error).__name__}: {said}"
            ) from error


def _client() -> Any:
    try:
        import qdrant_client
    except ImportError as error:
        raise InvalidParameterError(
            'index "qdrant" at a url needs qdrant-client: pip install "siamesekit[qdrant]".'
        ) from error
    return qdrant_client
