"""The cosine of vectors as they are, and of their differences from the mean."""

import numpy as np
import torch
from torch import Tensor

from siamesekit.evaluation.baselines.base import Baseline, check_vectors

__all__ = ["CentredCosine", "Cosine", "cosine_similarity"]


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosines of all of `a` with all of `b`, to be used as a scorer.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)

    Returns
    -------
    Tensor of float, shape (m, n)
        In [-1, 1]; 0 where a vector is 0. On ink (1) and paper (0) this is the nearest-neighbour
        baseline of Lake et al. (2015) and Koch et al. (2015, Table 2).

    Raises
    ------
    InvalidDataError
        If they are no tensors of these shapes.
    """
    check_vectors(a, b)
    unit_a = torch.nn.functional.normalize(a.float(), dim=1)
    unit_b = torch.nn.functional.normalize(b.float(), dim=1)
    return unit_a @ unit_b.T


class Cosine(Baseline):
    """No learning: the cosine of items as they are."""

    name = "cosine"

    def compare(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return cosine_similarity(a, b)


class CentredCosine(Cosine):
    """The cosine of the differences from the mean of the background, and no more learning."""

    name = "centred-cosine"

    def learn(self, vectors: np.ndarray, codes: np.ndarray) -> None:  # noqa: D102
        self._mean = vectors.mean(0)

    def embed(self, vectors: np.ndarray) -> np.ndarray:  # noqa: D102
        centred: np.ndarray = vectors - self._mean
        return centred
