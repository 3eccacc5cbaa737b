"""Miners that take a run of an anchor's negatives in order of distance."""

from abc import abstractmethod

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._triplets import AnchorRows, anchor_blocks
from siamesekit._types import Triplets
from siamesekit.miners._inputs import as_distances
from siamesekit.miners.base import Miner

__all__ = ["SortedNegatives", "up_to_margin", "up_to_positive"]


class SortedNegatives(Miner):
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

    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        """Return the chosen triplets, grouped by anchor, nearest negatives of a pair first.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Triplets
        """
        chosen = [Triplets.empty(inputs.device)]
        for rows in anchor_blocks(as_distances(inputs, labels), labels):
            first, last = self._run(rows)
            if self.per_pair is not None:
                last = torch.minimum(last, first + self.per_pair)
            chosen.append(Triplets(*rows.pick(first, last)))
        return Triplets(*(torch.cat(column) for column in zip(*chosen, strict=True)))

    @abstractmethod
    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        """Return the first place, and the place after the last, of each positive pair."""


def up_to_positive(rows: AnchorRows) -> Tensor:
    """Return, for each positive pair, how many negatives are no further than the positive."""
    return rows.count(lambda d_an, d_ap: d_an - d_ap <= 0)


def up_to_margin(rows: AnchorRows, margin: float) -> Tensor:
    """Return, for each positive pair, how many negatives are within the margin beyond it."""
    return rows.count(lambda d_an, d_ap: d_an - d_ap <= margin)
