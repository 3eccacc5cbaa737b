"""Arrays that a user gives, checked and brought into one form."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError

__all__ = ["as_items"]

_RANKS = "(n, f), (n, h, w) or (n, c, h, w)"


def as_items(X: ArrayLike, name: str = "X") -> Tensor:
    """Return items as a tensor of shape ``(n, f)`` or ``(n, c, h, w)``.

    Parameters
    ----------
    X : array-like or Tensor, shape (n, f), (n, h, w) or (n, c, h, w)
        Of uint8 (0 to 255), bool, or real numbers.
    name : str
        How to call `X` in an error.

    Returns
    -------
    Tensor of uint8, bool or float32
        Bytes stay bytes (they become numbers in [0, 1] batch by batch); other numbers become
        float32. Where nothing has to change, the memory is that of `X`.

    Raises
    ------
    InvalidDataError
        If the rank or the type is another, there are no items, or a number is NaN, infinite or
        beyond float32.
    TypeError
        If an item of an object array is no number.
    """
    items = X.detach() if isinstance(X, Tensor) else _from_array(np.asarray(X), name)
    if items.ndim not in (2, 3, 4):
        raise InvalidDataError(
            f"{name} must have shape {_RANKS}; got an array of shape {tuple(items.shape)}."
        )
    if 0 in items.shape:
        raise InvalidDataError(
            f"{name} must hold at least one item; got an array of shape {tuple(items.shape)}."
        )
    if items.dtype not in (torch.uint8, torch.bool):
        if items.is_complex():
            raise InvalidDataError(f"{name} must be real; complex data is not supported.")
        items = items.to(torch.float32)
        if not bool(torch.isfinite(items).all()):
            raise InvalidDataError(
                f"{name} contains NaN, infinity or a value too large for float32."
            )
    return items.unsqueeze(1) if items.ndim == 3 else items


def _from_array(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind == "c":
        raise InvalidDataError(f"{name} must be real; complex data is not supported.")
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except ValueError as error:
            raise InvalidDataError(
                f"{name} must hold numbers in one regular array of shape {_RANKS}: {error}"
            ) from error
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"{name} must hold numbers; got an array of type {array.dtype}.")
    if array.dtype not in (np.uint8, np.bool_):
        # Wider than float32 overflows to infinity, which the caller reports.
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)
