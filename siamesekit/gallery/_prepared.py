"""A snapshot made ready to be asked: supports by class, as the head compares them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import Aggregate, IntArray
from siamesekit.gallery._snapshot import Snapshot
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
    """

    head: Head
    aggregate: Aggregate
    supports: Tensor
    ends: IntArray

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.ends) - 1

    def of(self, codes: IntArray) -> "Prepared":
        """Return what queries are compared with where only these classes count."""
        counts = np.diff(self.ends)[codes]
        ends = _ends(counts)
        places = np.repeat(self.ends[codes] - ends[:-1], counts) + np.arange(ends[-1])
        chosen = torch.from_numpy(places).to(self.supports.device)
        return replace(self, supports=self.supports[chosen], ends=ends)

    def tiles(self, queries: Tensor) -> Iterator[Tile]:
        """Yield the scores of all queries against all classes, tile by tile.

        For each block of queries all classes in turn, so that at no time more than one tile is
        held.

        Parameters
        ----------
        queries : Tensor of float32, shape (m, d)
        """
        queries = prepared(self.head, queries.to(self.supports.device))
        height = min(max(1, len(queries)), _QUERIES)
        columns = list(self._columns(max(1, _SCORES // height)))
        for start in range(0, len(queries), height):
            rows = slice(start, min(start + height, len(queries)))
            for some in columns:
                yield Tile(rows, some, self._scores(queries[rows], some))

    def _columns(self, width: int) -> Iterator[slice]:
        """Yield classes that have together at most `width` supports; a class is never split."""
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self.ends, self.ends[start] + width, side="right")) - 1
            yield slice(start, max(stop, start + 1))
            start = max(stop, start + 1)

    def _scores(self, queries: Tensor, classes: slice) -> Tensor:
        supports = self.supports[self.ends[classes.start] : self.ends[classes.stop]]
        # One class alone may have more supports than fit.
        rows = max(1, _SCORES // len(supports))
        blocks = [self._of_block(block, supports, classes) for block in torch.split(queries, rows)]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)

    def _of_block(self, queries: Tensor, supports: Tensor, classes: slice) -> Tensor:
        scores = self.head.compare(queries, supports)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
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
    if aggregate == "prototype":
        known = None if before is None else _kept_prototypes(head, now, *before)
        supports = _prototypes(head, now) if known is None else known
        return Prepared(head, aggregate, supports, np.arange(len(now.names) + 1))
    codes = now.codes
    supports = prepared(head, now.vectors)
    if (codes[1:] < codes[:-1]).any():
        by_class = torch.from_numpy(np.argsort(codes, kind="stable"))
        supports = supports[by_class.to(supports.device)]
    return Prepared(head, aggregate, supports, _ends(np.bincount(codes)))


def _prototypes(head: Head, now: Snapshot) -> Tensor:
    supports = prepared(head, now.vectors)
    if len(now) == len(now.names):
        return supports
    codes = torch.from_numpy(now.codes).to(supports.device)
    return prepared(head, prototypes(supports, codes, len(now.names)))


def _kept_prototypes(
    head: Head, now: Snapshot, earlier: Snapshot, before: Prepared
) -> Tensor | None:
    """Return the prototypes of all classes, those of unchanged classes as they were; or None."""
    same_parts = before.head is head and before.aggregate == "prototype"
    if not same_parts or not now.continues(earlier):
        return None
    touched = np.unique(now.codes[len(earlier) :])
    own = np.isin(now.codes, touched).nonzero()[0]
    codes = torch.from_numpy(np.searchsorted(touched, now.codes[own]))
    vectors = now.vectors[torch.from_numpy(own).to(now.vectors.device)]
    supports = prepared(head, vectors)
    if len(own) > len(touched):
        supports = prepared(head, prototypes(supports, codes.to(supports.device), len(touched)))
    everything = before.supports.new_empty(len(now.names), supports.shape[1])
    everything[: len(before)] = before.supports
    everything[torch.from_numpy(touched).to(everything.device)] = supports
    return everything


def _ends(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
