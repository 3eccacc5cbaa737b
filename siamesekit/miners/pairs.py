"""Pairs: all of them, or the hardest."""

import torch
from torch import Tensor

from siamesekit._types import Pairs
from siamesekit.miners._hardest import hardest
from siamesekit.miners.base import Miner
from siamesekit.registry import register

__all__ = ["AllPairs", "HardPairs"]


@register("miners", "hard-pairs")
class HardPairs(Miner):
    """Of each item, the pair with its furthest positive and the pair with its nearest negative.

    A pair that is hardest from both of its ends is chosen once.
    """

    def __call__(self, inputs: Tensor, labels: Tensor) -> Pairs:
        """Return at most 2b pairs, with ``i < j``.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs
        """
        positive, has_positive, negative, has_negative = hardest(inputs, labels)
        items = torch.arange(len(labels), device=labels.device)
        i = torch.cat([items[has_positive], items[has_negative]])
        j = torch.cat([positive[has_positive], negative[has_negative]])
        low, high = torch.minimum(i, j), torch.maximum(i, j)
        once = torch.unique(low * len(labels) + high)
        return Pairs(once // max(1, len(labels)), once % max(1, len(labels)))


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
