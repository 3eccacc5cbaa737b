"""The hardest positive and the hardest negative of each anchor."""

from torch import Tensor

from siamesekit._types import Triplets
from siamesekit.miners._hardest import hardest
from siamesekit.miners.rows import RowMiner
from siamesekit.registry import register

__all__ = ["BatchHard"]


@register("miners", "batch-hard")
class BatchHard(RowMiner[Triplets]):
    """One triplet an anchor: its furthest positive and its nearest negative.

    Anchors without a positive or without a negative give none. Of equals the first is taken.

    References
    ----------
    .. [1] A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person
       re-identification", arXiv 1703.07737, 2017, eq. 5.
    """

    def choose(self, scores: Tensor, labels: Tensor, start: int) -> Triplets:
        """Return at most r triplets; see `RowMiner.choose`."""
        positive, has_positive, negative, has_negative = hardest(scores, labels, start)
        rows = (has_positive & has_negative).nonzero().squeeze(1)
        return Triplets(rows + start, positive[rows], negative[rows])
