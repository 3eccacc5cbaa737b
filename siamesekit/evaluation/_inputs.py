"""The one door of all evaluations: arrays, embeddings, labels, pairs and scorers, checked.

Whatever holds the numbers (lists, NumPy of any byte order and stride, tensors, data frames) gives
the same figure; what would lose something on the way (a mask, an imaginary part, a string that
looks like a number) is refused by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from siamesekit._checks import check_callable, shown
from siamesekit._types import ArrayLike, IntArray
from siamesekit.data import as_items
from siamesekit.errors import InvalidDataError, InvalidParameterError

__all__ = [
    "Scorer",
    "as_array",
    "as_embedded",
    "as_labels",
    "as_numbers",
    "as_positions",
    "as_vectors",
    "check_both_kinds",
    "check_scorer",
    "checked_pairs",
    "checked_probabilities",
    "label_codes",
    "one_group_each",
    "scores_of",
]

Scorer = Callable[[Tensor, Tensor], Tensor]
"""From ``(m, d)`` and ``(n, d)`` to scores ``(m, n)``, higher = more alike: a head is one."""

_NUMBERS = (int, float, np.integer, np.floating, np.bool_)


def as_array(values: ArrayLike, name: str) -> np.ndarray:
    """Return an array-like or a tensor on any device as an array.

    Raises
    ------
    InvalidDataError
        If the array is masked, sparse or ragged.
    """
    if isinstance(values, Tensor):
        return _of_tensor(values)
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidDataError(
            f"{name} must be a plain array; got a masked array: fill or drop what is masked."
        )
    if sparse.issparse(values):
        raise InvalidDataError(
            f"{name} must be a dense array; got a sparse one: {name}.toarray() makes it dense."
        )
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(f"{name} must be one regular array: {error}.") from error


def as_numbers(values: ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return finite real numbers of any shape as float64.

    Raises
    ------
    InvalidDataError
        If they are no real numbers (strings that look like some are none), or not finite.
    """
    numbers = _real(as_array(values, name), name).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InvalidDataError(f"{name} must be finite; NaN or infinity found.")
    return numbers


def as_vectors(values: ArrayLike, name: str) -> Tensor:
    """Return embeddings as a tensor of float32, shape (n, d), on their own device.

    Raises
    ------
    InvalidDataError
        If the shape is another, there are none, or a number is not finite in float32.
    """
    vectors = values if isinstance(values, Tensor) else _real(as_array(values, name), name)
    if vectors.ndim != 2:
        raise InvalidDataError(
            f"{name} must hold embeddings of shape (n, d); got shape {tuple(vectors.shape)}."
        )
    return as_items(vectors, name).float()


def as_embedded(values: ArrayLike, name: str) -> Tensor:
    """Return what a scorer compares: embeddings (n, d) as float32, or images (n, …) as they are.

    Raises
    ------
    InvalidDataError
        As `as_vectors`.
    """
    items = values if isinstance(values, Tensor) else _real(as_array(values, name), name)
    if items.ndim <= 2:
        return as_vectors(items, name)
    return as_items(items.reshape(len(items), -1), name).reshape(items.shape)


def as_labels(
    values: ArrayLike, n: int | None, name: str, each: str = "label an embedding"
) -> np.ndarray:
    """Return `n` labels as an array of shape (n,), each what it was.

    Numbers and strings in one list stay numbers and strings, and whole numbers are not rounded.

    Parameters
    ----------
    values : array-like or Tensor, shape (n,)
    n : int or None
        None: as many as there are.
    name : str
    each : str
        What there is one of, for the error.

    Raises
    ------
    InvalidDataError
        If the shape is another, or a label is missing (NaN, NaT), which equals no label.
    """
    labels = _of_labels(values) if isinstance(values, list | tuple) else None
    labels = as_array(values, name) if labels is None else labels
    if labels.ndim != 1 or (n is not None and len(labels) != n):
        shape = f"({n if n is not None else 'n'},)"
        raise InvalidDataError(
            f"{name} must hold one {each}, of shape {shape}; got shape {labels.shape}."
        )
    if _any_missing(labels):
        raise InvalidDataError(f"{name} must not hold NaN, which equals no label.")
    return labels


def as_positions(values: ArrayLike, n: int, high: int, name: str) -> IntArray:
    """Return `n` whole numbers in ``[0, high)``.

    Raises
    ------
    InvalidDataError
        If there are more or fewer, one is no integer (True is none), or lies outside.
    """
    given = as_array(values, name)
    if given.shape != (n,):
        raise InvalidDataError(
            f"{name} must hold one entry a query, of shape ({n},); got shape {given.shape}."
        )
    wrong = given if given.dtype.kind not in "iu" else given[(given < 0) | (given >= high)]
    if len(wrong):
        raise InvalidDataError(
            f"{name} must hold integers in [0, {high - 1}]; got {wrong.tolist()[0]!r}."
        )
    positions: IntArray = given.astype(np.int64)
    return positions


def check_both_kinds(same: npt.NDArray[np.bool_]) -> None:
    """Raise `InvalidDataError` unless there are pairs of one class and pairs of two."""
    if same.all() or not same.any():
        raise InvalidDataError("same must hold pairs of one class and pairs of two; got one kind.")


def checked_pairs(
    scores: ArrayLike, same: ArrayLike, name: str = "scores"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the scores of pairs and whether each is of one class, both of shape (n,).

    In an error they are called `name`.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is no finite real number, `same` holds anything but True and
        False or 1 and 0, or there is no pair.
    """
    values, given = as_array(scores, name), as_array(same, "same")
    if values.ndim != 1 or values.shape != given.shape or len(values) == 0:
        raise InvalidDataError(
            f"{name} and same must have one shape (n,), n at least 1; "
            f"got {values.shape} and {given.shape}."
        )
    finite = as_numbers(values, name)
    if given.dtype == object:
        given = np.array(given.tolist())
    if given.dtype.kind not in "biuf" or not bool(np.isin(given, (0, 1)).all()):
        raise InvalidDataError("same must hold True and False, or 1 and 0.")
    return finite, given.astype(bool)


def checked_probabilities(
    probability: ArrayLike, same: ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the probabilities of pairs and whether each is of one class, both of shape (n,).

    Raises
    ------
    InvalidDataError
        As `checked_pairs`, or if a probability lies outside [0, 1].
    """
    values, truth = checked_pairs(probability, same, "probability")
    wrong = values[(values < 0) | (values > 1)]
    if len(wrong):
        raise InvalidDataError(f"probability must lie in [0, 1]; got {float(wrong[0])!r}.")
    return values, truth


def label_codes(*labels: np.ndarray) -> list[IntArray]:
    """Return integers that are equal where labels are equal, across all the given arrays.

    Labels are never rounded: arrays of different kinds (int64 beside uint64 or float, say), and
    objects, are compared as Python compares them. Codes follow the order of the labels, where
    they have one.

    Parameters
    ----------
    *labels : ndarray, shape (n,)

    Returns
    -------
    list of ndarray of int64
        Codes from 0 on, an array for each array.

    Raises
    ------
    InvalidDataError
        If an object cannot be a key of a dict.
    """
    kinds = {array.dtype.kind for array in labels}
    if len(kinds) == 1 and not kinds & {"O", "V"}:
        codes = np.unique(np.concatenate(labels), return_inverse=True)[1].astype(np.int64)
    else:
        codes = _codes_of_objects([label for array in labels for label in array.tolist()])
    return np.split(codes, np.cumsum([len(array) for array in labels])[:-1])


def one_group_each(codes: IntArray, groups: IntArray, labels: np.ndarray, what: np.ndarray) -> None:
    """Raise `InvalidDataError` if a class lies in two groups, naming them.

    Parameters
    ----------
    codes, groups : ndarray of int64, shape (n,)
    labels, what : ndarray, shape (n,)
        The labels and the names of the groups that the codes stand for.
    """
    _, first = np.unique(codes, return_index=True)
    other = np.flatnonzero(groups != groups[first][codes])
    if len(other):
        one, two = first[codes[other[0]]], other[0]
        label, here, there = (x.tolist() for x in (labels[[one]], what[[one]], what[[two]]))
        raise InvalidDataError(
            f"groups must hold one group a class; {label[0]!r} lies in {here[0]!r} and in "
            f"{there[0]!r}."
        )


def check_scorer(scorer: object) -> Scorer:
    """Return `scorer`; raise `InvalidParameterError` if it cannot be called."""
    if not callable(scorer):
        raise InvalidParameterError(
            "scorer must be a head or a callable from (m, d) and (n, d) to (m, n); "
            f"got {shown(scorer)}."
        )
    check_callable("scorer", scorer, "(a, b) -> scores, from (m, d) and (n, d) to (m, n)")
    return scorer


def scores_of(scorer: Scorer, a: Tensor, b: Tensor) -> Tensor:
    """Return the scores of all of `a` against all of `b`, checked, shape (m, n).

    Raises
    ------
    InvalidParameterError
        If `scorer` returns anything but a tensor of that shape.
    InvalidDataError
        If the scores are not finite floats.
    """
    scores: Any = scorer(a, b)
    expected = (len(a), len(b))
    if not isinstance(scores, Tensor) or scores.shape != expected:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InvalidParameterError(
            f"scorer must return a tensor of shape (m, n), here {expected}; got {got}."
        )
    if not scores.is_floating_point() or not bool(torch.isfinite(scores).all()):
        raise InvalidDataError(
            "scorer must return finite floats; "
            f"got {f'{scores.dtype}' if not scores.is_floating_point() else 'NaN or infinity'}."
        )
    return scores


def _of_tensor(values: Tensor) -> np.ndarray:
    tensor = values.detach().cpu()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    # NumPy has no bfloat16.
    array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _real(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of booleans, integers or floats; objects that are such as float64."""
    if array.dtype == object:
        flat = array.ravel().tolist()
        wrong = [value for value in flat if not isinstance(value, _NUMBERS)]
        if wrong:
            raise InvalidDataError(
                f"{name} must hold real numbers; got {shown(wrong[0])} of type "
                f"{type(wrong[0]).__name__}."
            )
        try:
            array = np.array([float(value) for value in flat]).reshape(array.shape)
        except OverflowError as error:
            raise InvalidDataError(f"{name} must hold finite numbers: {error}.") from error
    if array.dtype.kind == "c":
        raise InvalidDataError(f"{name} must be real; complex data is not supported.")
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(
            f"{name} must hold real numbers; got an array of type {array.dtype}."
        )
    return array


def _of_labels(values: Sequence[object]) -> np.ndarray | None:
    """Return scalars of a list as an array that keeps each, or None if they are no scalars."""
    kinds = {type(value) for value in values}
    if kinds <= {str} or any(issubclass(kind, list | np.ndarray | Tensor) for kind in kinds):
        return None
    labels = np.empty(len(values), dtype=object)
    labels[:] = values
    if len(kinds) == 1 and kinds != {tuple}:
        # NumPy rounds integers beyond 64 bits to floats.
        typed = np.asarray(values)
        return labels if typed.ndim != 1 or (kinds == {int} and typed.dtype.kind == "f") else typed
    return labels


def _any_missing(labels: np.ndarray) -> bool:
    if labels.dtype == object:
        return any(map(_is_missing, labels.tolist()))
    return labels.dtype.kind in "fcmM" and bool((labels != labels).any())


def _is_missing(label: object) -> bool:
    try:
        return bool(label != label)
    except (TypeError, ValueError):
        return True  # pandas.NA says neither


def _codes_of_objects(labels: list[object]) -> IntArray:
    seen: dict[object, int] = {}
    try:
        codes = np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)
    except TypeError as error:
        raise InvalidDataError(f"labels must be numbers, strings or hashable: {error}.") from error
    try:
        ordered = sorted(seen)  # type: ignore[type-var]
    except TypeError:
        return codes
    place = np.empty(len(seen), dtype=np.int64)
    place[[seen[label] for label in ordered]] = np.arange(len(seen))
    in_order: IntArray = place[codes]
    return in_order
