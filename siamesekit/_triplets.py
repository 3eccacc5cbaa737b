"""Triplets of a batch, found by sorting: no tensor of anchors × positives × negatives anywhere.

What a margin asks of a triplet is monotone in the distance of its negative, so each positive pair
has a furthest distance that still meets it. Only the negatives within the furthest of an anchor's
pairs are sorted, and those of one pair are a run of them, whose ends a binary search finds.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._float_order import codes, last_that_meets

__all__ = ["AnchorRows", "Classes", "Runs", "row_blocks"]

# Numbers of a matrix in a block. A processor is as fast with small ones, which keep memory low; an
# accelerator needs larger ones to be busy.
_BLOCK = 2**18
_BLOCK_ON_ACCELERATOR = 2**24


def row_blocks(matrix: Tensor) -> Iterator[slice]:
    """Yield the rows of a matrix in blocks, so that what is made of one block stays small."""
    block = _BLOCK if matrix.device.type == "cpu" else _BLOCK_ON_ACCELERATOR
    rows = max(1, block // max(1, matrix.shape[1]))
    for first in range(0, len(matrix), rows):
        yield slice(first, min(first + rows, len(matrix)))


class Classes(NamedTuple):
    """The classes of a batch, whose items are side by side in `order`.

    Attributes
    ----------
    order : Tensor of int64, shape (b,)
        The items class by class, in ascending order within each.
    place : Tensor of int64, shape (b,)
        Of each item in `order`.
    begin, size : Tensor of int64, shape (b,)
        Of each item's class: its first place in `order`, and its number of items.
    """

    order: Tensor
    place: Tensor
    begin: Tensor
    size: Tensor

    @staticmethod
    def of(labels: Tensor) -> "Classes":
        """Return the classes of labels of int64, shape (b,)."""
        _, classes, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
        order = classes.argsort(stable=True)
        begin = sizes.cumsum(0) - sizes
        return Classes(order, order.argsort(), begin[classes], sizes[classes])


class Runs(NamedTuple):
    """Negatives of a block of anchors, and the run of them that each positive pair has.

    Attributes
    ----------
    row, negative : Tensor of int64, shape (m,)
        Anchor as a row of the block, and negative as a position in the batch; by rows, and in each
        in order of distance.
    begin, first, last : Tensor of int64, shape (k,)
        Of each positive pair, places among these negatives: the nearest of its anchor, the first
        of its run, and the one after its last.
    """

    row: Tensor
    negative: Tensor
    begin: Tensor
    first: Tensor
    last: Tensor


class AnchorRows:
    """A block of anchors and their positive pairs.

    Parameters
    ----------
    distances : Tensor of float32 or float64, shape (r, b)
        From each anchor of the block to every item. What is not a number is left out: such a
        pair is no positive one, and such a negative is in no run.
    classes : Classes
    start : int
        Position of the first anchor in the batch.

    Attributes
    ----------
    row, positive : Tensor of int64, shape (k,)
        The positive pairs of known distance, in ascending order: anchor as a row of the block,
        and positive as a position in the batch.
    place : Tensor of int64, shape (k,)
        Of these pairs in the flattened `distances`.
    to_positive : Tensor like `distances`, shape (k,)
    n_triplets : Tensor of int64, shape ()
        All triplets of these anchors.
    """

    def __init__(self, distances: Tensor, classes: Classes, start: int) -> None:
        self.distances = distances.contiguous()
        self.start = start
        place, begin, size = (of_item[start : start + len(distances)] for of_item in classes[1:])
        others = size - 1
        self.row = torch.repeat_interleave(others)
        before = others.cumsum(0) - others
        other = torch.arange(len(self.row), device=distances.device) + (begin - before)[self.row]
        # The anchor itself is among the items of its class, and is passed over.
        other += other >= place[self.row]
        self.positive = classes.order[other]
        self.place = self.row * distances.shape[1] + self.positive
        self.to_positive = self.distances.take(self.place)
        self.n_triplets = (others * (distances.shape[1] - size)).sum()
        known = ~self.to_positive.isnan()
        if not known.all():
            self._keep(known)

    def _keep(self, pairs: Tensor) -> None:
        """Drop all positive pairs but these: a distance that is not a number bounds no run."""
        self.row, self.positive, self.place, self.to_positive = (
            of_pairs[pairs] for of_pairs in (self.row, self.positive, self.place, self.to_positive)
        )

    def up_to_positive(self) -> Tensor:
        """Return the furthest distance with ``d(a, n) - d(a, p) <= 0``, shape (k,)."""
        # Two infinite distances differ by NaN.
        return self.to_positive.clamp(max=torch.finfo(self.to_positive.dtype).max)

    def up_to_margin(self, margin: float) -> Tensor:
        """Return the furthest distance with ``d(a, n) - d(a, p) <= margin``, shape (k,)."""
        return self._furthest(lambda d_an: d_an - self.to_positive <= margin, margin)

    def without_end(self) -> Tensor:
        """Return infinity for each pair: all negatives are within it, shape (k,)."""
        return torch.full_like(self.to_positive, torch.inf)

    def up_to_next(self) -> Tensor:
        """Return the nearest negative beyond all positives of the anchor, shape (k,).

        Infinity where there is none.
        """
        beyond = self.distances > self._furthest_of_rows(self.up_to_positive())[:, None]
        beyond.diagonal(self.start).fill_(False)
        return self.distances.masked_fill(~beyond, torch.inf).amin(1)[self.row]

    def active(self, margin: float) -> Tensor:
        """Return the furthest distance with ``d(a, p) - d(a, n) + margin > 0``, shape (k,)."""
        return self._furthest(lambda d_an: self.to_positive - d_an + margin > 0, margin)

    def runs(self, lower: Tensor | None, upper: Tensor) -> Runs:
        """Return, for each positive pair, the negatives with ``lower < d(a, n) <= upper``.

        Parameters
        ----------
        lower, upper : Tensor like `to_positive`, shape (k,)
            None takes all from the nearest on.
        """
        rows, items = self.distances.shape
        place = self._negatives_within(upper)
        row = place.div(items, rounding_mode="floor")
        bounds = [upper] if lower is None else [upper, lower]
        code, *bound_codes = codes(self.distances.take(place), *bounds)
        # One number holds row, distance and item, from its high bits to its low ones.
        bits = items.bit_length()
        keys = _sorted((row << 32 | code) << bits | place - row * items)
        after = [(self.row << 32 | bound) + 1 << bits for bound in bound_codes]
        last, *first = (torch.searchsorted(keys, key) for key in after)
        begin_of_row = torch.arange(rows, device=keys.device) << 32 + bits
        begin = torch.searchsorted(keys, begin_of_row)[self.row]
        return Runs(
            row=keys >> 32 + bits,
            negative=keys & (1 << bits) - 1,
            begin=begin,
            first=begin if lower is None else first[0],
            last=last,
        )

    def _furthest(self, meets: Callable[[Tensor], Tensor], margin: float) -> Tensor:
        # The sum is right but for the rounding of what the condition computes.
        return last_that_meets(meets, self.to_positive + margin)

    def _furthest_of_rows(self, bounds: Tensor) -> Tensor:
        """Return the largest bound of each anchor's pairs, or minus infinity, shape (r,)."""
        furthest = bounds.new_full((len(self.distances),), -torch.inf)
        return furthest.scatter_reduce_(0, self.row, bounds, "amax")

    def _negatives_within(self, upper: Tensor) -> Tensor:
        """Return places, in flattened `distances`, of negatives within a bound of their anchor."""
        within = self.distances <= self._furthest_of_rows(upper)[:, None]
        flat = within.view(-1).index_fill_(0, self.place, False)
        within.diagonal(self.start).fill_(False)
        return _places(flat)


# On a processor NumPy takes a third of torch's time for both of these, and sorts in place.


def _places(mask: Tensor) -> Tensor:
    """Return where a mask of shape (n,) is true, int64."""
    if mask.device.type != "cpu":
        return mask.nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _sorted(keys: Tensor) -> Tensor:
    """Return integers in ascending order; those given are the caller's to lose."""
    if keys.device.type != "cpu":
        return keys.sort().values
    keys.numpy().sort()
    return keys
