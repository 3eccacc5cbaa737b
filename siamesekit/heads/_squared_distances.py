"""Squared differences of all against all by matrix products, without an (m, n, d) tensor."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["centred", "safe_sqrt", "squared_distances", "weighted_squares"]

# A product leaves a squared distance with an error near 1e-7 of the squared lengths. Below this
# share of them the pair is computed by its differences, so relative errors stay below about 1e-4.
_CLOSE = 1e-3

# Numbers in the buffer for pairs that are computed by their differences.
_BUFFER = 2**22


def centred(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return `a` and `b` less the mean of all their rows.

    Differences stay as they are, and what cancels in a product becomes small.
    """
    centre = (a.detach().sum(0) + b.detach().sum(0)) / (len(a) + len(b))
    return a - centre, b - centre


def weighted_squares(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Return ``sum_k weight_k (a_ik - b_jk)²`` for all i, j.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)
    weight : Tensor of float, shape (d,)
        Of any sign.

    Returns
    -------
    Tensor of float, shape (m, n)
    """
    a, b = centred(a, b)
    lengths = (a.square() @ weight)[:, None] + b.square() @ weight
    return lengths - 2 * (a * weight) @ b.T


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return ``sum_k (a_ik - b_jk)²`` for all i, j; never negative, and 0 for equal rows.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)

    Returns
    -------
    Tensor of float, shape (m, n)
    """
    squares: Tensor = _SquaredDistances.apply(a, b)  # type: ignore[no-untyped-call]
    return squares


def safe_sqrt(squares: Tensor) -> Tensor:
    """Return the square root, with gradient 0 at 0, where the plain root's is infinite."""
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


class _SquaredDistances(Function):
    # A pair so close that its product cancels gets its value and its gradient from its
    # differences. A root taken afterwards divides by the distance: error in either would blow up.

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        centred_a, centred_b = centred(a, b)
        lengths = centred_a.square().sum(1)[:, None] + centred_b.square().sum(1)
        squares = torch.addmm(lengths, centred_a, centred_b.T, alpha=-2)
        close = squares < _CLOSE * lengths
        for i, j in _blocks(close, a.shape[1]):
            squares[i, j] = (a[i] - b[j]).square().sum(1)
        ctx.save_for_backward(a, b, close)
        return squares.clamp_(min=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, b, close = ctx.saved_tensors
        centred_a, centred_b = centred(a, b)
        far = grad.masked_fill(close, 0)
        of_a = far.sum(1)[:, None] * centred_a - far @ centred_b
        of_b = far.sum(0)[:, None] * centred_b - far.T @ centred_a
        for i, j in _blocks(close, a.shape[1]):
            pull = grad[i, j][:, None] * (a[i] - b[j])
            of_a.index_add_(0, i, pull)
            of_b.index_add_(0, j, pull, alpha=-1)
        return 2 * of_a, 2 * of_b


def _blocks(chosen: Tensor, dim: int) -> list[tuple[Tensor, Tensor]]:
    rows, columns = chosen.nonzero(as_tuple=True)
    size = max(1, _BUFFER // max(1, dim))
    return list(zip(torch.split(rows, size), torch.split(columns, size), strict=True))
