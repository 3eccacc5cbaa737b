"""Miners that take a run of an anchor's negatives in order of distance."""

from abc import abstractmethod

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._triplets import AnchorRows, anchor_blocks
from siamesekit._types import Triplets
from siamesekit.miners.rows import RowMiner

__all__ = ["SortedNegatives", "up_to_margin", "up_to_positive"]


class SortedNegatives(RowMiner[Triplets]):
    """Chooses, for each positive pair, a run of the anchor's sorted negatives.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None) -> None:
        if per_pair is not None:
            check_integer("per_pair", per_pair, low=1)
        self.per_pair = per_pair

    def choose(self, distances: Tensor, labels: Tensor, start: int) -> Triplets:
        """Return the triplets grouped by anchor, nearest negatives of a pair first.

        See `RowMiner.choose`.
        """
        chosen = [Triplets.empty(distances.device)]
        for rows in anchor_blocks(distances, labels, start):
            first, last = self._run(rows)
            if self.per_pair is not None:
                last = torch.minimum(last, first + self.per_pair)
            chosen.append(Triplets(*rows.pick(first, last)))
        return self.join(chosen)

    @abstractmethod
    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        """Return the first place, and the place after the last, of each positive pair."""


def up_to_positive(rows: AnchorRows) -> Tensor:
    """Return, for each positive pair, how many negatives are no further than the positive."""
    return rows.count(lambda d_an, d_ap: d_an - d_ap <= 0)


def up_to_margin(rows: AnchorRows, margin: float) -> Tensor:
    """Return, for each positive pair, how many negatives are within the margin beyond it."""
    return rows.count(lambda d_an, d_ap: d_an - d_ap <= margin)
