"""Qdrant within this process: the points of a folder, by qdrant-edge-py."""

import json
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from siamesekit._files import write_whole
from siamesekit._types import FloatArray, IntArray
from siamesekit.errors import IndexUnavailableError, InvalidParameterError, SavedModelError

__all__ = ["Folder"]

_ABOUT, _LOCK, _POINTS = "siamesekit.json", "siamesekit.lock", "points"
_FORMAT = 1
# Points that are read at once.
_PAGE = 10_000
_NAMES = {"cosine": "Cosine", "euclidean": "Euclid", "dot": "Dot"}
# Of this process; each is closed when nobody holds it any more.
_open: "weakref.WeakValueDictionary[Path, Folder]" = weakref.WeakValueDictionary()
_opening = threading.Lock()


class Folder:
    """The points of one folder, which one process at a time has open.

    Parameters
    ----------
    path : Path
    metric : {"cosine", "euclidean", "dot"}

    Raises
    ------
    IndexUnavailableError
        If another process has it open, or it cannot be written to.
    SavedModelError
        If it holds something else, or an index of another metric.
    """

    def __init__(self, path: Path, metric: str) -> None:
        _edge()
        self.path, self.metric = path, metric
        self._held = _hold(path)
        self._lock = threading.RLock()
        self._shard: Any = None
        self.dim: int | None = self._known_dim()
        if self.dim is not None:
            self._shard = self._try(lambda: _edge().EdgeShard.load(str(path / _POINTS)))

    @staticmethod
    def at(path: Path, metric: str) -> "Folder":
        """Return the folder, which all of this process share."""
        own = path.resolve()
        with _opening:
            folder = _open.get(own)
            if folder is None:
                folder = _open[own] = Folder(own, metric)
        if folder.metric != metric:
            raise _wrong_metric(own, folder.metric, metric)
        return folder

    def __len__(self) -> int:
        """Return the number of points."""
        if self._shard is None:
            return 0
        return int(self._try(lambda: self._shard.count(_edge().CountRequest(exact=True))))

    def known(self, ids: IntArray) -> list[int]:
        """Return which ids there are."""
        if self._shard is None:
            return []
        found = self._try(lambda: self._shard.retrieve(ids.tolist(), False, False))
        return [point.id for point in found]

    def all(self) -> tuple[IntArray, FloatArray]:
        """Return ids and vectors of all points."""
        ids: list[int] = []
        vectors: list[list[float]] = []
        start = None
        while self._shard is not None:
            request = _edge().ScrollRequest(
                offset=start, limit=_PAGE, with_payload=False, with_vector=True
            )
            points, start = self._try(lambda request=request: self._shard.scroll(request))
            ids += [point.id for point in points]
            vectors += [point.vector for point in points]
            if start is None:
                break
        return np.array(ids, np.int64), np.array(vectors, np.float32)

    def add(self, vectors: FloatArray, ids: IntArray) -> None:
        """Write points; the folder is made if it is not there."""
        with self._lock:
            if self._shard is None:
                self._make(vectors.shape[1])
            edge = _edge()
            points = [
                edge.Point(id=key, vector=row)
                for key, row in zip(ids.tolist(), vectors.tolist(), strict=True)
            ]
            self._try(lambda: self._shard.update(edge.UpdateOperation.upsert_points(points)))

    def remove(self, ids: IntArray) -> None:
        """Remove points."""
        operation = _edge().UpdateOperation.delete_points(ids.tolist())
        with self._lock:
            self._try(lambda: self._shard.update(operation))

    def search(
        self, queries: FloatArray, k: int, candidates: int | None
    ) -> list[list[tuple[int, float]]]:
        """Return the best `k` points of each query; None as candidates: of all of them."""
        edge = _edge()
        params = edge.SearchParams(hnsw_ef=candidates, exact=candidates is None)
        requests = [
            edge.QueryRequest(query=edge.Query.Nearest(row), limit=k, params=params)
            for row in queries.tolist()
        ]
        batch = edge.QueryBatchRequest(requests)
        found = self._try(lambda: self._shard.query_batch(batch))
        return [[(point.id, point.score) for point in points] for points in found]

    def settle(self) -> None:
        """Build what searches by graph, let go of what was removed, and write all to the disk."""
        with self._lock:
            if self._shard is not None:
                self._try(self._shard.optimize)
                self._try(self._shard.flush)

    def __del__(self) -> None:
        # Of a folder that could not be opened there may be less.
        if getattr(self, "_shard", None) is not None:
            self._shard.close()
        if hasattr(self, "_held"):
            os.close(self._held)

    def _make(self, dim: int) -> None:
        edge = _edge()
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(
                size=dim, distance=getattr(edge.Distance, _NAMES[self.metric])
            ),
            # Its log would keep what was removed. All is written to the disk when it is saved.
            wal_enabled=False,
            # Nothing that is removed stays, however little it is.
            optimizers=edge.EdgeOptimizersConfig(
                deleted_threshold=1e-9, vacuum_min_vector_number=1
            ),
        )
        self._shard = self._try(lambda: edge.EdgeShard.create(str(self.path / _POINTS), config))
        self._try(self._shard.flush)
        self.dim = dim
        about = {"format": _FORMAT, "kind": "qdrant", "metric": self.metric, "dim": dim}
        write_whole(self.path / _ABOUT, json.dumps(about).encode())

    def _known_dim(self) -> int | None:
        about = self.path / _ABOUT
        if not about.exists():
            others = sorted(p.name for p in self.path.iterdir() if p.name != _LOCK)
            if others:
                raise SavedModelError(
                    f"{self.path} must be empty or hold an index; it holds {others[0]!r}."
                )
            return None
        try:
            said = json.loads(about.read_bytes())
            found, metric, dim = said["format"], said["metric"], int(said["dim"])
        except (ValueError, KeyError, TypeError) as error:
            raise SavedModelError(f"{about} is damaged: {error}.") from error
        if found != _FORMAT:
            raise SavedModelError(f"{about} is of format {found!r}; wanted {_FORMAT}.")
        if metric != self.metric:
            raise _wrong_metric(self.path, metric, self.metric)
        return dim

    def _try(self, work: Any) -> Any:
        try:
            return work()
        # What comes from Rust has no class of its own.
        except Exception as error:
            raise IndexUnavailableError(f"the index in {self.path} cannot be used: {error}") from (
                error
            )


def _hold(path: Path) -> int:
    """Return the open file whose lock says that this process has a folder open."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise IndexUnavailableError(f"path {path} cannot be written to: {error}.") from error
    try:
        _lock(held)
    except OSError as error:
        os.close(held)
        raise IndexUnavailableError(
            f"{path} is open in another process; an embedded index serves one at a time "
            "(give `url` of a server for several)."
        ) from error
    return held


def _lock(held: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(held, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _wrong_metric(path: Path, found: str, wanted: str) -> SavedModelError:
    return SavedModelError(f"{path} holds an index of metric {found!r}; wanted {wanted!r}.")


def _edge() -> Any:
    try:
        import qdrant_edge
    except ImportError as error:
        raise InvalidParameterError(
            'index "qdrant" in a folder needs qdrant-edge-py: pip install "siamesekit[qdrant]".'
        ) from error
    return qdrant_edge
