"""Squared differences of all against all by matrix products, without an (m, n, d) tensor."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["centred", "distances", "safe_sqrt", "squared_distances", "weighted_squares"]

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
    roots: Tensor = _Distances.apply(a, b)  # type: ignore[no-untyped-call]
    return roots


def safe_sqrt(squares: Tensor) -> Tensor:
    """Return the square root, with gradient 0 at 0, where the plain root's is infinite."""
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


class _SquaredDistances(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        squares, rows, columns = _squares(a, b)
        ctx.save_for_backward(a, b, rows, columns)
        return squares

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, b, rows, columns = ctx.saved_tensors
        return _pull(2 * grad, a, b, rows, columns)


class _Distances(Function):
    # The root in one piece with the squares: each step of its own would pass over the matrix.

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        squares, rows, columns = _squares(a, b)
        roots = squares.sqrt_()
        ctx.save_for_backward(a, b, rows, columns, roots)
        return roots

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, b, rows, columns, roots = ctx.saved_tensors
        # Only among the close pairs can a distance be 0.
        weight = grad / roots
        near = weight[rows, columns]
        weight[rows, columns] = near.masked_fill_(roots[rows, columns] == 0, 0)
        return _pull(weight, a, b, rows, columns)


# A pair so close that its product cancels gets its value and its gradient from its differences. A
# root taken afterwards divides by the distance: error in either would blow up.


def _squares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the squared distances, and rows and columns of the pairs that are close."""
    centred_a, centred_b = centred(a, b)
    lengths = centred_a.square().sum(1)[:, None] + centred_b.square().sum(1)
    squares = torch.addmm(lengths, centred_a, centred_b.T, alpha=-2)
    rows, columns = (squares <= lengths.mul_(_CLOSE)).nonzero(as_tuple=True)
    for i, j in _blocks(rows, columns, dim=a.shape[1]):
        squares[i, j] = (a[i] - b[j]).square().sum(1)
    return squares.clamp_(min=0), rows, columns


def _pull(
    weight: Tensor, a: Tensor, b: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``sum_j weight_ij (a_i - b_j)`` for all i, and the like of the other side for all j.

    `weight` is the caller's to lose: what belongs to close pairs is set to 0.
    """
    centred_a, centred_b = centred(a, b)
    near = weight[rows, columns]
    weight[rows, columns] = 0
    of_a = torch.addmm(weight.sum(1)[:, None] * centred_a, weight, centred_b, alpha=-1)
    of_b = torch.addmm(weight.sum(0)[:, None] * centred_b, weight.T, centred_a, alpha=-1)
    for i, j, pulls in _blocks(rows, columns, near, dim=a.shape[1]):
        pull = pulls[:, None] * (a[i] - b[j])
        of_a.index_add_(0, i, pull)
        of_b.index_add_(0, j, pull, alpha=-1)
    return of_a, of_b


def _blocks(*of_pairs: Tensor, dim: int) -> list[tuple[Tensor, ...]]:
    size = max(1, _BUFFER // max(1, dim))
    return list(zip(*(torch.split(column, size) for column in of_pairs), strict=True))
