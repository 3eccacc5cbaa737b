"""Which embeddings a head can compare with any like them."""

import torch
from torch import Tensor

from siamesekit.heads.base import Head

__all__ = ["comparable"]

# Numbers up to here cannot overflow float32 in any comparison of two embeddings.
_ENORMOUS = 1e9


@torch.inference_mode()
def comparable(head: Head, vectors: Tensor) -> Tensor:
    """Return which embeddings are finite and have a finite score beside any that are no longer.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float, shape (n, d)

    Returns
    -------
    Tensor of bool, shape (n,)
    """
    finite = vectors.float().square().sum(1).isfinite()
    known = vectors[finite]
    if not len(known) or float(known.abs().max()) <= _ENORMOUS:
        return finite
    # Nothing of that length lies farther away than the opposite.
    kept = finite.clone()
    kept[finite] = head.pairs(known, -known).isfinite()
    return kept
