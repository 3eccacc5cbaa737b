"""What users hand to an estimator, checked at the door."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from siamesekit._types import ArrayLike, IntArray, Shape
from siamesekit.data import as_items
from siamesekit.errors import InvalidDataError

__all__ = ["check_groups", "check_items", "check_labels", "encode"]


def check_items(
    estimator: Any, X: ArrayLike, *, expected: Shape | None = None, name: str = "X"
) -> Tensor:
    """Return items as a tensor; see `as_items`.

    Parameters
    ----------
    estimator : object
        Its ``n_features_in_`` and ``feature_names_in_`` are set in training on vectors (where
        `expected` is None) and checked against later.
    X : array-like, shape (n, f), (n, h, w) or (n, c, h, w)
    expected : tuple of int, optional
        Shape of an item seen in training.
    name : str
        How to call `X` in an error.

    Raises
    ------
    InvalidDataError
        If an item has another shape than `expected`, or as `as_items` says.
    ValueError
        For vectors, as scikit-learn's ``validate_data`` says.
    """
    if not isinstance(X, Tensor):
        is_images = hasattr(X, "ndim") and X.ndim > 2
        vectors = expected is None or len(expected) == 1
        if vectors and not is_images:
            X = validate_data(
                estimator, X, reset=expected is None, dtype=None, ensure_all_finite=False
            )
    items = as_items(X, name)
    shape = tuple(items.shape[1:])
    if expected is not None and shape != expected:
        raise InvalidDataError(
            f"{name} must hold items of shape {expected}, as in training; got {shape}."
        )
    return items


def check_labels(y: ArrayLike, n: int, name: str = "y") -> np.ndarray:
    """Return labels as an array of shape (n,).

    Raises
    ------
    InvalidDataError
        If there is not one label an item.
    ValueError
        If they are not class labels (scikit-learn's ``check_classification_targets``).
    """
    if y is None:
        raise InvalidDataError(
            f"{name} must hold one label an item; requires {name} to be passed, but the target "
            f"{name} is None."
        )
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    labels: np.ndarray = column_or_1d(np.asarray(y), warn=True)
    if len(labels) != n:
        raise InvalidDataError(
            f"{name} must hold one label an item: {n} items were given {len(labels)}."
        )
    check_classification_targets(labels)
    return labels


def check_groups(groups: ArrayLike | None, labels: IntArray) -> IntArray | None:
    """Return groups as codes of shape (n,), or None.

    Parameters
    ----------
    groups : array-like, shape (n,), or None
    labels : ndarray of int64, shape (n,)

    Raises
    ------
    InvalidDataError
        If there is not one group an item.
    """
    if groups is None:
        return None
    return encode(check_labels(groups, len(labels), "groups"))[1]


def encode(labels: np.ndarray) -> tuple[np.ndarray, IntArray]:
    """Return the sorted classes, and the position of each label among them."""
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes.astype(np.int64)
