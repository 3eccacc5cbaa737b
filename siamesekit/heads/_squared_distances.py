"""Gradients of squared differences of all against all, without an (m, n, d) tensor."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from siamesekit._eager import is_eager, plain_gradients
from siamesekit.heads._exact import all_squares, centre

__all__ = ["distances", "squared_distances", "weighted_squares"]

# A product's gradient of a pair has an error near 1e-7 of the lengths, and a root divides it by
# the distance. Below this share of the longer length the pair is computed by its differences.
_CLOSE = 0.03

# Numbers in the buffer for pairs that are computed by their differences.
_BUFFER = 2**22


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
    if not is_eager(a, b):
        return _plain_squares(a, b)
    squares: Tensor = _SquaredDistances.apply(a, b)  # type: ignore[no-untyped-call]
    return squares


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return ``sqrt(sum_k (a_ik - b_jk)²)`` for all i, j; between equal rows 0, with gradient 0.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)

    Returns
    -------
    Tensor of float, shape (m, n)
    """
    if not is_eager(a, b):
        return _plain_distances(a, b)
    roots: Tensor = _Distances.apply(a, b)  # type: ignore[no-untyped-call]
    return roots


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
    if not is_eager(a, b, weight):
        return _plain_weighted(a, b, weight)
    sums: Tensor = _WeightedSquares.apply(a, b, weight)  # type: ignore[no-untyped-call]
    return sums


# The same to what records or rewrites, and for gradients of gradients.


def _plain_squares(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] - b).square().sum(2)


def _plain_distances(a: Tensor, b: Tensor) -> Tensor:
    squares = _plain_squares(a, b)
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _plain_weighted(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return (a[:, None] - b).square() @ weight


class _SquaredDistances(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        squares = all_squares(a, b)
        ctx.save_for_backward(a, b, squares)
        return squares

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, squares = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return plain_gradients(_plain_squares, (a, b), grad)
        return _pull(2 * grad, a, b, squares.sqrt())


class _Distances(Function):
    # The root in one piece with the squares, which may overflow where their roots do not.

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        roots = all_squares(a, b, root=True)
        ctx.save_for_backward(a, b, roots)
        return roots

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, roots = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return plain_gradients(_plain_distances, (a, b), grad)
        weight = (grad / roots).masked_fill_(roots == 0, 0)
        return _pull(weight, a, b, roots)


class _WeightedSquares(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, weight)
        return all_squares(a, b, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, weight = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return plain_gradients(_plain_weighted, (a, b, weight), grad)
        origin = centre(a, b)
        a, b = a - origin, b - origin
        rows, columns, across = grad.sum(1)[:, None], grad.sum(0)[:, None], grad @ b
        of_a = 2 * (rows * a - across) * weight
        of_b = 2 * (columns * b - grad.T @ a) * weight
        of_weight = (rows * a.square() - 2 * a * across).sum(0) + (columns * b.square()).sum(0)
        return of_a, of_b, of_weight


def _pull(weight: Tensor, a: Tensor, b: Tensor, roots: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``sum_j weight_ij (a_i - b_j)`` for all i, and the like of the other side for all j.

    `weight` is the caller's to lose: what belongs to close pairs is set to 0.
    """
    origin = centre(a, b)
    around_a, around_b = a - origin, b - origin
    rows, columns = _close(roots, around_a, around_b)
    near = weight[rows, columns]
    weight[rows, columns] = 0
    of_a = torch.addmm(weight.sum(1)[:, None] * around_a, weight, around_b, alpha=-1)
    of_b = torch.addmm(weight.sum(0)[:, None] * around_b, weight.T, around_a, alpha=-1)
    size = max(1, _BUFFER // max(1, a.shape[1]))
    parts = zip(*(torch.split(x, size) for x in (rows, columns, near)), strict=True)
    for i, j, pulls in parts:
        pull = pulls[:, None] * (a[i] - b[j])
        of_a.index_add_(0, i, pull)
        of_b.index_add_(0, j, pull, alpha=-1)
    return of_a, of_b


def _close(roots: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns of the pairs whose distance is small beside their lengths."""
    bound_a, bound_b = (_CLOSE * torch.linalg.vector_norm(x, dim=1) for x in (a, b))
    rows, columns = (roots < torch.maximum(bound_a[:, None], bound_b)).nonzero(as_tuple=True)
    return rows, columns
