"""The hardest positive and the hardest negative of each anchor."""

from torch import Tensor

from siamesekit._types import Triplets
from siamesekit.miners._hardest import hardest
from siamesekit.miners.base import Miner
from siamesekit.registry import register

__all__ = ["BatchHard"]


@register("miners", "batch-hard")
class BatchHard(Miner):
    """One triplet an anchor: its furthest positive and its nearest negative.

    Anchors without a positive or without a negative give none.

    References
    ----------
    .. [1] A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person
       re-identification", arXiv 1703.07737, 2017, eq. 5.
    """

    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        """Return at most b triplets.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Triplets
        """
        positive, has_positive, negative, has_negative = hardest(inputs, labels)
        anchors = (has_positive & has_negative).nonzero().squeeze(1)
        return Triplets(anchors, positive[anchors], negative[anchors])
