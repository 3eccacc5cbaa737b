"""Pairs: all of them, or the hardest."""

import torch
from torch import Tensor

from siamesekit._scores import check_scores
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

    def __call__(self, inputs: Tensor, labels: Tensor) -> Pairs:
        """Return the chosen pairs of a batch; see `RowMiner`."""
        check_scores(inputs, labels)
        scores = inputs.detach()
        if scores.numel() and scores.amax().isnan():
            # A pair is put in ascending order, and so must be known from both of its ends.
            scores = scores.masked_fill(scores.isnan().T, torch.nan)
        return super().__call__(scores, labels)

    def choose(self, scores: Tensor, labels: Tensor, start: int) -> Pairs:
        """Return at most 2r pairs, anchors first; see `RowMiner.choose`."""
        positive, has_positive, negative, has_negative = hardest(scores, labels, start)
        items = torch.arange(start, start + len(scores), device=labels.device)
        i = torch.cat([items[has_positive], items[has_negative]])
        j = torch.cat([positive[has_positive], negative[has_negative]])
        return Pairs(i, j)

    def join(self, parts: list[Pairs]) -> Pairs:
        """Return the pairs of all blocks, each once, with ``i < j`` and in ascending order."""
        i, j = super().join(parts)
        ascending = torch.stack([torch.minimum(i, j), torch.maximum(i, j)])
        return Pairs(*torch.unique(ascending, dim=1))


@register("miners", "all-pairs")
class AllPairs(Miner):
    """Every pair of the batch, once, but those whose score is not a number."""

    def __call__(self, inputs: Tensor, labels: Tensor) -> Pairs:
        """Return all pairs ``i < j``.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs

        Raises
        ------
        InvalidDataError
            Unless `inputs` is (b, b) of float and `labels` is (b,) of whole numbers.
        """
        check_scores(inputs, labels)
        known = ~inputs.detach().isnan()
        return Pairs(*known.triu(1).nonzero(as_tuple=True))
