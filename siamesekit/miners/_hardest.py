"""The furthest positive and the nearest negative of each anchor."""

import torch
from torch import Tensor

__all__ = ["hardest"]


def hardest(scores: Tensor, labels: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each anchor its furthest positive, whether it has one, and so its negative.

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
    is_negative = ~same
    rows = torch.arange(len(scores), device=scores.device)
    same[rows, rows + start] = False
    if len(labels) == 0:
        none, no = labels.new_empty(0), same.new_empty(0)
        return none, no, none, no
    positive = scores.masked_fill(~same, torch.inf).argmin(1)
    negative = scores.masked_fill(~is_negative, -torch.inf).argmax(1)
    return positive, same.any(1), negative, is_negative.any(1)
