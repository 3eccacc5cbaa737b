"""Types that cross the floors."""

import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

__all__ = [
    "AGGREGATES",
    "Aggregate",
    "ArrayLike",
    "FloatArray",
    "IntArray",
    "ItemsLike",
    "Neighbours",
    "Pairs",
    "Shape",
    "Triplets",
    "Tuples",
]

ArrayLike = npt.ArrayLike | Tensor
ItemsLike = ArrayLike | Sequence[str | os.PathLike[str]] | Dataset[Any]
"""What an estimator takes for items: numbers, paths of files, or a map-style data set."""
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Shape = tuple[int, ...]
"""Shape of one item: ``(f,)`` for a vector, ``(c, h, w)`` for an image."""
Aggregate = Literal["prototype", "mean", "max"]
"""How the examples of one class make one score; see `siamesekit.gallery.Gallery`."""
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)


class Pairs(NamedTuple):
    """Chosen pairs: positions in the batch.

    Attributes
    ----------
    i, j : Tensor of int64, shape (k,)
        Row and column of the score matrix.
    """

    i: Tensor
    j: Tensor

    @staticmethod
    def empty(device: torch.device | str = "cpu") -> "Pairs":
        """Return a choice of no pairs."""
        none = torch.empty(0, dtype=torch.int64, device=device)
        return Pairs(none, none)


class Triplets(NamedTuple):
    """Chosen triplets: positions in the batch.

    Attributes
    ----------
    a, p, n : Tensor of int64, shape (k,)
        Anchor, positive (same class as the anchor, another item) and negative (another class).
    """

    a: Tensor
    p: Tensor
    n: Tensor

    @staticmethod
    def empty(device: torch.device | str = "cpu") -> "Triplets":
        """Return a choice of no triplets."""
        none = torch.empty(0, dtype=torch.int64, device=device)
        return Triplets(none, none, none)


class Neighbours(NamedTuple):
    """What a search of an index finds, best first.

    Attributes
    ----------
    ids : ndarray of int64, shape (m, k)
    scores : ndarray of float32, shape (m, k)
        Higher = more alike.
    """

    ids: IntArray
    scores: FloatArray


Tuples = Pairs | Triplets
