"""Labels of any kind as int64 codes, compared exactly."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError

__all__ = ["encode", "encode_together"]

_Array = npt.NDArray[np.generic]


def encode(name: str, values: ArrayLike, n: int) -> tuple[_Array, IntArray]:
    """Return the sorted distinct values, and the code (their position) of each of `n` values.

    Raises
    ------
    InvalidDataError
        If there are not `n` of them in one dimension, or they cannot be told apart.
    """
    array = _column(name, values)
    if len(array) != n:
        raise InvalidDataError(f"{name} must hold one entry an item ({n}); got {len(array)}.")
    return _distinct(name, array)


def encode_together(
    name: str, values: ArrayLike, other_name: str, others: ArrayLike
) -> tuple[IntArray, IntArray]:
    """Return codes of `values` and of `others`, equal where the labels are equal.

    Raises
    ------
    InvalidDataError
        If one is of text and the other of numbers, or either is not one-dimensional.
    """
    first, second = _column(name, values), _column(other_name, others)
    numeric = [array.dtype.kind in "biuf" for array in (first, second)]
    if numeric[0] != numeric[1] and "O" not in (first.dtype.kind, second.dtype.kind):
        raise InvalidDataError(
            f"{name} and {other_name} must be of one kind; got {first.dtype} and {second.dtype}."
        )
    if first.dtype != second.dtype and all(numeric):
        # NumPy would join int64 and uint64 as float64, in which large labels run together.
        first, second = first.astype(object), second.astype(object)
    codes = _distinct(name, np.concatenate([first, second]))[1]
    return codes[: len(first)], codes[len(first) :]


def _column(name: str, values: ArrayLike) -> _Array:
    array: _Array = values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1:
        raise InvalidDataError(f"{name} must be one-dimensional; got shape {array.shape}.")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InvalidDataError(f"{name} must not hold NaN.")
    return array


def _distinct(name: str, array: _Array) -> tuple[_Array, IntArray]:
    try:
        values, codes = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise InvalidDataError(f"{name} must be of one kind that can be sorted: {error}.") from None
    return values, codes.astype(np.int64)
