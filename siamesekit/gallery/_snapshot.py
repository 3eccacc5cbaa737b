"""What a gallery holds at one moment, and how the next moment follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._labels import check_same_kind, join_labels
from siamesekit._types import IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.gallery._storage import Storage

__all__ = ["Growth", "Snapshot", "values_behind", "vectors_behind"]

# Classes whose digests are worked out anew for each question: a millisecond.
_FEW = 500
# Of what is held in memory, the share up to which it may be forgotten.
_SHARE = 4
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Enrolled examples and their classes at one moment; never changed.

    It may stand in memory that holds forgotten examples too; what is shown is without them. What
    is derived is worked out when first asked for.

    Attributes
    ----------
    all_rows : Tensor, shape (t, ...)
        Embeddings as `storage` packs them, in the order in which they were enrolled, forgotten
        ones among them.
    codes : ndarray of int64, shape (t,)
        Class of each: its position in `names`.
    names : ndarray, shape (k,)
        Classes, in the order in which they came, forgotten ones among them.
    all_ids : ndarray of int64, shape (t,)
        Id of each example, forgotten ones among them; no two that are here have the same.
    ends : ndarray of int64, shape (k,)
        When each class is forgotten. Later moments write to it: a time after `time` is none of
        this one's.
    gone : ndarray of int64, shape (t,)
        When each example is forgotten by its own id, in the same way.
    next_id : int
        Larger than every id there ever was: who leaves an id behind leaves it for ever.
    time : int
        How often something had been forgotten.
    size : int
        How many examples are not forgotten.
    index : mapping from label to code
        Of the last class of this label. Later moments add to it: a code of k or more is none of
        this one's.
    namesakes : sequence of int
        Code of the earlier class of the same label, -1 where there was none. Later moments add
        to it.
    storage : Storage
    """

    all_rows: Tensor
    codes: IntArray
    names: np.ndarray
    all_ids: IntArray
    ends: IntArray
    gone: IntArray
    next_id: int
    time: int
    size: int
    index: Mapping[Any, int]
    namesakes: Sequence[int]
    storage: Storage

    @staticmethod
    def empty(storage: Storage) -> "Snapshot":
        """Return a snapshot of no examples."""
        none = np.empty(0, dtype=np.int64)
        names = np.empty(0, dtype=object)
        rows = torch.empty(0, 0, dtype=storage.dtype)
        return Snapshot(rows, none, names, none, none, none, 0, 0, 0, {}, [], storage)

    @staticmethod
    def of(
        rows: Tensor, labels: np.ndarray, ids: IntArray, next_id: int, storage: Storage
    ) -> "Snapshot":
        """Return a snapshot of some examples, packed by `storage`, which it shares."""
        return Growth(Snapshot.empty(storage)).enroll(rows, labels, ids, next_id)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.size

    @cached_property
    def here(self) -> np.ndarray:
        """Which classes are not forgotten, shape (k,) of bool."""
        here: np.ndarray = self.ends > self.time
        return here

    @cached_property
    def places(self) -> IntArray | None:
        """Where the examples stand that are not forgotten; None where nothing is."""
        if self.size == len(self.codes):
            return None
        return np.flatnonzero(self.here[self.codes] & (self.gone > self.time))

    @cached_property
    def rows(self) -> Tensor:
        """Embeddings as they are packed, in the order of enrolling, shape (n, ...)."""
        if self.places is None:
            return self.all_rows
        with torch.inference_mode(False), torch.no_grad():
            return self.all_rows[torch.from_numpy(self.places).to(self.all_rows.device)]

    @property
    def vectors(self) -> Tensor:
        """Embeddings, in the order in which they were enrolled, float32 of shape (n, d)."""
        return self.unpacked(self.rows)

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.storage.dim(self.all_rows)

    def unpacked(self, rows: Tensor) -> Tensor:
        """Return embeddings of some rows, float32 of shape (n, d)."""
        with torch.inference_mode(False), torch.no_grad():
            return self.storage.unpack(rows)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each example, shape (n,)."""
        codes = self.codes if self.places is None else self.codes[self.places]
        labels: np.ndarray = self.names[codes]
        return labels

    @cached_property
    def ids(self) -> IntArray:
        """Id of each example, shape (n,)."""
        ids = self.all_ids if self.places is None else self.all_ids[self.places]
        # Those of later moments stand in the same memory.
        ids = ids.view()
        ids.flags.writeable = False
        return ids

    @cached_property
    def order(self) -> IntArray:
        """Codes of the classes, as the classes are sorted, shape (number of classes,)."""
        codes = np.flatnonzero(self.here)
        return codes[np.argsort(self.names[codes], kind="stable")]

    @cached_property
    def ranks(self) -> IntArray:
        """Position of each code among the sorted classes, shape (k,); -1 where it is forgotten."""
        ranks = np.full(len(self.names), -1, dtype=np.int64)
        ranks[self.order] = np.arange(len(self.order))
        return ranks

    @cached_property
    def classes(self) -> np.ndarray:
        """Sorted classes, shape (number of classes,)."""
        return self.names[self.order]

    @cached_property
    def digests(self) -> np.ndarray:
        """A number for each class that depends on its label alone, uint64, shape (k,)."""
        return _digests(self.names)

    def digests_of(self, codes: IntArray) -> np.ndarray:
        """Return the digests of some classes, uint64, shape (c,); of few without all others."""
        some, place = np.unique(codes, return_inverse=True)
        if len(some) > _FEW:
            return self.digests[codes]
        own: np.ndarray = _digests(self.names[some])[place]
        return own

    def code_of(self, label: object) -> int | None:
        """Return the code of a class, or None if it is not here."""
        code = self.index.get(label, -1)
        while code >= len(self.names):  # came later
            code = self.namesakes[code]
        return code if code >= 0 and self.ends[code] > self.time else None

    def continues(self, earlier: "Snapshot") -> bool:
        """Return whether this came of `earlier`, with the same codes."""
        own = (len(self.codes), self.time)
        return self.index is earlier.index and own >= (len(earlier.codes), earlier.time)

    def classes_that_lost(self, earlier: "Snapshot") -> IntArray:
        """Return the codes of classes of which single examples were forgotten since, sorted."""
        if self.time == earlier.time:
            return np.empty(0, dtype=np.int64)
        gone = self.gone[: len(earlier.codes)]
        lost = np.flatnonzero((gone > earlier.time) & (gone <= self.time))
        codes: IntArray = np.unique(self.codes[lost])
        return codes


class Growth:
    """Room behind a snapshot, into which the examples of later ones are written.

    Snapshots are views of the same memory: what lies within them is never written again. The room
    doubles when it is full, and what is forgotten is left where it stands until it is a share of
    all; so that enrolling n one by one, and forgetting them one by one, are O(n) in all.

    Parameters
    ----------
    start : Snapshot

    Attributes
    ----------
    now : Snapshot
        The last one.
    """

    def __init__(self, start: Snapshot) -> None:
        self._begin(start)

    def _begin(self, start: Snapshot) -> None:
        """Take in a snapshot without what it has forgotten."""
        codes = np.flatnonzero(start.here)
        names, own = start.names[codes], start.codes
        if start.places is not None:
            own = np.searchsorted(codes, own[start.places])
        self._rows, self._codes, self._names = start.rows, own, names
        self._ids, self._gone = start.ids, np.full(len(own), _NEVER)
        self._place_of: dict[int, int] | None = None
        self._storage = start.storage
        self._counts = np.bincount(own, minlength=len(names)).tolist()
        self._ends = np.full(len(names), _NEVER)
        self._index: dict[Any, int] = {label: k for k, label in enumerate(names.tolist())}
        self._namesakes = [-1] * len(names)
        self.now = self._snapshot(len(own), names, start.next_id, 0, len(own))

    def _snapshot(self, n: int, names: np.ndarray, next_id: int, time: int, size: int) -> Snapshot:
        return Snapshot(
            self._rows[:n],
            self._codes[:n],
            names,
            self._ids[:n],
            self._ends[: len(names)],
            self._gone[:n],
            next_id,
            time,
            size,
            self._index,
            self._namesakes,
            self._storage,
        )

    def enroll(
        self, rows: Tensor, labels: np.ndarray, ids: IntArray | None = None, next_id: int = 0
    ) -> Snapshot:
        """Return the snapshot in which examples stand behind those of `now`.

        Parameters
        ----------
        rows : Tensor, shape (n, ...)
            Embeddings as the storage packs them.
        labels : ndarray, shape (n,)
            As `as_labels` returns them.
        ids : ndarray of int64, shape (n,), optional
            None of them negative, and none twice. Counted up from `Snapshot.next_id` by default.
        next_id : int
            What `Snapshot.next_id` is to be at least.

        Raises
        ------
        InvalidDataError
            If the kind of label does not fit, one would have to be rounded, an id is here already
            or there are no more to be counted up.
        """
        now = self.now
        if not len(labels):
            if next_id > now.next_id:
                self.now = replace(now, next_id=next_id)
            return self.now
        n, k = len(now.codes), len(now.names)
        check_same_kind(labels, now.names)
        keys = self._new_ids(ids, len(labels))
        new: dict[Any, int] = {}
        codes, places = [], []
        for place, label in enumerate(labels.tolist()):
            code = now.code_of(label)
            if code is None:
                if label not in new:
                    new[label] = k + len(new)
                    places.append(place)
                code = new[label]
            codes.append(code)
        names = self._add_names(now.names, labels[places]) if new else now.names
        self._rows = vectors_behind(self._rows, n, rows)
        self._codes = values_behind(self._codes, n, np.array(codes, dtype=np.int64))
        self._ends = values_behind(self._ends, k, np.full(len(new), _NEVER))
        self._namesakes += [self._index.get(label, -1) for label in new]
        self._index.update(new)
        self._counts += [0] * len(new)
        for code in codes:
            self._counts[code] += 1
        self._ids = values_behind(self._ids, n, keys)
        self._gone = values_behind(self._gone, n, np.full(len(keys), _NEVER))
        if self._place_of is not None:
            self._place_of.update(zip(keys.tolist(), range(n, n + len(keys)), strict=True))
        next_id = max(now.next_id, next_id, int(keys.max()) + 1)
        self.now = self._snapshot(n + len(codes), names, next_id, now.time, now.size + len(codes))
        return self.now

    def rows_of(self, ids: list[int]) -> list[int | None]:
        """Return where the examples of some ids stand; None for those that are not here."""
        now = self.now
        if self._place_of is None:  # who counts up and forgets classes pays nothing for it
            self._place_of = {key: row for row, key in enumerate(now.all_ids.tolist())}
        rows = [self._place_of.get(key) for key in ids]
        return [None if row is None or not self._is_here(row) else row for row in rows]

    def _is_here(self, row: int) -> bool:
        now = self.now
        return bool(now.ends[now.codes[row]] > now.time and now.gone[row] > now.time)

    def _new_ids(self, ids: IntArray | None, n: int) -> IntArray:
        if ids is None:
            if self.now.next_id > _NEVER - n:
                raise InvalidDataError("ids must be given: the largest there is was given before.")
            return np.arange(self.now.next_id, self.now.next_id + n)
        # What is larger than all there ever were is new.
        if int(ids.min()) < self.now.next_id:
            listed = ids.tolist()
            rows = self.rows_of(listed)
            taken = [key for key, row in zip(listed, rows, strict=True) if row is not None]
            if taken:
                raise InvalidDataError(f"ids must be new; {taken[0]} is enrolled already.")
        return ids

    def forget(self, gone: IntArray) -> Snapshot:
        """Return the snapshot that lacks some classes of `now`, given by their codes."""
        gone = np.unique(gone)
        return self._without(gone, sum(self._counts[code] for code in gone.tolist()))

    def forget_rows(self, rows: IntArray) -> Snapshot:
        """Return the snapshot that lacks some examples of `now`, given by where they stand."""
        codes, counts = np.unique(self.now.codes[rows], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self._counts[code] -= count
        self._gone[rows] = self.now.time + 1
        return self._without(codes[[self._counts[code] == 0 for code in codes.tolist()]], len(rows))

    def _without(self, gone: IntArray, lost: int) -> Snapshot:
        """Return the snapshot that lacks some classes and, in all, so many examples."""
        now = self.now
        size = now.size - lost
        if not size:
            self._begin(replace(Snapshot.empty(now.storage), next_id=now.next_id))
            return self.now
        self._ends[gone] = now.time + 1
        later = self._snapshot(len(now.codes), now.names, now.next_id, now.time + 1, size)
        if len(now.codes) - size > len(now.codes) // _SHARE:
            self._begin(later)
        else:
            self.now = later
        return self.now

    def _add_names(self, known: np.ndarray, new: np.ndarray) -> np.ndarray:
        if len(known) and _holds(known.dtype, new):
            self._names = values_behind(self._names, len(known), new)
        else:
            self._names = join_labels(known, new)
        return self._names[: len(known) + len(new)]


def _holds(dtype: np.dtype, values: np.ndarray) -> bool:
    """Return whether an array of this type holds each value as it is."""
    if values.dtype == dtype:
        return True
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            return bool(values.astype(dtype).tolist() == values.tolist())
    except OverflowError:  # an integer beyond 64 bits
        return False


def _digests(names: np.ndarray) -> np.ndarray:
    shown = (repr(name).encode() for name in names.tolist())
    return np.array(
        [int.from_bytes(blake2b(name, digest_size=8).digest(), "little") for name in shown],
        dtype=np.uint64,
    )


def vectors_behind(room: Tensor, used: int, rows: Tensor) -> Tensor:
    """Return memory that holds `used` rows of `room`, then `rows`; the same one if they fit."""
    total = used + len(rows)
    # Written where autograd does not look, into memory that belongs to no inference mode.
    with torch.inference_mode(False), torch.no_grad():
        if used == 0:
            return rows.detach().clone()
        if total > len(room):
            larger = room.new_empty(2 * total, room.shape[1])
            larger[:used] = room[:used]
            room = larger
        room[used:total] = rows
    return room


def values_behind(room: np.ndarray, used: int, values: np.ndarray) -> np.ndarray:
    """Return the same of an array of shape (n,), whose type holds the values."""
    total = used + len(values)
    if total > len(room):
        larger = np.empty(2 * total, dtype=room.dtype)
        larger[:used] = room[:used]
        room = larger
    room[used:total] = values
    return room
