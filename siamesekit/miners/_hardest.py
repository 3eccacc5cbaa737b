"""The furthest positive and the nearest negative of each anchor."""

import torch
from torch import Tensor

__all__ = ["hardest"]


def hardest(scores: Tensor, labels: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each anchor its furthest positive, whether it has one, and so its negative.

    Of equals the first. A pair whose score is not a number is none.

    Parameters
    ----------
    scores : Tensor of float, shape (r, b)
        Of the anchors ``start .. start + r - 1`` and every item.
    labels : Tensor of int64, shape (b,)
    start : int

    Returns
    -------
    Tensors of int64, bool, int64 and bool, all of shape (r,)
    """
    same = labels[start : start + len(scores), None] == labels[None, :]
    known = ~scores.isnan()
    is_negative = ~same & known
    is_positive = same & known
    is_positive.diagonal(start).fill_(False)
    if len(labels) == 0:
        none, no = labels.new_empty(0), same.new_empty(0)
        return none, no, none, no
    return *_largest(-scores, is_positive), *_largest(scores, is_negative)


def _largest(values: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first place of each row's largest allowed value, and whether there is one."""
    lowest = values.masked_fill(~allowed, -torch.inf)
    # An allowed value may be minus infinity too.
    is_largest = allowed & (lowest == lowest.amax(1, keepdim=True))
    return is_largest.byte().argmax(1), is_largest.any(1)
