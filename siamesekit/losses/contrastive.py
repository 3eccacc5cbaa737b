"""The contrastive loss of Hadsell, Chopra and LeCun (2006)."""

from torch import Tensor

from siamesekit._checks import check_number
from siamesekit.losses.pair import PairLoss
from siamesekit.registry import register

__all__ = ["ContrastiveLoss"]


@register("losses", "contrastive")
class ContrastiveLoss(PairLoss):
    """Pulls pairs of one class together and pushes others out to a margin.

    ``d² / 2`` for a pair of one class, ``max(0, margin - d)² / 2`` for a different one, where
    ``d = -score`` (eq. 4; the paper's Y is 1 for *different*, the reverse of *same* here). For
    heads that give minus a distance, and refused with others. The paper's d is the Euclidean
    distance: head ``euclidean``. With head ``sqeuclidean``, d is the squared distance, so that a
    pair of one class costs its fourth power and `margin` is a squared length; with ``cosine``, d is
    one minus the cosine.

    Parameters
    ----------
    margin : float
        Above 0, in the unit of d. Different pairs that lie further apart cost nothing.
    balance : bool
        Give the same and the different pairs the same total weight.

    Notes
    -----
    Two items of different classes at Euclidean distance 0 exactly get no push: the distance has
    no gradient there.

    References
    ----------
    .. [1] R. Hadsell, S. Chopra, Y. LeCun, "Dimensionality reduction by learning an invariant
       mapping", CVPR 2006, eq. 4.
    """

    wants = "distance"

    def __init__(self, margin: float = 1.0, balance: bool = False) -> None:
        super().__init__(balance)
        check_number("margin", margin, low=0, open_low=True)
        self.margin = margin

    def charges(self, scores: Tensor, same: Tensor) -> Tensor:  # noqa: D102
        distances = -scores
        # What each kind of pair does not pay, it must not multiply by 0 either: overflow is
        # infinite there.
        together, apart = same == 1, same != 1
        pull = distances.masked_fill(apart, 0)
        push = (self.margin - distances).masked_fill(together, 0).clamp(min=0)
        return (pull.square() + push.square()) / 2
