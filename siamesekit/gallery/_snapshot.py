"""What a gallery holds at one moment, and how the next moment follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._labels import check_same_kind, join_labels
from siamesekit._types import IntArray

__all__ = ["Growth", "Snapshot"]

# Classes whose digests are worked out anew for each question: a millisecond.
_FEW = 500


@dataclass(frozen=True)
class Snapshot:
    """Enrolled examples and their classes at one moment; never changed.

    What is derived from them is worked out when first asked for.

    Attributes
    ----------
    vectors : Tensor of float32, shape (n, d)
        Embeddings, in the order in which they were enrolled.
    codes : ndarray of int64, shape (n,)
        Class of each: its position in `names`.
    names : ndarray, shape (k,)
        Classes, in the order in which they came.
    index : mapping from label to code
        Later moments add to it: a code of k or more is none of this one's.
    """

    vectors: Tensor
    codes: IntArray
    names: np.ndarray
    index: Mapping[Any, int]

    @staticmethod
    def empty() -> "Snapshot":
        """Return a snapshot of no examples."""
        no_codes = np.empty(0, dtype=np.int64)
        return Snapshot(torch.empty(0, 0), no_codes, np.empty(0, dtype=object), {})

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class of each example, shape (n,)."""
        labels: np.ndarray = self.names[self.codes]
        return labels

    @cached_property
    def order(self) -> IntArray:
        """Codes of the classes, as the classes are sorted, shape (k,)."""
        return np.argsort(self.names, kind="stable").astype(np.int64)

    @cached_property
    def ranks(self) -> IntArray:
        """Position of each code among the sorted classes, shape (k,)."""
        ranks = np.empty_like(self.order)
        ranks[self.order] = np.arange(len(self.order))
        return ranks

    @cached_property
    def classes(self) -> np.ndarray:
        """Sorted classes, shape (k,)."""
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
        code = self.index.get(label)
        return None if code is None or code >= len(self.names) else code

    def continues(self, earlier: "Snapshot") -> bool:
        """Return whether this is `earlier` with examples added, and none taken away."""
        return self.index is earlier.index and len(self) >= len(earlier)

    def without(self, gone: IntArray) -> "Snapshot":
        """Return a snapshot that lacks some classes, given by their codes."""
        stays = np.ones(len(self.names), dtype=bool)
        stays[gone] = False
        if not stays.any():
            return Snapshot.empty()
        keep = stays[self.codes]
        renumbered = np.cumsum(stays) - 1
        vectors = self.vectors[torch.from_numpy(keep).to(self.vectors.device)]
        names = self.names[stays]
        return Snapshot(vectors, renumbered[self.codes[keep]], names, _index_of(names))


class Growth:
    """Room behind a snapshot, into which the examples of later ones are written.

    Snapshots are views of the same memory: what lies within them is never written again. The room
    doubles when it is full, so that enrolling n one by one is O(n) in all.

    Parameters
    ----------
    start : Snapshot
    """

    def __init__(self, start: Snapshot) -> None:
        self._vectors, self._codes, self._names = start.vectors, start.codes, start.names
        self._index = _index_of(start.names)

    def follow(self, now: Snapshot, vectors: Tensor, labels: np.ndarray) -> Snapshot:
        """Return the snapshot in which examples stand behind those of `now`.

        Parameters
        ----------
        now : Snapshot
            The last one that came of this, or the one that it started from.
        vectors : Tensor of float32, shape (n, d)
        labels : ndarray, shape (n,)
            As `as_labels` returns them.

        Raises
        ------
        InvalidDataError
            If the kind of label does not fit, or one would have to be rounded.
        """
        n, k = len(now), len(now.names)
        check_same_kind(labels, now.names)
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
        self._vectors = _vectors_behind(self._vectors, n, vectors)
        self._codes = _values_behind(self._codes, n, np.array(codes, dtype=np.int64))
        self._index.update(new)
        total = n + len(labels)
        return Snapshot(self._vectors[:total], self._codes[:total], names, self._index)

    def _add_names(self, known: np.ndarray, new: np.ndarray) -> np.ndarray:
        if len(known) and _holds(known.dtype, new):
            self._names = _values_behind(self._names, len(known), new)
        else:
            self._names = join_labels(known, new)
        return self._names[: len(known) + len(new)]


def _holds(dtype: np.dtype, values: np.ndarray) -> bool:
    """Return whether an array of this type holds each value as it is."""
    if values.dtype == dtype:
        return True
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(values.astype(dtype).tolist() == values.tolist())


def _digests(names: np.ndarray) -> np.ndarray:
    shown = (repr(name).encode() for name in names.tolist())
    return np.array(
        [int.from_bytes(blake2b(name, digest_size=8).digest(), "little") for name in shown],
        dtype=np.uint64,
    )


def _index_of(names: np.ndarray) -> dict[Any, int]:
    return {label: code for code, label in enumerate(names.tolist())}


def _vectors_behind(room: Tensor, used: int, rows: Tensor) -> Tensor:
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


def _values_behind(room: np.ndarray, used: int, values: np.ndarray) -> np.ndarray:
    """Return the same of an array of shape (n,), whose type holds the values."""
    total = used + len(values)
    if total > len(room):
        larger = np.empty(2 * total, dtype=room.dtype)
        larger[:used] = room[:used]
        room = larger
    room[used:total] = values
    return room
