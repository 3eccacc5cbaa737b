"""Binary cross-entropy on pairs."""

from torch import Tensor
from torch.nn import functional

from siamesekit._checks import check_number
from siamesekit.losses.pair import PairLoss
from siamesekit.registry import register

__all__ = ["BCELoss"]


@register("losses", "bce")
class BCELoss(PairLoss):
    """Cross-entropy of *same*, with the score as its logit.

    ``-log sigmoid(score)`` for a pair of one class, ``-log sigmoid(-score)`` for a different one.
    For heads that give logits, and refused with others: minus a distance is never positive, so that
    no pair would count as same.

    Parameters
    ----------
    balance : bool
        Give the same and the different pairs the same total weight.
    label_smoothing : float
        In ``[0, 1)``. The target of *same* becomes ``1 - label_smoothing / 2`` and that of
        *different* ``label_smoothing / 2``, so that logits stay finite.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015, §3.2. Its L2 term is weight decay, which
       is left to the optimiser.
    """

    wants = "logit"

    def __init__(self, balance: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(balance)
        check_number("label_smoothing", label_smoothing, low=0, high=1, open_high=True)
        self.label_smoothing = label_smoothing

    def charges(self, scores: Tensor, same: Tensor) -> Tensor:  # noqa: D102
        target = same * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(scores, target, reduction="none")
