"""Lists of items: arrays, tensors, pictures or nested lists, put into one array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["as_array", "is_list_of_items", "stack_items"]


def is_list_of_items(X: Any) -> bool:
    """Return whether `X` is a list or tuple of arrays, tensors, pictures or lists."""
    return isinstance(X, list | tuple) and len(X) > 0 and any(map(_is_item, X))


def stack_items(X: Sequence[Any], name: str) -> np.ndarray:
    """Return the items of a list as one array, shape (n, …).

    Raises
    ------
    InvalidDataError
        If an item is no array of numbers, or is of another shape or kind of number than the
        first; it is named.
    """
    arrays = [as_array(item, f"{name}[{k}]") for k, item in enumerate(X)]
    first = arrays[0]
    for k, array in enumerate(arrays):
        if array.shape != first.shape:
            raise InvalidDataError(
                f"{name} must hold items of one shape; {name}[0] has {first.shape} and "
                f"{name}[{k}] has {array.shape}."
            )
        if array.dtype != first.dtype and not _is_list(X[k]):
            raise InvalidDataError(
                f"{name} must hold items of one type; {name}[0] is of {first.dtype} and "
                f"{name}[{k}] of {array.dtype}."
            )
    return np.stack(arrays)


def _is_item(item: Any) -> bool:
    return _is_list(item) or getattr(item, "ndim", 0) > 0 or hasattr(item, "__array_interface__")


def _is_list(item: Any) -> bool:
    return isinstance(item, list | tuple)


def as_array(item: Any, name: str) -> np.ndarray:
    """Return one item as an array.

    Raises
    ------
    InvalidDataError
        If it is masked, a picture with a palette, or no regular array; it is named.
    """
    if isinstance(item, Tensor):
        item = item.detach().cpu()
        item = item.float() if item.is_floating_point() and item.itemsize == 2 else item
    if isinstance(item, np.ma.MaskedArray) and np.ma.is_masked(item):
        raise InvalidDataError(f"{name} must hold a number everywhere; some are masked.")
    # A palette's bytes are numbers of colours, not brightness.
    if getattr(item, "mode", None) == "P":
        raise InvalidDataError(
            f"{name} must hold grey or colour values; it is a picture with a palette. "
            "Convert it: .convert('RGB')."
        )
    try:
        return np.asarray(item)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(f"{name} must hold numbers in one regular array: {error}") from error
