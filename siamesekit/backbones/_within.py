"""The map after which vectors of one class spread alike in all directions."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["WithinSpread", "within_spread"]

# What rounding alone makes of a spread beside the vectors themselves.
_ROUNDING = 1e-6


class WithinSpread(NamedTuple):
    """How vectors lie about the means of their classes, as far as they do.

    Attributes
    ----------
    directions : Tensor of float64, shape (d, r)
        Orthonormal; at most as many as vectors less classes.
    variances : Tensor of float64, shape (r,)
        Within the classes along each; along all others it is 0.
    mean_variance : float
        Over all d directions.
    """

    directions: Tensor
    variances: Tensor
    mean_variance: float

    def gains(self, shrinkage: float) -> Tensor:
        """Return by what the symmetric root of ``W⁻¹`` stretches each direction, shape (r,).

        Relative to directions in which nothing varied, which keep their length. `W` is
        the covariance within classes, of which `shrinkage` is the share of the mean variance in
        all directions alike; with 1 every gain is 1.
        """
        floor = shrinkage * self.mean_variance
        return (floor / (floor + (1 - shrinkage) * self.variances)).sqrt()

    def whiten(self, vectors: Tensor, shrinkage: float) -> Tensor:
        """Return vectors (n, d) stretched so, in float64."""
        return stretched(vectors.double(), self.directions, self.gains(shrinkage))


def stretched(vectors: Tensor, directions: Tensor, gains: Tensor) -> Tensor:
    """Return vectors (n, d) with their share along each direction (d, r) times its gain (r,)."""
    return vectors + ((vectors @ directions) * (gains - 1)) @ directions.T


def within_spread(vectors: Tensor, labels: Tensor) -> WithinSpread | None:
    """Return how vectors spread within classes; None where they do not.

    Parameters
    ----------
    vectors : Tensor of float, shape (n, d)
    labels : Tensor of int64, shape (n,)

    Notes
    -----
    From a singular value decomposition, so that many features of few items cost what the items do.
    """
    x = vectors.double()
    own, sizes = torch.unique(labels, return_inverse=True, return_counts=True)[1:]
    n_free = len(labels) - len(sizes)
    if n_free < 1:
        return None
    sums = x.new_zeros(len(sizes), x.shape[1]).index_add_(0, own, x)
    off = x - (sums / sizes[:, None])[own]
    mean_variance = float(off.square().sum()) / n_free / x.shape[1]
    if mean_variance <= _ROUNDING**2 * float(x.square().mean()):
        return None
    wide = len(off) < x.shape[1]
    # Of the smaller of the two products: its eigenvectors are the singular vectors.
    variances, vectors_of = torch.linalg.eigh(off @ off.T if wide else off.T @ off)
    keep = variances > _ROUNDING * variances.max()
    variances, vectors_of = variances[keep], vectors_of[:, keep]
    directions = (off.T @ vectors_of) / variances.sqrt() if wide else vectors_of
    return WithinSpread(directions, variances / n_free, mean_variance)
