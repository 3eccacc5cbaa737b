"""What two sets share, as a part of what they have."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.evaluation.baselines.base import Baseline, check_vectors

__all__ = ["Tanimoto", "tanimoto_similarity"]


def tanimoto_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Return the Tanimoto similarities of all of `a` with all of `b`, to be used as a scorer.

    ``a·b / (|a|² + |b|² - a·b)``: of bits, how many two fingerprints share among those that either
    has (Jaccard's index); of counts its usual continuation [1]_.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)

    Returns
    -------
    Tensor of float32, shape (m, n)
        In [-1/3, 1], of numbers that are not negative in [0, 1]; 0 of two vectors of zeros.

    Raises
    ------
    InvalidDataError
        If they are no tensors of these shapes.

    References
    ----------
    .. [1] P. Willett, J. M. Barnard, G. M. Downs, "Chemical similarity searching", J. Chem. Inf.
       Comput. Sci. 38, 1998, Table 1.
    """
    check_vectors(a, b)
    a, b = a.float(), b.float()
    shared = a @ b.T
    either = a.square().sum(1)[:, None] + b.square().sum(1) - shared
    return torch.where(either > 0, shared / either.where(either > 0, 1.0), 0.0)


class Tanimoto(Baseline):
    """No learning: the Tanimoto similarity of fingerprints or counts."""

    name = "tanimoto"

    def suits(self, X: ArrayLike) -> bool:
        """Return whether no number is negative: it compares what is there, or how much of it."""
        return super().suits(X) and not bool((np.asarray(X) < 0).any())

    def compare(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return tanimoto_similarity(a, b)
