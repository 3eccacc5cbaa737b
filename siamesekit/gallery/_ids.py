"""Ids of enrolled examples and of vectors in an index: whole numbers, each there once."""

import numpy as np
from torch import Tensor

from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError

__all__ = ["as_ids", "check_distinct"]


def as_ids(values: ArrayLike, name: str = "ids", n: int | None = None) -> IntArray:
    """Return ids as int64.

    Parameters
    ----------
    values : array-like or Tensor of int, shape (n,)
        At least 0 and below 2**63.
    name : str
        How to call them in an error.
    n : int, optional
        How many there must be.

    Raises
    ------
    InvalidDataError
        If they are not so.
    """
    try:
        given = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(f"{name} must be integers of one regular array: {error}.") from error
    if array.ndim == 1 and array.size == 0:
        array = np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidDataError(
            f"{name} must be integers of shape (n,); got {array.dtype} of shape {array.shape}."
        )
    if len(array) and (int(array.min()) < 0 or int(array.max()) >= 2**63):
        raise InvalidDataError(f"{name} must be at least 0 and below 2**63.")
    if n is not None and len(array) != n:
        raise InvalidDataError(
            f"{name} must hold one id a vector: {n} vectors were given {len(array)} ids."
        )
    return array.astype(np.int64)


def check_distinct(ids: IntArray, name: str = "ids") -> None:
    """Raise `InvalidDataError` if an id is there twice."""
    if (ids[1:] > ids[:-1]).all():  # as they are when they were counted up
        return
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise InvalidDataError(f"{name} must be distinct; {twice[0]} is there twice.")
