"""People who are neither trained on nor enrolled: by their searches thresholds are set."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._labels import as_labels
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError

__all__ = ["Background", "TooFewPeopleWarning", "as_groups", "as_searching"]


class TooFewPeopleWarning(UserWarning):
    """A promise is kept with less confidence than usual, for so few people can show no more."""


class Background(NamedTuple):
    """People who were neither trained on nor enrolled.

    Attributes
    ----------
    vectors : Tensor of float32, shape (n, d)
    labels : ndarray, shape (n,)
    groups : ndarray of int64, shape (n,), or None
        Number of the kind that each is of; None where everybody is of a kind of their own.
    searching : ndarray of bool, shape (n,), or None
        Which items are as searches are; None where all are, and as those enrolled are too.
    """

    vectors: Tensor
    labels: np.ndarray
    groups: IntArray | None = None
    searching: npt.NDArray[np.bool_] | None = None

    def chosen(self, some: npt.NDArray[np.bool_]) -> "Background":
        """Return some of them, as copies."""
        rows = torch.from_numpy(some).to(self.vectors.device)
        groups = None if self.groups is None else self.groups[some]
        searching = None if self.searching is None else self.searching[some]
        return Background(self.vectors[rows].clone(), self.labels[some], groups, searching)


def as_groups(groups: ArrayLike, labels: np.ndarray) -> IntArray:
    """Return the number of each group, of people who are of one group each."""
    own = as_labels(groups, "groups", len(labels))
    codes = np.unique(own, return_inverse=True)[1].astype(np.int64)
    people = np.unique(labels, return_inverse=True)[1]
    pairs = np.unique(np.stack([people, codes], 1), axis=0)
    twice = np.flatnonzero(pairs[1:, 0] == pairs[:-1, 0])
    if len(twice):
        name = np.unique(labels).tolist()[pairs[twice[0], 0]]
        raise InvalidDataError(f"groups must hold one group a person; {name!r} is of several.")
    if len(labels) and len(np.unique(codes)) < 2:
        raise InvalidDataError(
            f"groups must hold at least 2 groups, or there is nothing to compare; got 1: "
            f"{own.tolist()[0]!r}."
        )
    return codes


def as_searching(searching: ArrayLike, n: int) -> npt.NDArray[np.bool_]:
    own = np.asarray(searching)
    if own.dtype != bool or own.shape != (n,):
        raise InvalidDataError(
            f"searching must hold True or False for each of {n} items; got shape {own.shape} of "
            f"{own.dtype}."
        )
    if n and (own.all() or not own.any()):
        raise InvalidDataError(
            "searching must tell two kinds of item apart, those as searches are and those as "
            f"people are enrolled; got {n} {'as searches' if own.all() else 'as enrolled'}."
        )
    return own.copy()
