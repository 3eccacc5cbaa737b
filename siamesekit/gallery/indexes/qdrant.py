"""Vectors in Qdrant: in a folder within this process, or on a server."""

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from siamesekit._checks import check_flag, check_integer, check_path, shown
from siamesekit._types import FloatArray, IntArray, Neighbours
from siamesekit.errors import InvalidParameterError
from siamesekit.gallery.indexes._qdrant_client import Collection
from siamesekit.gallery.indexes._qdrant_edge import Folder
from siamesekit.gallery.indexes._store import StoreIndex
from siamesekit.gallery.indexes.base import Metric
from siamesekit.gallery.indexes.exact import unit
from siamesekit.registry import register

__all__ = ["QdrantIndex"]


@register("indexes", "qdrant")
class QdrantIndex(StoreIndex):
    """Vectors in Qdrant (extra ``qdrant``): embedded in a folder, or on a server.

    `path` or `url` is given, or neither: then the folder is a temporary one, which goes with the
    index, and files hold the vectors, as those of an index in memory do. The local mode of
    qdrant-client is never used: it is a hundred times slower than a plain comparison.

    Parameters
    ----------
    path : path-like, optional
        Folder of an embedded index (qdrant-edge-py), which is made if it is not there. One process
        at a time has it open; what was added since the last `save` may be lost in a crash.
    url : str, optional
        Of a server, ``"http://host:6333"`` (qdrant-client): for many machines.
    collection : str
        Name of the collection on the server.
    api_key : str, optional
        For the server, by default what the environment variable ``QDRANT_API_KEY`` says. It is
        written to no file.
    metric : {"cosine", "euclidean", "dot"}
    approximate : bool
        Search by a graph of near neighbours (HNSW). In a folder it is built by the first search
        after vectors were added; a server builds its own when it has many vectors.
    ef_search : int
        Candidates kept while a vector is searched for in a graph, at least 1.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed, or what it needs is not installed.
    IndexUnavailableError
        From any call: if the folder is open in another process, or the server cannot be reached.
    SavedModelError
        From any call: if folder or collection hold something else.

    Notes
    -----
    `save` rids the folder of what was removed. On a server a call of more than 1,000 vectors is
    several requests, and others may see part of it; removed vectors stay in the server's files
    until it optimises them.

    The embedded form is tested as all indexes are. For the other no server was at hand: its
    requests are tested against the engine that qdrant-client brings for tests, without a network.
    """

    kind: ClassVar[str] = "qdrant"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        collection: str = "siamesekit",
        api_key: str | None = None,
        metric: Metric = "cosine",
        approximate: bool = False,
        ef_search: int = 64,
    ) -> None:
        super().__init__(metric)
        if path is not None and url is not None:
            raise InvalidParameterError(
                "path and url must not both be given: a folder is for an index within this "
                "process, the url for that of a server."
            )
        if path is not None and _is_local_mode(path):
            raise _no_local_mode("path", path)
        self.path = None if path is None else check_path("path", path)
        self.url = None if url is None else _check_url(url)
        self.collection = _check_text("collection", collection)
        self.api_key = None if api_key is None else _check_key(api_key)
        self.approximate = check_flag("approximate", approximate)
        self.ef_search = check_integer("ef_search", ef_search, low=1)
        # Nothing that lies elsewhere: in a folder that nobody else knows.
        self.is_elsewhere = path is not None or url is not None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._opened: Folder | Collection | None = None
        self._opening = threading.Lock()
        self._is_settled = False

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._points)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""
        return self._points.dim

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a file where the vectors are, after all of them are on the disk.

        Parameters
        ----------
        path : path-like
        """
        self._points.settle()
        super().save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], api_key: str | None = None) -> Self:
        """Return the index whose place `save` wrote.

        Parameters
        ----------
        path : path-like
        api_key : str, optional
            For the server, by default what ``QDRANT_API_KEY`` says.

        Raises
        ------
        SavedModelError
            If the file is missing, damaged, or of another kind of index.
        """
        facts, arrays = cls._read(path)
        params = {name: facts[name] for name in cls.parameter_names() if name in facts}
        index = cls(**params, api_key=api_key)
        if not index.is_elsewhere and len(arrays["ids"]):
            index.add(arrays["vectors"], arrays["ids"])
        return index

    @property
    def _points(self) -> Folder | Collection:
        """Folder or server, opened by whom first needs it."""
        with self._opening:
            if self._opened is None and self.path is not None:
                self._opened = Folder.at(self.path, self.metric)
            elif self._opened is None and self.url is not None:
                self._opened = Collection(self.url, self.api_key, self.collection, self.metric)
            elif self._opened is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="siamesekit-")
                self._opened = Folder.at(Path(self._temporary.name), self.metric)
            return self._opened

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        points = self._points
        if self.is_elsewhere or not isinstance(points, Folder):
            return {}, {}
        ids, vectors = points.all()
        return {}, {"ids": ids, "vectors": vectors}

    def _holds(self, ids: IntArray) -> np.ndarray:
        return np.isin(ids, np.array(self._points.known(ids), np.int64))

    def _add(self, vectors: FloatArray, ids: IntArray) -> None:
        self._is_settled = False
        self._points.add(self._stored(vectors), ids)

    def _remove(self, ids: IntArray) -> None:
        self._points.remove(ids)

    def _search(self, queries: FloatArray, k: int) -> Neighbours:
        if self.approximate and not self._is_settled:
            self._points.settle()
            self._is_settled = True
        candidates = max(self.ef_search, k) if self.approximate else None
        found = self._points.search(self._stored(queries), k, candidates)
        ids = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        sign = -1 if self.metric == "euclidean" else 1
        for row, points in enumerate(found):
            ids[row, : len(points)] = [key for key, _ in points]
            scores[row, : len(points)] = [sign * score for _, score in points]
        return Neighbours(ids, scores)

    def _stored(self, vectors: FloatArray) -> FloatArray:
        return unit(vectors) if self.metric == "cosine" else vectors

    def saved_params(self) -> dict[str, Any]:
        """Return the arguments, without key and password."""
        params = self.get_params() | {
            "path": None if self.path is None else str(self.path.resolve())
        }
        params.pop("api_key")
        if self.url is not None:  # without a password that stands in it
            parts = urlsplit(self.url)
            params["url"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return params


def _is_local_mode(given: object) -> bool:
    return isinstance(given, str) and given.strip() == ":memory:"


def _no_local_mode(name: str, given: object) -> InvalidParameterError:
    return InvalidParameterError(
        f"{name} must not ask for qdrant-client's local mode, which is a hundred times slower than "
        f'a plain comparison; got {shown(given)}. Give path=<a folder>, or index "exact" for one '
        "in memory."
    )


def _check_url(url: object) -> str:
    if _is_local_mode(url):
        raise _no_local_mode("url", url)
    if isinstance(url, str):
        with suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") and parts.hostname:
                return url
    # Not shown where it may hold a password.
    got = "another string" if isinstance(url, str) and "@" in url else shown(url)
    raise InvalidParameterError(f'url must be as "http://host:6333"; got {got}.')


def _check_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or "/" in value:
        raise InvalidParameterError(
            f"{name} must be a name of one printable character or more, without a slash; "
            f"got {shown(value)}."
        )
    return value


def _check_key(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidParameterError("api_key must be a string of one printable character or more.")
    return value
