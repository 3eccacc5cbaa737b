"""What every index is: vectors under ids, and the nearest of them to a query."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_integer, check_path
from siamesekit._files import write_whole
from siamesekit._params import Part
from siamesekit._types import ArrayLike, FloatArray, IntArray, Neighbours
from siamesekit.errors import InvalidDataError, SavedModelError
from siamesekit.gallery._ids import as_ids, check_distinct
from siamesekit.gallery.indexes import _container

__all__ = ["METRICS", "Index", "Metric", "are_among"]

Metric = Literal["cosine", "euclidean", "dot"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Index(Part, ABC):
    """Vectors under ids; finds the nearest to a query.

    Knows vectors, ids and a metric, and nothing of classes or heads. A score is the cosine, minus
    the Euclidean distance, or the dot product: higher = more alike. This class keeps the door;
    subclasses write what stands below it.

    Parameters
    ----------
    metric : {"cosine", "euclidean", "dot"}
    """

    kind: ClassVar[str]
    """Name in the registry."""

    is_elsewhere: bool = False
    """Whether its vectors lie in a store that its files only say the place of."""

    def __init__(self, metric: Metric = "cosine") -> None:
        check_choice("metric", metric, METRICS)
        self.metric = metric

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of vectors."""

    @property
    @abstractmethod
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there has been none."""

    # -- the door -----------------------------------------------------------------------------

    def add(self, vectors: ArrayLike, ids: ArrayLike) -> None:
        """Add vectors.

        Parameters
        ----------
        vectors : array-like or Tensor of float, shape (n, d)
            Finite; of the length of those that are here.
        ids : array-like of int, shape (n,)
            At least 0 and below 2**63; none that is here, and none twice.

        Raises
        ------
        InvalidDataError
            If they are not so. The index is then as it was.
        """
        array = self._check_vectors(vectors, "vectors")
        keys = as_ids(ids, n=len(array))
        check_distinct(keys)
        if (taken := self._holds(keys)).any():
            raise InvalidDataError(f"ids must be new; {keys[taken][0]} is in the index already.")
        if len(keys):
            self._add(array, keys)

    def remove(self, ids: ArrayLike) -> None:
        """Remove vectors, without a trace in what is saved afterwards.

        Parameters
        ----------
        ids : array-like of int, shape (n,)

        Raises
        ------
        InvalidDataError
            If one of them is not here; nothing is then removed.
        """
        keys = np.unique(as_ids(ids))
        if (missing := ~self._holds(keys)).any():
            raise InvalidDataError(f"ids must be in the index; {keys[missing][0]} is not.")
        if len(keys):
            self._remove(keys)

    def holds(self, ids: ArrayLike) -> np.ndarray:
        """Return which ids are here, shape (n,) of bool.

        Parameters
        ----------
        ids : array-like of int, shape (n,)
        """
        return self._holds(as_ids(ids))

    def search(self, vectors: ArrayLike, k: int) -> Neighbours:
        """Return the nearest vectors of each query.

        Parameters
        ----------
        vectors : array-like or Tensor of float, shape (m, d)
        k : int
            At least 1.

        Returns
        -------
        Neighbours
            ``min(k, len(self))`` columns, best first. An approximate index may miss some; where it
            finds fewer, the id is -1 and the score minus infinity.

        Raises
        ------
        InvalidDataError
            If the queries are not finite, or of another length than the vectors here.
        InvalidParameterError
            If `k` is no integer of at least 1.
        """
        check_integer("k", k, low=1)
        queries = self._check_vectors(vectors, "vectors")
        columns = min(k, len(self))
        if columns == 0 or len(queries) == 0:
            shape = (len(queries), columns)
            return Neighbours(np.empty(shape, np.int64), np.empty(shape, np.float32))
        return self._search(queries, columns)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to one file, which is at every moment the old one or the new.

        Parameters
        ----------
        path : path-like
        """
        target = check_path("path", path)
        target.parent.mkdir(parents=True, exist_ok=True)
        facts, arrays = self._state()
        write_whole(target, _container.pack(self.kind, self.saved_params() | facts, arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the index that `save` wrote.

        Raises
        ------
        SavedModelError
            If the file is missing, damaged, or of another kind of index.
        """
        facts, arrays = cls._read(path)
        index = cls(**{name: facts[name] for name in cls.parameter_names()})
        index._restore(facts, arrays)
        return index

    @classmethod
    def _read(cls, path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return facts and arrays of the file that `save` wrote."""
        source = check_path("path", path)
        if not source.is_file():
            raise SavedModelError(f"{source} is no file of an index.")
        facts, arrays, _ = _container.unpack(source, cls.kind)
        return facts, arrays

    # -- below it -----------------------------------------------------------------------------

    @abstractmethod
    def _holds(self, ids: IntArray) -> np.ndarray:
        """Return which ids are here, shape (n,) of bool."""

    @abstractmethod
    def _add(self, vectors: FloatArray, ids: IntArray) -> None: ...

    @abstractmethod
    def _remove(self, ids: IntArray) -> None: ...

    @abstractmethod
    def _search(self, queries: FloatArray, k: int) -> Neighbours: ...

    @abstractmethod
    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what json can hold, and arrays, of all that is here and nothing that was."""

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take in what `_state` returned, here vectors and ids; the index is empty."""
        if len(arrays["ids"]):
            self.add(arrays["vectors"], arrays["ids"])

    def _check_vectors(self, vectors: ArrayLike, name: str) -> FloatArray:
        array = _as_array(vectors, name)
        if array.ndim != 2 or array.dtype.kind not in "fiub" or array.shape[1] == 0:
            raise InvalidDataError(
                f"{name} must be numbers of shape (n, d), d at least 1; "
                f"got {array.dtype} of shape {array.shape}."
            )
        if (dim := self.dim) is not None and array.shape[1] != dim:
            raise InvalidDataError(
                f"{name} must have {dim} numbers each, as those in the index; got {array.shape[1]}."
            )
        with np.errstate(over="ignore"):
            floats = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(floats).all():
            row = np.flatnonzero(~np.isfinite(floats).all(1))[0]
            raise InvalidDataError(f"{name} must be finite in float32; number {row} is not.")
        return floats


def _as_array(values: ArrayLike, name: str) -> np.ndarray:
    given: object = values
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
        given = (tensor if tensor.layout == torch.strided else tensor.to_dense()).numpy()
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InvalidDataError(f"{name} must be one regular array: {error}.") from error


def are_among(ids: IntArray, places: Mapping[int, int]) -> np.ndarray:
    """Return which ids have a place, shape (n,) of bool."""
    return np.fromiter((key in places for key in ids.tolist()), bool, len(ids))
