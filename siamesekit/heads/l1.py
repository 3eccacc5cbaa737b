"""The learned, weighted L1 comparison of Koch et al. (2015)."""

from typing import Literal

import torch
from torch import Tensor, nn

from siamesekit._checks import check_choice
from siamesekit.heads._learned import LearnedHead
from siamesekit.heads._nearest import SumsAbsolutes
from siamesekit.heads._weighted_l1 import paired_weighted_l1, weighted_l1
from siamesekit.registry import register

__all__ = ["L1Head"]


@register("heads", "l1")
class L1Head(LearnedHead, SumsAbsolutes):
    """Logit of *same* from weighted absolute differences: ``bias + sum_k weight_k |a_k - b_k|``.

    The paper's last layer before its sigmoid (§3.1), where ``weight`` is α. Nothing keeps a
    weight negative: a number in which two items of one class tend to differ gets a positive one.

    Parameters
    ----------
    init : {"trainable", "paper"}
        ``"trainable"``: every weight is ``-1 / sqrt(dim)`` and the bias 1, so that from the start
        what lies far apart counts as different. ``"paper"``: weights from N(0, 0.2) and bias from
        N(0.5, 0.01) (§3.2; second number: standard deviation); at first half of the numbers then
        count differences as likeness.

    Attributes
    ----------
    weight : Parameter, shape (dim,)
    bias : Parameter, shape ()

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015.
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, init: Literal["trainable", "paper"] = "trainable") -> None:
        super().__init__()
        check_choice("init", init, ("trainable", "paper"))
        self.init = init

    def make(self, dim: int) -> None:  # noqa: D102
        self.weight = nn.Parameter(torch.full((dim,), -(dim**-0.5)))
        self.bias = nn.Parameter(torch.ones(()))
        if self.init == "paper":
            nn.init.normal_(self.weight, 0.0, 0.2)
            nn.init.normal_(self.bias, 0.5, 0.01)

    def export(self) -> tuple[str, dict[str, Tensor]]:
        """Return its name, weight and bias."""
        return "l1", {"weight": self.weight, "bias": self.bias}

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return weighted_l1(a, b, self.weight.to(a.dtype)) + self.bias.to(a.dtype)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return paired_weighted_l1(a, b, self.weight.to(a.dtype)) + self.bias.to(a.dtype)

    def weights(self, like: Tensor) -> tuple[Tensor, float]:  # noqa: D102
        return self.weight.detach().to(like), float(self.bias)
