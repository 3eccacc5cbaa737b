"""Class labels, kept as they came: never rounded, never turned into another kind.

One rule for all floors. A label is a number, a boolean or a string; the labels of one set are of
one of these kinds, since ``True == 1`` and ``str(1) == "1"`` would melt classes into one. Numbers
are compared exactly: ids of 60 bits stay apart, also beside other integer types.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import shown
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError

__all__ = ["among", "as_classes", "as_labels", "check_same_kind", "join_labels", "label_kind"]

_KINDS = {"b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers", "U": "strings"}
_WANTED = "numbers, booleans or strings, all of one kind"
# Up to here every whole number has a float64 of its own.
_EXACT = 2**53


def as_labels(values: ArrayLike, name: str = "y", n: int | None = None) -> np.ndarray:
    """Return labels as an array of shape (n,), of the type they came in.

    Parameters
    ----------
    values : array-like or Tensor, shape (n,)
        Numbers, booleans or strings, all of one kind. Lists are looked at before NumPy makes one
        type of them; Python integers may be of any length.
    name : str
        How to call them in an error.
    n : int, optional
        How many there must be.

    Returns
    -------
    ndarray
        Of bool, an integer or a float type, ``str``, or object (Python strings, or integers
        beyond 64 bits).

    Raises
    ------
    InvalidDataError
        If the shape is another, a label is missing (NaN, None, NaT, masked) or infinite, or
        labels are of several kinds or of none of the three.
    """
    labels = _as_array(values, name)
    if labels.ndim != 1:
        raise InvalidDataError(
            f"{name} must hold one label an item, of shape (n,); got shape {labels.shape}."
        )
    if n is not None and len(labels) != n:
        raise InvalidDataError(
            f"{name} must hold one label an item: {n} items were given {len(labels)}."
        )
    if labels.dtype == object:
        return _of_one_kind(labels, name)
    if labels.dtype.kind not in _KINDS:
        raise InvalidDataError(f"{name} must hold {_WANTED}; got {_named(labels.dtype)}.")
    if labels.dtype.kind == "f":
        _check_finite(labels, name)
    return labels


def as_classes(values: ArrayLike, name: str = "classes") -> np.ndarray:
    """Return one label or several (a set will do) as an array of shape (k,); see `as_labels`."""
    if isinstance(values, set | frozenset):
        return as_labels(list(values), name)
    is_one = isinstance(values, str | np.generic) or not isinstance(values, Iterable)
    if is_one or getattr(values, "ndim", None) == 0:
        return as_labels([values], name)  # type: ignore[arg-type]
    return as_labels(values, name)


def label_kind(labels: np.ndarray) -> str:
    """Return ``"booleans"``, ``"numbers"`` or ``"strings"``: what an `as_labels` array holds."""
    if labels.dtype != object:
        return _KINDS[labels.dtype.kind]
    # `as_labels` lets only strings and long integers stay objects, so one of them tells.
    return "numbers" if len(labels) and isinstance(labels[0], int) else "strings"


def among(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return whether each of `labels`, (n,), is one of `classes`; none is of another kind."""
    if not len(labels) or not len(classes) or label_kind(labels) != label_kind(classes):
        return np.zeros(len(labels), dtype=bool)
    known = set(classes.tolist())
    return np.array([label in known for label in labels.tolist()], dtype=bool)


def check_same_kind(labels: np.ndarray, known: np.ndarray, name: str = "y") -> None:
    """Raise `InvalidDataError` unless `labels` are of the kind of the labels already `known`."""
    if len(known) and len(labels) and label_kind(labels) != label_kind(known):
        raise InvalidDataError(
            f"{name} must hold {label_kind(known)}, as the classes already enrolled do; "
            f"got {label_kind(labels)}."
        )


def join_labels(known: np.ndarray, labels: np.ndarray, name: str = "y") -> np.ndarray:
    """Return `labels` behind those already `known`, each exactly what it was.

    Parameters
    ----------
    known, labels : ndarray, shape (n,) and (m,)
        As `as_labels` returns them.
    name : str
        How to call `labels` in an error.

    Returns
    -------
    ndarray, shape (n + m,)
        Integers stay integers: in a type that holds them all, or as Python's where there is none.

    Raises
    ------
    InvalidDataError
        If the kinds differ, or a number would have to be rounded.
    """
    check_same_kind(labels, known, name)
    if len(known) == 0 or len(labels) == 0:
        return (labels if len(known) == 0 else known).copy()
    if label_kind(known) != "numbers" or known.dtype == labels.dtype:
        return np.concatenate([known, labels])
    if known.dtype.kind == "f":
        return np.concatenate([known, _exact_floats(labels, name)])
    if labels.dtype.kind == "f":
        labels = _exact_integers(labels, name)
    return _join_integers(known, labels)


def _as_array(values: ArrayLike, name: str) -> np.ndarray:
    if values is None:
        raise InvalidDataError(f"{name} must hold one label an item; got None.")
    if isinstance(values, Tensor):
        if values.is_floating_point():
            values = values.detach().double()
        values = values.to_dense() if values.layout != torch.strided else values
        return values.detach().cpu().numpy()
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            where = np.flatnonzero(np.ma.getmaskarray(values))[0]
            raise InvalidDataError(
                f"{name} must hold a label for every item; the label at position {where} is masked."
            )
        return np.asarray(values.data)
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    if isinstance(values, list | tuple):
        return _from_list(list(values), name)
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"{name} must be one list of labels: {error}.") from error


def _from_list(values: list[object], name: str) -> np.ndarray:
    values = [_plain(value) for value in values]
    if any(isinstance(value, list | tuple | np.ndarray) for value in values):
        try:
            shape = np.shape(np.array(values, dtype=object))
        except ValueError:
            shape = (len(values),)
        raise InvalidDataError(
            f"{name} must hold one label an item, of shape (n,); got lists in a list, "
            f"of shape {shape}."
        )
    labels = np.empty(len(values), dtype=object)
    labels[:] = values
    if values and all(isinstance(value, str) for value in values):
        fixed = np.array(values)
        # NumPy's own strings lose what a zero character ends.
        return fixed if fixed.tolist() == values else labels
    return labels


def _plain(value: object) -> object:
    """Return the scalar that an array or a tensor of no dimensions is."""
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 0:
        return value.item()
    return value


def _of_one_kind(labels: np.ndarray, name: str) -> np.ndarray:
    """Return an array of objects as one of bool, int or float, or of objects of one kind."""
    if len(labels) == 0:
        return labels
    first = {_object_kind(label): k for k, label in reversed(list(enumerate(labels)))}
    if len(first) > 1 or None in first:
        found = " and ".join(shown(labels[k]) for k in sorted(first.values())[:3])
        raise InvalidDataError(f"{name} must hold {_WANTED}; got {found}.")
    (kind,) = first
    values = labels.tolist()
    if kind == "strings":
        return labels
    if kind == "booleans":
        return np.array(values, dtype=bool)
    if all(isinstance(value, int | np.integer) for value in values):
        return _integers([int(value) for value in values])
    return _mixed_numbers(values, name)


def _object_kind(label: object) -> str | None:
    if isinstance(label, bool | np.bool_):
        return "booleans"
    if isinstance(label, int | float | np.integer | np.floating):
        return "numbers"
    return "strings" if isinstance(label, str) else None


def _integers(values: list[int]) -> np.ndarray:
    """Return Python's integers in the first type that holds them all: int64, uint64, object."""
    low, high = min(values), max(values)
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return np.array(values, dtype=dtype)
    return np.array(values, dtype=object)


def _mixed_numbers(values: list[object], name: str) -> np.ndarray:
    whole = [value for value in values if isinstance(value, int | np.integer)]
    too_long = [value for value in whole if abs(int(value)) > _EXACT]
    if too_long:
        raise InvalidDataError(
            f"{name} must not hold the integer {too_long[0]} beside floats, which would round it."
        )
    numbers = np.array(values, dtype=np.float64)
    _check_finite(numbers, name)
    return numbers


def _check_finite(labels: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(labels))
    if len(bad):
        what = "NaN, which equals no label," if np.isnan(labels[bad[0]]) else "infinity"
        raise InvalidDataError(f"{name} must not hold {what} as at position {bad[0]}.")


def _exact_floats(labels: np.ndarray, name: str) -> np.ndarray:
    if labels.dtype.kind != "f" and any(abs(int(label)) > _EXACT for label in labels):
        raise InvalidDataError(
            f"{name} must hold floats, as the classes already enrolled do, or integers that a "
            f"float holds exactly; got {max(map(int, labels), key=abs)}."
        )
    return labels if labels.dtype.kind == "f" else labels.astype(np.float64)


def _exact_integers(labels: np.ndarray, name: str) -> np.ndarray:
    bad = labels[(labels != np.floor(labels)) | (np.abs(labels) > _EXACT)]
    if len(bad):
        raise InvalidDataError(
            f"{name} must hold integers, as the classes already enrolled do; got {shown(bad[0])}."
        )
    return labels.astype(np.int64)


def _join_integers(known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    common = np.result_type(known.dtype, labels.dtype)
    if common.kind in "iu":
        return np.concatenate([known.astype(common), labels.astype(common)])
    return _integers([*map(int, known), *map(int, labels)])


def _named(dtype: np.dtype) -> str:
    names = {"M": "dates", "m": "time spans", "S": "bytes", "c": "complex numbers", "V": "records"}
    named = names.get(dtype.kind, "values")
    return f"{named} (type {dtype}); labels.astype(str) makes strings of them"
