"""Compare: the Manhattan distance."""

import torch
from torch import Tensor

from siamesekit.heads import Head

__all__ = ["ManhattanHead"]


class ManhattanHead(Head):
    """Minus the Manhattan distance, ``-sum_k |a_k - b_k|``.

    Nearest by it is nearly nearest by the Euclidean distance, which `Head.metric` names for an
    index; a gallery then compares the candidates by this head.
    """

    gives = "distance"

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of (m, d) against (n, d), shape (m, n)."""
        return -torch.cdist(_fine(a), _fine(b), p=1.0)

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of (n, d) against (n, d), row by row, shape (n,)."""
        return -(_fine(a) - _fine(b)).abs().sum(1)


def _fine(x: Tensor) -> Tensor:
    # cdist knows no bfloat16; float64 stays float64.
    return x.to(torch.promote_types(x.dtype, torch.float32))
