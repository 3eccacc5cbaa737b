"""Triplets of a batch, found by sorting: no tensor of anchors × positives × negatives anywhere.

The negatives of each anchor are sorted once. What a margin asks of a triplet is monotone in the
distance of its negative, so for each positive pair the negatives that meet it are a prefix of the
sorted row, and one binary search finds its length.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = ["AnchorRows", "anchor_blocks"]

Condition = Callable[[Tensor, Tensor], Tensor]
"""From ``d(a, n)`` and ``d(a, p)`` to bool; once false along growing ``d(a, n)``, it stays so."""

# Distances in a block. A processor is as fast with small ones, which keep memory low; an
# accelerator needs larger ones to be busy.
_BLOCK = 2**18
_BLOCK_ON_ACCELERATOR = 2**24


class AnchorRows:
    """A block of anchors: their positive pairs, and their negatives in order of distance.

    Parameters
    ----------
    distances : Tensor of float32, shape (r, b)
        From each anchor of the block to every item.
    labels : Tensor of int64, shape (b,)
    start : int
        Position of the first anchor in the batch.
    ordered : bool
        Whether `order` is wanted; the distances alone sort faster.

    Attributes
    ----------
    row, positive : Tensor of int64, shape (k,)
        The positive pairs: anchor as a row of the block, and positive as a position in the batch.
    to_positive : Tensor of float32, shape (k,)
    negatives : Tensor of float32, shape (r, b)
        Distances to negatives, ascending; infinity where there are no more.
    order : Tensor of int64, shape (r, b) or (0,)
        Position in the batch of each of `negatives`, if `ordered`.
    n_negatives : Tensor of int64, shape (r,)
    """

    def __init__(self, distances: Tensor, labels: Tensor, start: int, ordered: bool = True) -> None:
        rows = torch.arange(len(distances), device=distances.device)
        same = labels[start : start + len(distances), None] == labels[None, :]
        self.start = start
        self.negatives, self.order = _sort_rows(distances.masked_fill(same, torch.inf), ordered)
        self.n_negatives = (~same).sum(1)
        same[rows, rows + start] = False
        self.row, self.positive = same.nonzero(as_tuple=True)
        self.to_positive = distances[self.row, self.positive]

    @property
    def n_positives(self) -> Tensor:
        """Number of positives of each anchor, int64, shape (r,)."""
        return torch.bincount(self.row, minlength=len(self.negatives))

    def count(self, condition: Condition) -> Tensor:
        """Return, for each positive pair, how many negatives meet `condition`, int64 (k,)."""
        low = torch.zeros_like(self.row)
        high = self.n_negatives[self.row]
        last = self.negatives.shape[1] - 1
        for _ in range(int(self.negatives.shape[1]).bit_length()):
            middle = (low + high) // 2
            met = condition(self.negatives[self.row, middle.clamp(max=last)], self.to_positive)
            met &= middle < high
            low = torch.where(met, middle + 1, low)
            high = torch.where(met, high, middle)
        return low

    def pick(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return anchors, positives and negatives: of each pair, negatives ``first .. last - 1``.

        Parameters
        ----------
        first, last : Tensor of int64, shape (k,)
            Places in the sorted rows.
        """
        counts = (last - first).clamp(min=0)
        pair = torch.repeat_interleave(counts)
        before = counts.cumsum(0) - counts
        place = torch.arange(len(pair), device=pair.device) - before[pair] + first[pair]
        row = self.row[pair]
        return row + self.start, self.positive[pair], self.order[row, place]


def anchor_blocks(
    distances: Tensor, labels: Tensor, start: int = 0, ordered: bool = True
) -> Iterator[AnchorRows]:
    """Yield anchors of a batch in blocks, so that what is sorted at once stays small.

    Parameters
    ----------
    distances : Tensor of float32, shape (r, b)
        From each anchor to every item; of all anchors, ``r`` is ``b``.
    labels : Tensor of int64, shape (b,)
    start : int
        Position of the first anchor in the batch.
    ordered : bool
        As for `AnchorRows`.
    """
    block = _BLOCK if distances.device.type == "cpu" else _BLOCK_ON_ACCELERATOR
    rows = max(1, block // max(1, len(labels)))
    for first in range(0, len(distances), rows):
        yield AnchorRows(distances[first : first + rows], labels, start + first, ordered)


def _sort_rows(values: Tensor, ordered: bool) -> tuple[Tensor, Tensor]:
    """Return each row in ascending order, and where its numbers were (nothing unless `ordered`)."""
    # On a processor NumPy's vectorised sorts take a third of torch's time, and less without places.
    if values.device.type != "cpu":
        return values.sort(dim=1)
    if not ordered:
        return torch.from_numpy(np.sort(values.numpy(), axis=1)), torch.empty(0, dtype=torch.int64)
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1))
    return values.gather(1, order), order
