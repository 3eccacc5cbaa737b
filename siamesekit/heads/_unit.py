"""Embeddings on the unit sphere."""

import torch
from torch import Tensor

__all__ = ["unit"]


def unit(x: Tensor) -> Tensor:
    """Return the rows of `x`, (n, d), divided by their Euclidean lengths; a row of zeros stays.

    The gradient is finite everywhere: at a row of zeros that of the row undivided.
    """
    lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(lengths > 0, lengths, 1)
