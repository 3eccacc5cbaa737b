"""The learned, weighted squared comparison."""

import torch
from torch import Tensor, nn

from siamesekit.heads._exact import pair_squares
from siamesekit.heads._learned import LearnedHead
from siamesekit.heads._nearest import SumsSquares
from siamesekit.heads._squared_distances import weighted_squares
from siamesekit.registry import register

__all__ = ["SquaredHead"]


@register("heads", "squared")
class SquaredHead(LearnedHead, SumsSquares):
    """Logit of *same* from weighted squared differences: ``bias + sum_k weight_k (a_k - b_k)²``.

    As head ``l1``, with squares in place of absolute values: all against all is one matrix
    product. Every weight starts at ``-1 / sqrt(dim)`` and the bias at 1, so that from the start
    what lies far apart counts as different.

    Attributes
    ----------
    weight : Parameter, shape (dim,)
    bias : Parameter, shape ()
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def make(self, dim: int) -> None:  # noqa: D102
        self.weight = nn.Parameter(torch.full((dim,), -(dim**-0.5)))
        self.bias = nn.Parameter(torch.ones(()))

    def export(self) -> tuple[str, dict[str, Tensor]]:
        """Return its name, weight and bias."""
        return "squared", {"weight": self.weight, "bias": self.bias}

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return weighted_squares(a, b, self.weight.to(a.dtype)) + self.bias.to(a.dtype)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return pair_squares(a, b, self.weight.to(a.dtype)) + self.bias.to(a.dtype)

    def weights(self, like: Tensor) -> tuple[Tensor, float]:  # noqa: D102
        return self.weight.detach().to(like), float(self.bias)
