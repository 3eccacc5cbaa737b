"""What users hand to an evaluation: arrays, embeddings and labels, brought into one form."""

import numpy as np
from torch import Tensor

from siamesekit._types import ArrayLike, IntArray
from siamesekit.data import as_items
from siamesekit.errors import InvalidDataError

__all__ = ["as_array", "as_labels", "as_vectors", "label_codes"]


def as_array(values: ArrayLike) -> np.ndarray:
    """Return an array-like or a tensor on any device as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_vectors(values: ArrayLike, name: str) -> Tensor:
    """Return embeddings as a tensor of float32, shape (n, d), on their own device.

    Raises
    ------
    InvalidDataError
        If the shape is another, there are none, or a number is not finite in float32.
    """
    vectors = values if isinstance(values, Tensor) else np.asarray(values)
    if vectors.ndim != 2:
        raise InvalidDataError(
            f"{name} must hold embeddings of shape (n, d); got shape {tuple(vectors.shape)}."
        )
    return as_items(vectors, name).float()


def as_labels(values: ArrayLike, n: int, name: str) -> np.ndarray:
    """Return `n` labels as an array of shape (n,), of the type they came in.

    Raises
    ------
    InvalidDataError
        If the shape is another, or a label is NaN, which equals no label.
    """
    labels = as_array(values)
    if labels.shape != (n,):
        raise InvalidDataError(
            f"{name} must hold one label an embedding, of shape ({n},); got shape {labels.shape}."
        )
    if labels.dtype.kind in "fO" and bool(np.not_equal(labels, labels).any()):
        raise InvalidDataError(f"{name} must not hold NaN, which equals no label.")
    return labels


def label_codes(*labels: np.ndarray) -> list[IntArray]:
    """Return integers that are equal where labels are equal, across all the given arrays.

    Labels are never rounded: arrays of different kinds (int64 beside uint64 or float, say), and
    objects, are compared as Python compares them.

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
    if len(kinds) == 1 and kinds != {"O"}:
        codes = np.unique(np.concatenate(labels), return_inverse=True)[1].astype(np.int64)
    else:
        codes = _codes_of_objects([label for array in labels for label in array.tolist()])
    return np.split(codes, np.cumsum([len(array) for array in labels])[:-1])


def _codes_of_objects(labels: list[object]) -> IntArray:
    seen: dict[object, int] = {}
    try:
        return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)
    except TypeError as error:
        raise InvalidDataError(f"labels must be numbers, strings or hashable: {error}.") from error
