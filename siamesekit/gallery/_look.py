"""A gallery, looked at with the eyes of people who are not in it."""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._labels import among
from siamesekit._types import IntArray
from siamesekit.errors import InvalidDataError, TooFewTrialsError
from siamesekit.gallery._background import Background, TooFewPeopleWarning
from siamesekit.gallery._rehearsal import FEWEST, Cast, Rehearsal
from siamesekit.gallery._snapshot import Snapshot
from siamesekit.gallery.threshold import Searches

if TYPE_CHECKING:
    from siamesekit.gallery._open_set import OpenSet, Strangers

__all__ = ["Evidence", "Look", "check_width", "on"]

# Searches that are looked at, of people held out and of people enrolled: a second at most.
_SEARCHES = 2000
_SEED = 0
# Scores that are kept at once.
_CELLS = 2**24


class Evidence(NamedTuple):
    """What is known of how strangers fare in galleries of a size.

    Attributes
    ----------
    searches : Searches
        Of this gallery.
    rehearsal : Rehearsal or None
        Of others, drawn from the background; None where that holds too few people.
    alike : float or None
        How alike those enrolled are, in galleries as large as the rehearsed ones.
    """

    searches: Searches
    rehearsal: Rehearsal | None
    alike: float | None


class Look:
    """Looks at a gallery with the eyes of people who are not in it."""

    def __init__(self, gallery: "OpenSet", now: Snapshot, strangers: "Strangers") -> None:
        self._gallery, self._now, self._strangers = gallery, now, strangers
        self._n = len(now.classes)
        known = strangers.background
        if known is None:
            known = Background(now.vectors[:0], now.labels[:0])
        else:
            check_width(now, known.vectors)  # nobody may have been here before them
            known = known.chosen(~among(known.labels, now.classes))
        self._background = known
        searching = slice(None) if known.searching is None else np.flatnonzero(known.searching)
        self._vectors, self._labels = known.vectors[searching], known.labels[searching]
        self._names = np.unique(self._labels)
        # Who is enrolled is a stranger to the others, unless the network was taught who it is.
        self._ours = np.empty(0, dtype=np.int64)
        if self._n > 1:
            self._ours = np.flatnonzero(~among(now.labels, strangers.trained))

    def possible(self, size: int) -> int:
        """Return the largest gallery, up to a size, that people at hand can search.

        Raises
        ------
        TooFewTrialsError
            If there are no strangers.
        """
        n, others = self._n, len(self._names)
        if (not others and not len(self._ours)) or n + others < 2:
            raise TooFewTrialsError(
                "a threshold needs people who were not trained on: some who are not enrolled, or "
                f"at least 2 who are; got none, and {n} enrolled who "
                f"{'were trained on' if n > 1 else 'may not search for themselves'}. "
                "set_background takes such people."
            )
        return min(size, max(n, n + self._n_fillers() - 1))

    def searches(self, size: int) -> Searches:
        """Return what strangers find in galleries of a size."""
        rng = np.random.default_rng(_SEED)
        theirs = _some(len(self._labels), rng)
        # Taken in another way than searches are, those enrolled do not tell how strangers fare.
        ours = self._ours if self._background.searching is None else self._ours[:0]
        ours = ours[_some(len(ours), rng)]
        bests, own_bests = self._bests(theirs), self._own_bests(ours)
        people = np.unique(self._labels[theirs], return_inverse=True)[1]
        own_people = np.unique(self._now.labels[ours], return_inverse=True)[1]
        people = np.concatenate([people, own_people + len(np.unique(people))])
        if size < self._n:
            parts = self._of_some(theirs, ours, size, rng)
        elif size == self._n:
            parts = self._of_all(bests, own_bests)
        else:
            parts = self._of_more(theirs, ours, bests, own_bests, size)
        return Searches(people, *parts)

    # -- among the people of the background ---------------------------------------------------

    @property
    def overlap(self) -> frozenset[Any]:
        """People of the background who are enrolled, and so are left out of it here."""
        known = self._strangers.background
        if known is None or len(known.labels) == len(self._background.labels):
            return frozenset()
        return frozenset(known.labels.tolist()) - frozenset(self._background.labels.tolist())

    @torch.inference_mode()
    def cast(self) -> Cast | None:
        """Return who can rehearse; None where they are too few."""
        rng = np.random.default_rng(_SEED)
        people = self._fillers()
        names = np.unique(people.labels)
        if len(names) < FEWEST or not len(self._labels):
            return None
        theirs = _some(len(self._labels), rng)
        most = max(FEWEST, _CELLS // max(1, len(theirs)))
        if most < len(names):
            names = np.sort(rng.choice(names, most, replace=False))
            people = people.chosen(among(people.labels, names))
        filled = self._gallery._of_background(people.vectors, people.labels)
        every = filled.class_scores(self._vectors[on(theirs, self._vectors)])
        rows = _some(len(people.labels), rng)
        among_them = filled.class_scores(people.vectors[on(rows, people.vectors)])
        # Of one group each, so that any item of somebody tells it.
        order, first = np.unique(self._background.labels, return_index=True)
        kinds = None if self._background.groups is None else self._background.groups[first]
        if kinds is not None and len(np.unique(kinds[_places(order, names)])) < 2:
            warnings.warn(
                "Those of the background who are not enrolled are of one group: how much groups "
                "differ is no longer part of what is promised.",
                TooFewPeopleWarning,
                stacklevel=2,
            )
            kinds = None
        group_of = np.arange(len(order)) if kinds is None else kinds
        return Cast(
            _scores(every),
            _places(names, self._labels[theirs]),
            group_of[_places(order, self._labels[theirs])],
            _scores(among_them),
            _places(names, people.labels[rows]),
            group_of[_places(order, names)],
            kinds is not None,
        )

    def alike(self, size: int) -> float | None:
        """Return how alike those enrolled are, in galleries of at most `size` of them."""
        rng = np.random.default_rng(_SEED)
        ours = self._ours[_some(len(self._ours), rng)]
        if not len(ours) or size < 2 or self._n < 2:
            return None
        if self._n <= size:
            return float(self._own_bests(ours).mean())
        kept = np.sort(rng.choice(self._n, size, replace=False))
        scores = self._own_scores(ours, kept)[0]
        return float(scores.max(1).mean())

    def _n_fillers(self) -> int:
        """Return how many people of the background can be enrolled."""
        known = self._background
        return len(np.unique(known.labels[_all_but(known.searching)]))

    def _fillers(self) -> Background:
        """Return the items of the background that can be enrolled, as many of each as is usual."""
        known = self._background
        if known.searching is not None:
            known = known.chosen(~known.searching)
        enrolled = np.zeros(len(known.labels), dtype=bool)
        enrolled[_first_of_each(known.labels, self.usual_number())] = True
        return known.chosen(enrolled)

    # -- in this gallery ----------------------------------------------------------------------

    def _bests(self, theirs: IntArray) -> np.ndarray:
        """Return the best score of others' searches of all enrolled; -infinity if none is."""
        if not len(theirs) or not self._n:
            return np.full(len(theirs), -np.inf)
        queries = self._vectors[on(theirs, self._vectors)]
        return self._gallery._best_scores(self._gallery._prepared(self._now), queries)

    def _own_bests(self, ours: IntArray) -> np.ndarray:
        """Return the best score of searches by those enrolled, of all others.

        Of very many classes nearly all search for nobody: among these, who is the best is found
        quickly; only those who search are compared one by one, without themselves.
        """
        if not len(ours):
            return np.empty(0)
        ready, queries = self._gallery._prepared(self._now), self._ours_of(ours)
        places = self._now.places
        of_ours = self._now.codes[ours if places is None else places[ours]]
        codes, own = np.unique(of_ours, return_inverse=True)
        groups = ready.group_of[codes]
        scores = self._gallery._all_scores(ready.of(groups), queries)
        scores[np.arange(len(ours)), own] = -np.inf
        bests: np.ndarray = scores.max(1)
        if len(groups) < len(ready.living):
            none = np.empty(0, dtype=np.int64)
            rest = ready.changed(groups, ready.supports[:0], none, none)
            bests = np.maximum(bests, self._gallery._best_scores(rest, queries))
        return bests

    def _ours_of(self, ours: IntArray) -> Tensor:
        """Return the embeddings of some who are enrolled."""
        rows = self._now.rows
        return self._now.unpacked(rows[on(ours, rows)])

    def _of_all(self, bests: np.ndarray, own_bests: np.ndarray) -> tuple[Any, ...]:
        fixed = np.concatenate([bests, own_bests])
        none = np.zeros(len(fixed), dtype=np.int64)
        factor = np.ones(len(fixed))
        # Who is enrolled searches one class less than a stranger would.
        factor[len(bests) :] = self._n / max(1, self._n - 1)
        return fixed, np.empty((len(fixed), 0)), none, none, factor

    def _of_some(
        self, theirs: IntArray, ours: IntArray, size: int, rng: np.random.Generator
    ) -> tuple[Any, ...]:
        """Return searches of smaller galleries, drawn from those enrolled."""
        # Of very many classes only some are drawn from, or every search times every class would
        # have to be held at once.
        most = max(size + 1, _CELLS // max(1, len(theirs) + len(ours)))
        kept = np.arange(self._n)
        if most < self._n:
            kept = np.sort(rng.choice(self._n, most, replace=False))
        scores = self._scores_of(self._vectors[on(theirs, self._vectors)], kept)
        own, here = self._own_scores(ours, kept)
        n = np.full(len(theirs) + len(ours), len(kept))
        n[len(theirs) :] -= here
        fixed = np.full(len(n), -np.inf)
        return fixed, np.concatenate([scores, own]), n, np.full(len(n), size), np.ones(len(n))

    def _own_scores(self, ours: IntArray, kept: IntArray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores of those enrolled against some classes, and whether these hold their own.

        Against their own class it is -infinity.
        """
        own = self._scores_of(self._ours_of(ours), kept)
        places = _places(self._now.classes[kept], self._now.labels[ours])
        here = places >= 0
        own[np.flatnonzero(here), places[here]] = -np.inf
        return own, here

    def _of_more(
        self,
        theirs: IntArray,
        ours: IntArray,
        bests: np.ndarray,
        own_bests: np.ndarray,
        size: int,
    ) -> tuple[Any, ...]:
        """Return searches of larger galleries, filled up with people who are not enrolled."""
        people = self._fillers()
        filled = self._gallery._of_background(people.vectors, people.labels)
        classes: np.ndarray = filled.snapshot.classes
        scores = filled.class_scores(self._vectors[on(theirs, self._vectors)])
        others = scores.cpu().double().numpy()
        places = _places(classes, self._labels[theirs])
        here = places >= 0
        others[np.flatnonzero(here), places[here]] = -np.inf
        if len(ours):
            own = filled.class_scores(self._ours_of(ours)).cpu().double().numpy()
            others = np.concatenate([others, own])
        sizes = [len(theirs), len(ours)]
        n = np.repeat([0, len(classes)], sizes)
        n[: len(theirs)] = len(classes) - here
        drawn = np.repeat([size - self._n, size - self._n + 1], sizes)
        fixed = np.concatenate([bests, own_bests])
        return fixed, others, n, np.minimum(drawn, n), np.ones(len(n))

    def _scores_of(self, queries: Tensor, kept: IntArray) -> np.ndarray:
        """Return the scores of queries and some of the sorted classes, which alone are compared."""
        ready = self._gallery._prepared(self._now)
        some = ready.of(ready.group_of[self._now.order[kept]])
        return self._gallery._all_scores(some, queries)

    def usual_number(self) -> int:
        """Return how many examples a class has here, or 1."""
        if not self._n:
            return 1
        return int(np.median(np.unique(self._now.labels, return_counts=True)[1]))


def check_width(now: Snapshot, vectors: Tensor) -> None:
    if len(now) and vectors.shape[1] != now.dim:
        raise InvalidDataError(
            f"the background must have {now.dim} numbers an embedding, as those "
            f"in the gallery; got {vectors.shape[1]}."
        )


def _all_but(searching: npt.NDArray[np.bool_] | None) -> Any:
    return slice(None) if searching is None else ~searching


def _scores(scores: Tensor) -> np.ndarray:
    """Return scores of the background's people among themselves; the lowest are finite too.

    Raises
    ------
    InvalidDataError
        If one is NaN or +infinity.
    """
    own: np.ndarray = scores.cpu().double().numpy()
    if np.isnan(own).any() or (own == np.inf).any():
        raise InvalidDataError(
            "the background must hold items whose scores with each other are finite; NaN or "
            "infinity found, as happens where embeddings are too large."
        )
    finite = own[np.isfinite(own)]
    clamped: np.ndarray = np.maximum(own, finite.min() if len(finite) else 0.0)
    return clamped


def _some(n: int, rng: np.random.Generator) -> IntArray:
    """Return positions of so many searches as are looked at, in order."""
    return np.sort(rng.permutation(n)[:_SEARCHES]).astype(np.int64)


def _first_of_each(labels: np.ndarray, number: int) -> IntArray:
    """Return the positions of the first items of each label."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    start = np.searchsorted(ordered, ordered)
    chosen: IntArray = np.sort(order[np.arange(len(order)) - start < number])
    return chosen


def _places(sorted_names: np.ndarray, labels: np.ndarray) -> IntArray:
    """Return the position of each label among some names; -1 where it is none of them."""
    if not len(sorted_names):
        return np.full(len(labels), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(sorted_names, labels), len(sorted_names) - 1)
    return np.where(sorted_names[places] == labels, places, -1).astype(np.int64)


def on(positions: IntArray, like: Tensor) -> Tensor:
    return torch.from_numpy(positions).to(like.device)
