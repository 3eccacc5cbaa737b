"""The furthest positive and the nearest negative of each item."""

import torch
from torch import Tensor

from siamesekit.miners._inputs import as_distances

__all__ = ["hardest"]


def hardest(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each item its furthest positive, whether it has one, and so its negative."""
    distances = as_distances(scores, labels)
    same = labels[:, None] == labels[None, :]
    is_negative = ~same
    same.fill_diagonal_(False)
    if len(labels) == 0:
        none, no = labels.new_empty(0), same.new_empty(0)
        return none, no, none, no
    positive = distances.masked_fill(~same, -torch.inf).argmax(1)
    negative = distances.masked_fill(~is_negative, torch.inf).argmin(1)
    return positive, same.any(1), negative, is_negative.any(1)
