"""An index beside a gallery: who may be the best, before the head says who is.

The index holds what the head says an index may search (`Head.metric`) of every example, under the
example's id. A query's nearest examples there name the classes that are compared with it as always:
by the head, with all examples of theirs. What the index misses is missed; no score is ever other
than without an index.
"""

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._checks import shown
from siamesekit._types import IntArray
from siamesekit.errors import InvalidParameterError
from siamesekit.gallery._claims import claim_scores
from siamesekit.gallery._prepared import Prepared, stamp_of
from siamesekit.gallery._snapshot import Snapshot
from siamesekit.gallery.indexes import Index
from siamesekit.heads import Head

__all__ = ["Candidates", "Compared", "check_index"]

# Numbers of queries that stand beside their candidates at once.
_NUMBERS = 2**22


class Compared(NamedTuple):
    """Queries and the classes that they were compared with.

    Attributes
    ----------
    rows : slice
        Positions of the queries.
    own : ndarray of int64, shape (p,)
        Query of each pair, counted from the first of `rows`, sorted; each has one at least.
    codes : ndarray of int64, shape (p,)
    scores : ndarray of float, shape (p,)
    """

    rows: slice
    own: IntArray
    codes: IntArray
    scores: np.ndarray


class Candidates:
    """An index and what it was filled with.

    Parameters
    ----------
    spec : str, class or Index
        An index given by name or class searches by the head's own metric.
    n : int
        Examples that are asked for.

    Raises
    ------
    InvalidParameterError
        If `spec` is no index.
    """

    def __init__(self, spec: object, n: int) -> None:
        made = check_index(spec)
        self.n = n
        # Of a name or class it is made once it is known what the head's metric is.
        self._spec: Any = made
        self.index: Index | None = made if isinstance(made, Index) else None
        # Of the head whose vectors it holds; None as long as it was not filled.
        self._stamp: tuple[object, ...] | None = None
        self._places: tuple[Snapshot, IntArray, IntArray] | None = None
        # An index in memory is not to be searched while it is changed.
        self._lock = threading.RLock()

    def fresh(self) -> "Candidates":
        """Return the same of a copy of the gallery, filled when it is first asked.

        A store that others share is the same store.
        """
        known = self.index
        spec = self._spec if known is None else type(known)(**known.get_params(deep=False))
        return Candidates(spec, self.n)

    @property
    def saved(self) -> Any:
        """What a file says of it: an index, or the class of one."""
        return self._spec if self.index is None else self.index

    def serves(self, head: Head) -> bool:
        """Return whether it holds the vectors of this head, as it is."""
        return self._stamp is not None and self._stamp == stamp_of(head)

    def fill(self, head: Head, now: Snapshot, replace: bool = False) -> None:
        """Bring the index to what is enrolled; nobody may enroll or forget meanwhile.

        Parameters
        ----------
        head : Head
        now : Snapshot
        replace : bool
            Also the vectors that are there under ids of this gallery.
        """
        with self._lock:
            ids, vectors = now.ids, now.vectors
            changed = self._stamp is not None and not self.serves(head)
            if self.index is not None and len(ids):
                known = self.index.holds(ids)
                if (replace or changed) and known.any():
                    self.index.remove(ids[known])
                    known[:] = False
                ids, vectors = ids[~known], vectors[torch.from_numpy(~known).to(vectors.device)]
            self._stamp = stamp_of(head)
            self._put(head, vectors, ids)

    def add(self, head: Head, vectors: Tensor, ids: IntArray) -> None:
        """Add examples; what is not filled yet will have them when it is."""
        with self._lock:
            if self.serves(head):
                self._put(head, vectors, ids)

    def remove(self, ids: IntArray) -> None:
        """Remove examples, those that are there."""
        with self._lock:
            if self.index is not None and len(ids):
                known = self.index.holds(ids)
                if known.any():
                    self.index.remove(ids[known])

    def compared(
        self, head: Head, ready: Prepared, now: Snapshot, queries: Tensor, least: int = 1
    ) -> Iterator[Compared]:
        """Yield all queries, and the scores of each against its candidates.

        Where the index finds fewer than `least` classes for a query, that one is compared with
        all.

        Parameters
        ----------
        head : Head
        ready : Prepared
        now : Snapshot
            Examples that are not of this moment are passed over.
        queries : Tensor of float32, shape (m, d)
        least : int
            At most as many as there are classes.
        """
        k = max(self.n, least)
        height = max(1, _NUMBERS // max(1, k * queries.shape[1]))
        for start in range(0, len(queries), height):
            block = queries[start : start + height]
            own, codes = self._classes(head, now, block, k)
            few = np.bincount(own, minlength=len(block)) < least
            if few.any():
                stays = ~few[own]
                own, codes = own[stays], codes[stays]
                rest = np.flatnonzero(few).repeat(len(ready.living))
                own = np.concatenate([own, rest])
                codes = np.concatenate([codes, np.tile(ready.codes[ready.living], few.sum())])
                order = np.argsort(own, kind="stable")
                own, codes = own[order], codes[order]
            scores = claim_scores(ready, block, codes, own).cpu().numpy()
            yield Compared(slice(start, start + len(block)), own, codes, scores)

    def _classes(
        self, head: Head, now: Snapshot, queries: Tensor, k: int
    ) -> tuple[IntArray, IntArray]:
        """Return pairs of queries and classes that have an example among the nearest."""
        assert self.index is not None  # it is filled before it is asked
        with self._lock:
            found = np.asarray(self.index.search(_searched(head, queries), k).ids)
        ids, rows = self._ordered(now)
        place = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
        here = ids[place] == found
        own = np.broadcast_to(np.arange(len(found))[:, None], found.shape)[here]
        n = len(now.names)
        pairs = np.unique(own * n + now.codes[rows[place[here]]])
        return pairs // n, pairs % n

    def _ordered(self, now: Snapshot) -> tuple[IntArray, IntArray]:
        """Return the ids of a moment, sorted, and the row of each."""
        known = self._places
        if known is None or known[0] is not now:
            ids, rows = now.ids, now.places
            if rows is None:
                rows = np.arange(len(ids))
            if (ids[1:] < ids[:-1]).any():
                order = np.argsort(ids)
                ids, rows = ids[order], rows[order]
            known = self._places = now, ids, rows
        return known[1], known[2]

    def _put(self, head: Head, vectors: Tensor, ids: IntArray) -> None:
        if not len(ids):
            return
        stored = _searched(head, vectors)
        if self.index is None:
            self.index = self._spec(metric=_metric(head, vectors[:0])[0])
        self.index.add(stored, ids)


def check_index(spec: object) -> Index | type[Index]:
    """Return an index, or the class of one.

    Parameters
    ----------
    spec : str, class or Index

    Raises
    ------
    InvalidParameterError
        If it is none.
    UnknownPartError, PluginImportError, PluginConflictError
        As in `siamesekit.registry.get`.
    """
    made: object = registry.get("indexes", spec) if isinstance(spec, str) else spec
    if isinstance(made, Index) or (isinstance(made, type) and issubclass(made, Index)):
        return made
    raise InvalidParameterError(
        "index must be a name in the registry, or a class or an instance of Index; "
        f"got {shown(spec)}."
    )


@torch.inference_mode()
def _metric(head: Head, z: Tensor) -> tuple[str, Tensor]:
    found = head.metric(z)
    if found is None:
        raise InvalidParameterError(
            f"index must be None with head {type(head).__name__}: no index searches by its scores."
        )
    return found


def _searched(head: Head, z: Tensor) -> np.ndarray:
    array: np.ndarray = _metric(head, z)[1].detach().float().cpu().numpy()
    return array
