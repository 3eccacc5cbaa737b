"""A snapshot made ready to be asked: supports by class, as the head compares them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import Aggregate, IntArray
from siamesekit.gallery._snapshot import Snapshot, values_behind, vectors_behind
from siamesekit.gallery._storage import Storage
from siamesekit.gallery._twins import checksums, first_of_each, twins_of
from siamesekit.heads import Head
from siamesekit.heads._best_pairs import best_of_all
from siamesekit.heads.aggregate import class_scores, prepared, prototypes, support_scores

__all__ = ["Found", "Prepared", "Tile", "prepare", "stamp_of"]

# Scores that are held at once: they stay in the cache of a processor.
_SCORES = 2**21
# Most queries that are scored at once; supports are then read once for so many.
_QUERIES = 512
# Groups of several supports whose mean is worked out at once, where they are packed.
_GROUPS = 2**10
# Of the supports, the share up to which they may be gone.
_SHARE = 4


class Tile(NamedTuple):
    """Scores of some queries against some groups.

    Attributes
    ----------
    rows : slice
        Positions of the queries.
    groups : ndarray of int64, shape (c,)
    scores : Tensor of float, shape (rows, c)
    """

    rows: slice
    groups: IntArray
    scores: Tensor


class Found(NamedTuple):
    """Pairs of queries and groups, among them the best of each query.

    Attributes
    ----------
    rows : slice
        Positions of the queries.
    own : ndarray of int64, shape (p,)
        Query of each pair, counted from the first of `rows`. Each has one pair at least.
    groups : ndarray of int64, shape (p,)
        Where it has several supports, a group may be there more than once.
    scores : ndarray of float, shape (p,)
    """

    rows: slice
    own: IntArray
    groups: IntArray
    scores: np.ndarray


class _Room:
    """Memory of supports and what belongs to them, in which there is place for more."""

    def __init__(self, supports: Tensor, ends: IntArray, codes: IntArray, known: Tensor | None):
        self.supports, self.ends, self.codes, self.known = supports, ends, codes, known
        self.used = len(codes)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What queries are compared with: groups of supports, one for each class.

    A class that gets more examples gets a new group behind the others; its old one is gone, as is
    that of a forgotten class.

    Attributes
    ----------
    head : Head
    aggregate : {"prototype", "mean", "max"}
    stamp : tuple
        State of the head's weights.
    supports : Tensor, shape (s, ...)
        By group: a prototype each, or all examples of the first, of the second and so on. As the
        head prepares them; where they are packed, as they will be packed when it has not yet.
    ends : ndarray of int64, shape (g + 1,)
        Group ``k`` has the supports ``ends[k]`` to ``ends[k + 1]``.
    codes : ndarray of int64, shape (g,)
        Class of each group.
    gone : ndarray of int64
        Groups that do not count, sorted.
    known : Tensor, shape (s, e), or None
        What the head knows of the supports; see `Head.for_best`. None where they are packed: it is
        worked out block by block.
    room : _Room
    storage : Storage
    """

    head: Head
    aggregate: Aggregate
    stamp: tuple[object, ...]
    supports: Tensor
    ends: IntArray
    codes: IntArray
    gone: IntArray
    known: Tensor | None
    room: _Room
    storage: Storage

    @staticmethod
    def made(
        head: Head,
        aggregate: Aggregate,
        supports: Tensor,
        counts: IntArray,
        codes: IntArray,
        storage: Storage,
    ) -> "Prepared":
        """Return groups of so many supports each."""
        ends = _ends(counts)
        known = head.for_best(supports) if storage.is_plain else None
        room, gone = _Room(supports, ends, codes, known), np.empty(0, dtype=np.int64)
        return Prepared(
            head, aggregate, stamp_of(head), supports, ends, codes, gone, known, room, storage
        )

    def __len__(self) -> int:
        """Return the number of groups, also those that are gone."""
        return len(self.codes)

    def serves(self, head: Head, aggregate: Aggregate) -> bool:
        """Return whether it was made for this head, as it is, and this aggregate."""
        return self.head is head and self.aggregate == aggregate and self.stamp == stamp_of(head)

    @property
    def is_single(self) -> bool:
        """Whether each group has one support."""
        return len(self.supports) == len(self)

    @cached_property
    def living(self) -> IntArray:
        """Groups that count, sorted."""
        return np.delete(np.arange(len(self)), self.gone)

    @cached_property
    def group_of(self) -> IntArray:
        """Group of each code, up to the largest there is; that of others means nothing."""
        groups = np.empty(int(self.codes.max()) + 1, dtype=np.int64)
        groups[self.codes[self.living]] = self.living
        return groups

    @cached_property
    def group_of_support(self) -> IntArray:
        """Group of each support, shape (s,)."""
        return np.arange(len(self)).repeat(np.diff(self.ends))

    @cached_property
    def twins(self) -> IntArray | None:
        """For each support the first that is the same; see `twins_of`."""
        return twins_of(self.supports, checksums(self.supports))

    def of(self, groups: IntArray) -> "Prepared":
        """Return some groups alone, in memory of their own."""
        counts = np.diff(self.ends)[groups]
        ends = _ends(counts)
        places = np.repeat(self.ends[groups] - ends[:-1], counts) + np.arange(ends[-1])
        chosen = torch.from_numpy(places).to(self.supports.device)
        supports, codes = self.supports[chosen], self.codes[groups]
        return Prepared.made(self.head, self.aggregate, supports, counts, codes, self.storage)

    def ready(self, rows: slice | Tensor) -> Tensor:
        """Return some supports as the head prepares them, float of shape (rows, d)."""
        return unpacked(self.head, self.storage, self.supports[rows])

    @cached_property
    def finds_best(self) -> bool:
        """Whether the head finds the best pairs faster than by comparing all."""
        if self.storage.is_plain:
            return self.known is not None
        return self.head.for_best(self.ready(slice(0, 1))) is not None

    def changed(
        self, gone: IntArray, supports: Tensor, counts: IntArray, codes: IntArray
    ) -> "Prepared":
        """Return this with more groups gone, and groups of so many supports each behind it."""
        room, g, s = self.room, len(self), len(self.supports)
        if room.used != g:  # another has grown into it
            room = _Room(self.supports, self.ends, self.codes, self.known)
        if len(codes):
            room.supports = vectors_behind(room.supports, s, supports)
            room.ends = values_behind(room.ends, g + 1, s + np.cumsum(counts))
            room.codes = values_behind(room.codes, g, codes)
            if room.known is not None:
                known = self.head.for_best(supports)
                room.known = None if known is None else vectors_behind(room.known, s, known)
            room.used = g + len(codes)
            s, g = s + len(supports), room.used
        all_gone = np.union1d(self.gone, gone)
        later = replace(
            self,
            supports=room.supports[:s],
            ends=room.ends[: g + 1],
            codes=room.codes[:g],
            gone=all_gone,
            known=None if room.known is None else room.known[:s],
            room=room,
        )
        lost = np.diff(later.ends)[all_gone].sum()
        return later.of(later.living) if lost > s // _SHARE else later

    def tiles(self, queries: Tensor) -> Iterator[Tile]:
        """Yield the scores of all queries against all groups that count, tile by tile.

        For each block of queries all groups in turn, so that at no time more than one tile is
        held.

        Parameters
        ----------
        queries : Tensor of float32, shape (m, d)
        """
        for block, rows, some in self._blocks(queries):
            groups, scores = self._groups_of(some), self._scores(block, some)
            if len(groups) < some.stop - some.start:
                scores = scores[:, torch.from_numpy(groups - some.start).to(scores.device)]
            if len(groups):
                yield Tile(rows, groups, scores)

    def best(self, queries: Tensor) -> Iterator[Found]:
        """Yield the best groups of each query, tile by tile; see `tiles`."""
        # A mean over examples needs all scores.
        if not self.finds_best or not (self.aggregate == "max" or self.is_single):
            for tile in self.tiles(queries):
                own, columns, scores = (x.cpu().numpy() for x in best_of_all(tile.scores))
                yield Found(tile.rows, own, tile.groups[columns], scores)
            return
        for block, rows, some in self._blocks(queries):
            start, stop = int(self.ends[some.start]), int(self.ends[some.stop])
            gone = self._gone_supports(start, stop)
            if len(gone) == stop - start:
                continue
            supports = self.ready(slice(start, stop))
            known = self.head.for_best(supports) if self.known is None else self.known[start:stop]
            pairs = self.head.best_pairs(block, supports, known, gone)  # type: ignore[arg-type]
            own, columns, scores = (x.cpu().numpy() for x in pairs)
            places = columns + start
            groups = places if self.is_single else self.group_of_support[places]
            yield Found(rows, own, groups, scores)

    def _blocks(self, queries: Tensor) -> Iterator[tuple[Tensor, slice, slice]]:
        """Yield some queries, their positions, and some groups."""
        queries = prepared(self.head, queries.to(self.supports.device))
        height = min(max(1, len(queries)), _QUERIES)
        columns = list(self._columns(max(1, _SCORES // height)))
        for start in range(0, len(queries), height):
            rows = slice(start, min(start + height, len(queries)))
            for some in columns:
                # One group alone may have more supports than fit.
                width = int(self.ends[some.stop] - self.ends[some.start])
                step = min(height, max(1, _SCORES // width))
                for first in range(rows.start, rows.stop, step):
                    own = slice(first, min(first + step, rows.stop))
                    yield queries[own], own, some

    def _columns(self, width: int) -> Iterator[slice]:
        """Yield groups that have together at most `width` supports; none is ever split."""
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(self.ends, self.ends[start] + width, side="right")) - 1
            yield slice(start, max(stop, start + 1))
            start = max(stop, start + 1)

    def _groups_of(self, some: slice) -> IntArray:
        """Return which groups of a range count."""
        if not len(self.gone):
            return np.arange(some.start, some.stop)
        first, last = np.searchsorted(self.living, [some.start, some.stop])
        return self.living[first:last]

    def _gone_supports(self, start: int, stop: int) -> Tensor:
        """Return which supports of a range belong to groups that are gone, from its start on."""
        if self.is_single:
            first, last = np.searchsorted(self.gone, [start, stop])
            return torch.from_numpy(self.gone[first:last] - start)
        own = np.isin(self.group_of_support[start:stop], self.gone)
        return torch.from_numpy(np.flatnonzero(own))

    def _scores(self, queries: Tensor, groups: slice) -> Tensor:
        """Return the scores of queries against a range of groups."""
        own = slice(self.ends[groups.start], self.ends[groups.stop])
        scores = self.head.compare(queries, self.ready(own))
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if self.twins is not None:
            alike = torch.from_numpy(first_of_each(self.twins[own]))
            scores = scores[:, alike.to(scores.device)]
        counts = np.diff(self.ends[groups.start : groups.stop + 1])
        if scores.shape[1] == len(counts):
            return scores
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
        An earlier one: what was worked out for classes that are as they were is taken over.
    """
    if before is not None and before[1].serves(head, aggregate) and now.continues(before[0]):
        return _continued(now, *before)
    rows = np.arange(len(now.codes)) if now.places is None else now.places
    supports, counts, codes = _supports(head, aggregate, now, rows)
    return Prepared.made(head, aggregate, supports, counts, codes, now.storage)


def _continued(now: Snapshot, earlier: Snapshot, before: Prepared) -> Prepared:
    """Return a snapshot made ready by what was for an earlier one."""
    known, fresh = len(earlier.names), now.codes[len(earlier.codes) :]
    went = np.flatnonzero(earlier.here & ~now.here[:known])
    touched = np.union1d(fresh, now.classes_that_lost(earlier))
    touched = touched[now.here[touched]]
    supports, counts = before.supports[:0], np.empty(0, dtype=np.int64)
    if len(touched):
        chosen = np.zeros(len(now.names), dtype=bool)
        chosen[touched] = True
        # Of classes that are all new, no example stands among the earlier ones.
        start = len(earlier.codes) if touched[0] >= known else 0
        rows = start + np.flatnonzero(chosen[now.codes[start:]])
        rows = rows[now.gone[rows] > now.time]
        supports, counts, touched = _supports(before.head, before.aggregate, now, rows)
    changed = touched[touched < known]
    return before.changed(
        before.group_of[np.concatenate([went, changed])], supports, counts, touched
    )


def _supports(
    head: Head, aggregate: Aggregate, now: Snapshot, rows: IntArray
) -> tuple[Tensor, IntArray, IntArray]:
    """Return supports by class of some examples, how many each class has, and the classes."""
    codes = now.codes[rows]
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        rows, codes = rows[order], codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    counts = np.diff(np.append(starts, len(codes)))
    stored = now.all_rows
    if len(rows) < len(stored) or (np.diff(rows) != 1).any():
        stored = stored[torch.from_numpy(rows).to(stored.device)]
    # Packed ones are prepared whenever they are unpacked: a second copy would be as large again.
    supports = prepared(head, stored) if now.storage.is_plain else stored
    if aggregate == "prototype" and len(starts) < len(codes):
        supports = _means(head, now.storage, supports, counts)
        counts = np.ones_like(counts)
    return supports, counts, codes[starts]


def _means(head: Head, storage: Storage, supports: Tensor, counts: IntArray) -> Tensor:
    """Return the mean of each group of supports; that of one as it was."""
    ends = _ends(counts)
    several = np.flatnonzero(counts > 1)
    means = supports[torch.from_numpy(ends[:-1]).to(supports.device)]
    # What is packed is unpacked in blocks of so many groups.
    most = len(several) if storage.is_plain else _GROUPS
    for start in range(0, len(several), max(1, most)):
        some = several[start : start + most]
        places = np.concatenate([np.arange(ends[k], ends[k + 1]) for k in some.tolist()])
        chosen = torch.from_numpy(places).to(supports.device)
        own = torch.from_numpy(np.arange(len(some)).repeat(counts[some])).to(supports.device)
        found = prototypes(unpacked(head, storage, supports[chosen]), own, len(some))
        means[torch.from_numpy(some).to(supports.device)] = storage.pack(prepared(head, found))
    return means


def unpacked(head: Head, storage: Storage, supports: Tensor) -> Tensor:
    """Return supports as a head prepares them, float of shape (n, d)."""
    return supports if storage.is_plain else prepared(head, storage.unpack(supports))


def stamp_of(head: Head) -> tuple[object, ...]:
    """Return what changes when the weights of a head do."""
    weights = [*head.parameters(), *head.buffers()]
    return tuple((id(x), 0 if x.is_inference() else x._version) for x in weights)


def _ends(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
