"""Unknowns become people: which refused items are of one person."""

import threading
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.gallery.threshold import Threshold
from siamesekit.heads import Head

__all__ = ["MOST_REFUSED", "Groups", "Refused", "Tree"]

MOST_REFUSED = 2000
"""Refused items that are remembered, and that are grouped at once: 32 MB of scores."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Which items that nobody was recognised in are of one person.

    Attributes
    ----------
    groups : ndarray of int64, shape (m,)
        Number of each item's group, the largest group first; -1 of an item that is of somebody
        enrolled. Of remembered items in the order in which they came.
    n_groups : int
        Groups of one item are counted, too.
    threshold : Threshold or None
        What joins two of them; None where there are not two.
    vectors : Tensor of float32, shape (m, d), or None
        The embeddings that were grouped, where they are remembered ones.
    """

    groups: IntArray
    n_groups: int
    threshold: Threshold | None
    vectors: Tensor | None = None

    def positions(self, number: int) -> IntArray:
        """Return the positions of the items of a group."""
        return np.flatnonzero(self.groups == number)


class Refused:
    """The last refused items that somebody asked to have remembered; in memory alone."""

    def __init__(self) -> None:
        self._vectors = torch.empty(0, 0)
        self._changing = threading.Lock()

    @property
    def vectors(self) -> Tensor:
        """Their embeddings, the oldest first, shape (m, d)."""
        return self._vectors

    def add(self, vectors: Tensor) -> None:
        """Remember items; the oldest beyond `MOST_REFUSED` are forgotten."""
        with self._changing:
            known = self._vectors
            if known.shape[1] == vectors.shape[1]:
                vectors = torch.cat([known.to(vectors.device), vectors])
            self._vectors = vectors[-MOST_REFUSED:].clone()

    def take(self, gone: Tensor) -> None:
        """Forget those of some embeddings that are here, whatever came or went meanwhile."""
        with self._changing:
            known = self._vectors
            stays = [not bool((gone == row).all(1).any()) for row in known]
            self._vectors = known[torch.tensor(stays, dtype=torch.bool)].clone()

    def clear(self) -> None:
        """Forget all."""
        with self._changing:
            self._vectors = torch.empty(0, 0)


class Tree:
    """Items joined one after the other, the most alike first.

    Two groups are as alike as the mean score between their items (average linkage): one item alike
    to those of two people does not make one person of them.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (m, d)
        At least 2.
    """

    @torch.inference_mode()
    def __init__(self, head: Head, vectors: Tensor) -> None:
        with torch.autocast(vectors.device.type, enabled=False):
            scores = head(vectors, vectors).cpu().double().numpy()
        self._top = scores.max()
        distances = self._top - (scores + scores.T) / 2
        np.fill_diagonal(distances, 0.0)
        self._links = linkage(squareform(distances, checks=False), "average")

    def groups(self, threshold: float) -> IntArray:
        """Return a number for each item, equal where they are joined at a score of at least this.

        The largest group is number 0.
        """
        # What is joined at exactly the threshold is, whatever is lost in the last digit.
        most = np.nextafter(self._top - threshold, np.inf)
        own = fcluster(self._links, max(0.0, most), "distance")
        _, codes, sizes = np.unique(own, return_inverse=True, return_counts=True)
        ranks = np.empty(len(sizes), dtype=np.int64)
        ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
        numbers: IntArray = ranks[codes]
        return numbers
