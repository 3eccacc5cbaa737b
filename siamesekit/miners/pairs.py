"""Pairs: all of them, or the hardest."""

import torch
from torch import Tensor

from siamesekit._types import Pairs
from siamesekit.miners._hardest import hardest
from siamesekit.miners.base import Miner
from siamesekit.miners.rows import RowMiner
from siamesekit.registry import register

__all__ = ["AllPairs", "HardPairs"]


@register("miners", "hard-pairs")
class HardPairs(RowMiner[Pairs]):
    """Of each item, the pair with its furthest positive and the pair with its nearest negative.

    A pair that is hardest from both of its ends is chosen once.
    """

    def choose(self, scores: Tensor, labels: Tensor, start: int) -> Pairs:
        """Return at most 2r pairs, with ``i < j``; see `RowMiner.choose`."""
        positive, has_positive, negative, has_negative = hardest(scores, labels, start)
        items = torch.arange(start, start + len(scores), device=labels.device)
        i = torch.cat([items[has_positive], items[has_negative]])
        j = torch.cat([positive[has_positive], negative[has_negative]])
        return Pairs(torch.minimum(i, j), torch.maximum(i, j))

    def join(self, parts: list[Pairs]) -> Pairs:
        """Return the pairs of all blocks, each once, in ascending order."""
        every = super().join(parts)
        return Pairs(*torch.unique(torch.stack(every), dim=1))


@register("miners", "all-pairs")
class AllPairs(Miner):
    """Every pair of the batch, once."""

    def __call__(self, inputs: Tensor, labels: Tensor) -> Pairs:
        """Return all pairs ``i < j``.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs
        """
        i, j = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        return Pairs(i, j)
