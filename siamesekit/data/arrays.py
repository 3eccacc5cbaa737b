"""Arrays that a user gives, checked and brought into one form."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import ArrayLike, Shape
from siamesekit.data._lists import is_list_of_items, stack_items
from siamesekit.errors import InvalidDataError

__all__ = ["as_items", "narrow", "raw_items"]

_RANKS = "(n, f), (n, h, w) or (n, c, h, w)"
# More channels than these are no picture; fewer rows or columns than these neither.
_CHANNELS = (1, 2, 3, 4)
# What torch computes with; the wider unsigned types it only stores.
_STORED_ONLY = (np.uint16, np.uint32, np.uint64)


class _InvalidTypeError(InvalidDataError, TypeError):
    """Data of a type that is no number at all (NumPy's and scikit-learn's word is TypeError)."""


def as_items(X: ArrayLike, name: str = "X") -> Tensor:
    """Return items as a tensor of shape ``(n, f)`` or ``(n, c, h, w)``.

    Parameters
    ----------
    X : array-like or Tensor, shape (n, f), (n, h, w), (n, c, h, w) or (n, h, w, c)
        Of uint8 (0 to 255), bool, or real numbers; or a list of such items. The channels may come
        last where that is plain: at most 4 of them, behind more than 4 rows and columns.
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
        If the rank or the type is another, there are no items, items differ in shape, or a number
        is missing, NaN, infinite or beyond float32.
    """
    return narrow(raw_items(X, name), name)


def raw_items(X: ArrayLike, name: str = "X", *, expected: Shape | None = None) -> Tensor:
    """Return items as a tensor of shape ``(n, f)`` or ``(n, c, h, w)``, in their own type.

    As `as_items`, but numbers are neither rounded to float32 nor asked whether they are finite.

    Parameters
    ----------
    X : array-like or Tensor
    name : str
    expected : tuple of int, optional
        Shape of an item that is looked for: channels are taken to be last only if they then fit.
    """
    items = _from_tensor(X, name) if isinstance(X, Tensor) else _from_array(_array(X, name), name)
    if items.ndim not in (2, 3, 4):
        raise InvalidDataError(
            f"{name} must have shape {_RANKS}; got an array of shape {tuple(items.shape)}."
            f"{_hint_of_rank(items)}"
        )
    if 0 in items.shape:
        raise InvalidDataError(
            f"{name} must hold at least one item; got an array of shape {tuple(items.shape)}."
        )
    if items.ndim == 3:
        return items.unsqueeze(1)
    return items if items.ndim == 2 else _channels_first(items, name, expected)


def narrow(items: Tensor, name: str = "X") -> Tensor:
    """Return items in uint8 or bool as they are, and other numbers as finite float32.

    Raises
    ------
    InvalidDataError
        If a number is NaN, infinite or beyond float32; it is named.
    """
    if items.dtype in (torch.uint8, torch.bool):
        return items
    items = items.to(torch.float32)
    finite = torch.isfinite(items)
    if not bool(finite.all()):
        item = int((~finite).flatten(1).any(1).nonzero()[0])
        raise InvalidDataError(
            f"{name} contains NaN, infinity or a value too large for float32, in item {item}."
        )
    return items


def _channels_first(items: Tensor, name: str, expected: Shape | None) -> Tensor:
    """Return images ``(n, c, h, w)`` of images whose channels come first or last."""
    first, height, last = items.shape[1:]
    moved = (last, first, height)
    if expected is not None:
        is_last = tuple(items.shape[1:]) != expected and moved == expected
        return items.permute(0, 3, 1, 2) if is_last else items
    if last not in _CHANNELS or first in (1, 3):
        return items
    if first > max(_CHANNELS) and height > max(_CHANNELS):
        return items.permute(0, 3, 1, 2)
    if first in _CHANNELS and last in (1, 3):
        raise InvalidDataError(
            f"{name} must have shape {_RANKS}; in shape {tuple(items.shape)} the channels may come "
            f"first or last. Where they are last, transpose: {name}.transpose(0, 3, 1, 2)."
        )
    return items


def _array(X: Any, name: str) -> np.ndarray:
    """Return what is no tensor as an array of NumPy's own class."""
    if isinstance(X, np.ma.MaskedArray):
        if np.ma.is_masked(X):
            item = int(np.argwhere(np.ma.getmaskarray(X))[0][0]) if X.ndim else 0
            raise InvalidDataError(
                f"{name} must hold a number everywhere; in item {item} one is masked. Fill it: "
                f"{name}.filled(0.0), say."
            )
        return np.asarray(X.data)
    # SciPy's sparse matrices would become an array of one object.
    if hasattr(X, "toarray"):
        raise _InvalidTypeError(
            f"{name} must be dense; got a sparse {type(X).__name__}. {name}.toarray() makes it so."
        )
    if is_list_of_items(X):
        return stack_items(X, name)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(
            f"{name} must hold numbers in one regular array of shape {_RANKS}: {error}"
        ) from error
    if array.dtype == object and array.ndim == 1 and is_list_of_items(array.tolist()):
        return stack_items(array.tolist(), name)
    return array


def _from_tensor(X: Tensor, name: str) -> Tensor:
    items = X.detach()
    if items.layout != torch.strided or items.is_quantized or items.is_meta:
        raise InvalidDataError(
            f"{name} must be a plain dense tensor; got one of layout {items.layout} on device "
            f"{items.device}."
        )
    if items.is_complex():
        raise InvalidDataError(f"{name} must be real. Complex data not supported.")
    if items.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return _from_array(items.cpu().numpy(), name).to(items.device)
    return items


def _from_array(array: np.ndarray, name: str) -> Tensor:
    if array.dtype == object:
        array = _from_objects(array, name)
    kind = array.dtype.kind
    if kind == "c":
        raise InvalidDataError(f"{name} must be real. Complex data not supported.")
    if kind not in "biuf":
        raise InvalidDataError(f"{name} must hold numbers; got an array of type {array.dtype}.")
    if array.dtype.newbyteorder("=") in _STORED_ONLY:
        fits = array.dtype.itemsize < 8 or array.size == 0 or array.max() < 2**63
        array = array.astype(np.int64 if fits else np.float64)
    elif kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of objects as one of numbers; a text that looks like one is none."""
    for index, value in enumerate(array.flat):
        if isinstance(value, str | bytes):
            raise InvalidDataError(
                f"{name} must hold numbers; got the text {value!r} in item "
                f"{index * len(array) // array.size}."
            )
        if isinstance(value, complex | np.complexfloating):
            raise InvalidDataError(f"{name} must be real. Complex data not supported.")
    try:
        whole = all(isinstance(value, int | np.integer) for value in array.flat)
        return np.asarray(array.tolist(), dtype=np.int64 if whole else np.float64)
    except OverflowError as error:
        raise InvalidDataError(
            f"{name} contains NaN, infinity or a value too large for float32: {error}."
        ) from error
    except ValueError as error:
        raise InvalidDataError(
            f"{name} must hold numbers in one regular array of shape {_RANKS}: {error}"
        ) from error
    except TypeError as error:
        raise _InvalidTypeError(f"{name} must hold numbers: {error}.") from error


def _hint_of_rank(items: Tensor) -> str:
    if items.ndim == 5 and items.shape[1] == 2:
        return " For pairs, give their two sides: similarity(X[:, 0], X[:, 1])."
    return " X[None] makes a batch of one item." if items.ndim == 1 else ""
