"""A snapshot made ready to be asked: supports by class, as the head compares them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import Aggregate, IntArray
from siamesekit.gallery._snapshot import Snapshot
from siamesekit.gallery._twins import checksums, first_of_each, twins_of
from siamesekit.heads import Head
from siamesekit.heads.aggregate import class_scores, prepared, prototypes, support_scores

__all__ = ["Prepared", "Tile", "prepare"]

# Scores that are held at once: they stay in the cache of a processor.
_SCORES = 2**21
# Most queries that are scored at once; supports are then read once for so many.
_QUERIES = 512


class Tile(NamedTuple):
    """Scores of some queries against some classes.

    Attributes
    ----------
    rows : slice
        Positions of the queries.
    columns : slice
        Positions of the classes.
    scores : Tensor of float, shape (rows, columns)
    """

    rows: slice
    columns: slice
    scores: Tensor


@dataclass(frozen=True)
class Prepared:
    """What queries are compared with.

    Attributes
    ----------
    head : Head
    aggregate : {"prototype", "mean", "max"}
    supports : Tensor of float, shape (s, d)
        By class: a prototype each, or all examples of the first, of the second and so on.
    ends : ndarray of int64, shape (k + 1,)
        Class ``c`` has the supports ``ends[c]`` to ``ends[c + 1]``.
    sums : ndarray of uint32, shape (s,)
        Their `checksums`.
    twins : ndarray of int64, shape (s,), or None
        For each support the first that is the same; see `twins_of`.
    """

    head: Head
    aggregate: Aggregate
    supports: Tensor
    ends: IntArray
    sums: np.ndarray
    twins: IntArray | None

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.ends) - 1

    def serves(self, head: Head, aggregate: Aggregate) -> bool:
        """Return whether it was made for this head and this aggregate."""
        return self.head is head and self.aggregate == aggregate

    def of(self, codes: IntArray) -> "Prepared":
        """Return what queries are compared with where only these classes count."""
        counts = np.diff(self.ends)[codes]
        ends = _ends(counts)
        places = np.repeat(self.ends[codes] - ends[:-1], counts) + np.arange(ends[-1])
        chosen = torch.from_numpy(places).to(self.supports.device)
        twins = None if self.twins is None else self.twins[places]
        supports, sums = self.supports[chosen], self.sums[places]
        return replace(self, supports=supports, ends=ends, sums=sums, twins=twins)

    def tiles(self, queries: Tensor, *, for_best: bool = False) -> Iterator[Tile]:
        """Yield the scores of all queries against all classes, tile by tile.

        For each block of queries all classes in turn, so that at no time more than one tile is
        held.

        Parameters
        ----------
        queries : Tensor of float32, shape (m, d)
        for_best : bool
            Of each query only the best scores of a tile are asked for; see
            `Head.compare_for_best`.
        """
        # A mean over examples would mix scores that are and scores that are not as asked.
        hurry = for_best and (self.aggregate == "max" or len(self.supports) == len(self))
        queries = prepared(self.head, queries.to(self.supports.device))
        height = min(max(1, len(queries)), _QUERIES)
        columns = list(self._columns(max(1, _SCORES // height)))
        for start in range(0, len(queries), height):
            rows = slice(start, min(start + height, len(queries)))
            for some in columns:
                yield Tile(rows, some, self._scores(queries[rows], some, hurry))

    def _columns(self, width: int) -> Iterator[slice]:
        """Yield classes that have together at most `width` supports; a class is never split."""
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self.ends, self.ends[start] + width, side="right")) - 1
            yield slice(start, max(stop, start + 1))
            start = max(stop, start + 1)

    def _scores(self, queries: Tensor, classes: slice, hurry: bool) -> Tensor:
        own = slice(self.ends[classes.start], self.ends[classes.stop])
        supports = self.supports[own]
        # One class alone may have more supports than fit.
        rows = max(1, _SCORES // len(supports))
        alike = None if self.twins is None else torch.from_numpy(first_of_each(self.twins[own]))
        blocks = [
            self._of_block(block, supports, classes, alike, hurry)
            for block in torch.split(queries, rows)
        ]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)

    def _of_block(
        self,
        queries: Tensor,
        supports: Tensor,
        classes: slice,
        alike: Tensor | None,
        hurry: bool,
    ) -> Tensor:
        compare = self.head.compare_for_best if hurry else self.head.compare
        scores = compare(queries, supports)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if alike is not None:
            scores = scores[:, alike.to(scores.device)]
        if len(supports) == classes.stop - classes.start:
            return scores
        counts = np.diff(self.ends[classes.start : classes.stop + 1])
        if (counts == counts[0]).all():
            return support_scores(scores.view(len(scores), len(counts), -1), self.aggregate)
        codes = torch.from_numpy(np.arange(len(counts)).repeat(counts)).to(scores.device)
        return class_scores(scores, codes, len(counts), self.aggregate)


@torch.inference_mode()
def prepare(
    head: Head,
    aggregate: Aggregate,
    now: Snapshot,
    before: tuple[Snapshot, Prepared] | None = None,
) -> Prepared:
    """Return a snapshot made ready.

    Parameters
    ----------
    head : Head
    aggregate : {"prototype", "mean", "max"}
    now : Snapshot
    before : tuple of Snapshot and Prepared, optional
        An earlier one: where examples were only added since, the prototypes of other classes are
        taken over.
    """
    k = len(now.names)
    if aggregate == "prototype":
        if before is not None and before[1].serves(head, aggregate) and now.continues(before[0]):
            return _continued(now, *before)
        supports, ends = _prototypes(head, now.vectors, now.codes, k), np.arange(k + 1)
    else:
        supports, ends = prepared(head, now.vectors), _ends(np.bincount(now.codes))
        if (now.codes[1:] < now.codes[:-1]).any():
            by_class = torch.from_numpy(np.argsort(now.codes, kind="stable"))
            supports = supports[by_class.to(supports.device)]
    sums = checksums(supports)
    return Prepared(head, aggregate, supports, ends, sums, twins_of(supports, sums))


def _continued(now: Snapshot, earlier: Snapshot, before: Prepared) -> Prepared:
    """Return a snapshot made ready by prototypes, those of unchanged classes as they were."""
    touched = np.unique(now.codes[len(earlier) :])
    rows = np.flatnonzero(np.isin(now.codes, touched))
    codes = np.searchsorted(touched, now.codes[rows])
    vectors = now.vectors[torch.from_numpy(rows).to(now.vectors.device)]
    new, k = _prototypes(before.head, vectors, codes, len(touched)), len(now.names)
    supports = before.supports.new_empty(k, new.shape[1])
    supports[: len(before)] = before.supports
    supports[torch.from_numpy(touched).to(supports.device)] = new
    sums = np.empty(k, dtype=before.sums.dtype)
    sums[: len(before)] = before.sums
    sums[touched] = checksums(new)
    ends, twins = np.arange(k + 1), twins_of(supports, sums)
    return replace(before, supports=supports, ends=ends, sums=sums, twins=twins)


def _prototypes(head: Head, vectors: Tensor, codes: IntArray, k: int) -> Tensor:
    supports = prepared(head, vectors)
    if len(supports) == k:  # one each, in the order in which the classes came
        return supports
    return prepared(head, prototypes(supports, torch.from_numpy(codes).to(supports.device), k))


def _ends(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
