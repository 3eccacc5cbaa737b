"""Who is a stranger: what a gallery promises of people who are not enrolled."""

import itertools
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_flag, check_integer, check_number
from siamesekit._labels import among, as_classes, as_labels
from siamesekit._types import Aggregate, ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, TooFewTrialsError
from siamesekit.gallery._background import (
    Background,
    TooFewPeopleWarning,
    as_groups,
    as_searching,
)
from siamesekit.gallery._best import check_scores, digest
from siamesekit.gallery._candidates import Candidates, Compared
from siamesekit.gallery._look import Evidence, Look, check_width, on
from siamesekit.gallery._prepared import Prepared
from siamesekit.gallery._rehearsal import Cast, Rehearsal
from siamesekit.gallery._snapshot import Snapshot
from siamesekit.gallery.grouping import MOST_REFUSED, Groups, Refused, Tree
from siamesekit.gallery.identify import Identification, Ranked, Ranking
from siamesekit.gallery.threshold import (
    Threshold,
    above,
    confidence_of,
    lowest_that_keeps,
)
from siamesekit.heads import Head
from siamesekit.training.items import Items

__all__ = ["OpenSet", "Strangers", "TooFewPeopleWarning"]

CONFIDENCE = 0.95


class Strangers:
    """What a gallery knows of people who are not enrolled, and what followed from it so far.

    Attributes
    ----------
    background : Background or None
    trained : ndarray, shape (c,)
        Classes that training saw.
    refused : Refused
        What was asked to be remembered.
    """

    def __init__(
        self,
        background: Background | None = None,
        trained: np.ndarray | None = None,
        refused: Refused | None = None,
    ) -> None:
        self.background = background
        self.trained = np.empty(0) if trained is None else trained
        self.refused = Refused() if refused is None else refused
        self.working = threading.Lock()
        # Of one snapshot, one background and one head as it is; replaced as a whole.
        self.known: tuple[tuple[object, ...], dict[int, Evidence]] | None = None
        # Of the background alone, whoever joins or leaves.
        self.cast: tuple[tuple[object, ...], Cast | None] | None = None

    def cast_of(self, key: tuple[object, ...], look: Look) -> Cast | None:
        """Return who rehearses, worked out once for all that it depends on."""
        known = self.cast
        if known is None or not _same(known[0], key):
            known = self.cast = key, look.cast()
        return known[1]

    def without(self, names: np.ndarray) -> "Strangers":
        """Return strangers without some people: who is forgotten is forgotten here too."""
        known = self.background
        if known is None:
            return self
        stays = ~among(known.labels, names)
        if stays.all():
            return self
        left = known.chosen(stays) if stays.any() else None
        return Strangers(left, self.trained, self.refused)


class OpenSet:
    """What `Gallery` can say of strangers; the gallery itself says how to search.

    It stands apart for its idea is one: a promise to people who are not here.
    """

    head: Head
    aggregate: Aggregate
    _strangers: Strangers
    _candidates: Candidates | None

    @property
    def snapshot(self) -> Snapshot:
        """What is enrolled at one moment."""
        raise NotImplementedError

    def put_back(self, vectors: Tensor, labels: ArrayLike) -> Any:
        """Enroll what was enrolled before."""
        raise NotImplementedError

    def class_scores(self, queries: Tensor) -> Tensor:
        """Return the score of each query against each class."""
        raise NotImplementedError

    def _as_vectors(self, vectors: object, name: str) -> Tensor:
        raise NotImplementedError

    def _asked(self, queries: ArrayLike) -> tuple[Snapshot, Tensor]:
        raise NotImplementedError

    def _codes_among(self, now: Snapshot, classes: ArrayLike) -> IntArray:
        raise NotImplementedError

    def _prepared(self, now: Snapshot) -> Prepared:
        raise NotImplementedError

    def _compared(
        self, now: Snapshot, ready: Prepared, queries: Tensor, least: int = 1
    ) -> Iterator[Compared]:
        raise NotImplementedError

    # -- held-out people ----------------------------------------------------------------------

    @property
    def background(self) -> tuple[Tensor, np.ndarray] | None:
        """Embeddings and labels of the people whose searches set thresholds; None without any."""
        known = self._strangers.background
        return None if known is None else (known.vectors, known.labels)

    def set_background(
        self,
        vectors: ArrayLike,
        labels: ArrayLike,
        groups: ArrayLike | None = None,
        searching: ArrayLike | None = None,
    ) -> None:
        """Take people by whose searches thresholds are set; they are not enrolled.

        Best people who were not trained on, as like as can be to those who will come. One of them
        who is enrolled later no longer counts as a stranger. They are kept beside the gallery, in
        its copies too; no people at all take them away again.

        Parameters
        ----------
        vectors : Tensor of float, shape (n, d)
            Finite.
        labels : array-like, shape (n,)
            Who each is. Several items of a person count as that person's.
        groups : array-like, shape (n,), optional
            Of what kind each person is (alphabet, family, camera), where strangers may be of other
            kinds than those here: how much kinds differ is then part of what is promised. At least
            two, the more the better; a person is of one. By default all differ alike.
        searching : array-like of bool, shape (n,), optional
            Which items were taken as searches will be, where that is another way than that in which
            people are enrolled (another camera, another speaker); the others are as those enrolled
            are. Both are needed. Those enrolled then do not count as strangers to each other.

        Raises
        ------
        InvalidDataError
            If lengths or the dimension do not fit, an embedding is not finite, a person is of two
            groups, or there is one group only or one kind of item; the background is then as it
            was.
        """
        own = self._as_vectors(vectors, "vectors")
        names = as_labels(labels, "labels", len(own))
        kinds = None if groups is None else as_groups(groups, names)
        search = None if searching is None else as_searching(searching, len(own))
        background = Background(own.clone(), names.copy(), kinds, search) if len(own) else None
        if background is not None:
            check_width(self.snapshot, own)
            # A gallery of them alone finds what a search would find too late.
            self._of_background(own, names)
        old = self._strangers
        self._strangers = Strangers(background, old.trained, old.refused)

    def set_trained(self, classes: ArrayLike) -> None:
        """Say which classes training saw.

        It tells them apart better than others, so that those of them who are enrolled are not
        counted among the strangers to all others.

        Parameters
        ----------
        classes : label, or array-like or set of labels
            None of them: every class enrolled is new to the network.

        Raises
        ------
        InvalidDataError
            If these are no labels.
        """
        old = self._strangers
        self._strangers = Strangers(old.background, as_classes(classes), old.refused)

    # -- the promise --------------------------------------------------------------------------

    def threshold(
        self,
        fpir: float = 0.05,
        gallery_size: int | None = None,
        confidence: float | None = CONFIDENCE,
    ) -> Threshold:
        """Return the lowest score that keeps a promise to strangers.

        A stranger's search returns somebody with a probability of at most `fpir`. That is promised
        for the gallery as it is: asked again after people have joined or left, the answer is
        another.

        Parameters
        ----------
        fpir : float
            False positive identification rate, in (0, 1): share of the searches by people who are
            not enrolled that return anybody.
        gallery_size : int, optional
            Promise it for a gallery of so many classes, as those here and like them. Smaller
            galleries are drawn from those enrolled, larger ones are filled up from the background.
            By default the gallery as it is.
        confidence : float or None
            With which it is promised, one-sided, in (0, 1). None: as much as the people at hand
            can show, up to 0.95; less is warned of.

        Returns
        -------
        Threshold
            A number, with the promise, its estimate and its upper bound.

        Raises
        ------
        TooFewTrialsError
            If there are no strangers to look at (no background, and not two people enrolled), or
            so few that this cannot be shown: about 3 / `fpir` independent searches are needed.
        InvalidDataError
            If the gallery is empty.
        InvalidParameterError
            If an argument is out of its range.

        Warns
        -----
        TooFewPeopleWarning
            If `confidence` is None and fewer people can show less; or where groups were given, and
            all of the background but one is enrolled.

        Notes
        -----
        Strangers are the people of `set_background`, each in search of this gallery, and everybody
        enrolled in search of all others: a bound of Clopper and Pearson at the number of
        independent searches that theirs are worth keeps to `fpir`. That alone breaks the promise
        where strangers are of the kinds of those enrolled, as letters of their alphabets, and the
        background is of others (measured: 5 % promised, 6-8 % seen). So it is rehearsed too: of the
        background some are enrolled, the others search, and the threshold of one more gallery, of
        people and groups of its own, is bounded by what such galleries show (Student's t over
        groups, with a jackknife that leaves one of them out). If those enrolled are more alike than
        chance would have them in the background, that is added. The higher of the two is the
        threshold.
        """
        most = check_number("fpir", fpir, low=0.0, high=1.0, open_low=True, open_high=True)
        if confidence is not None:
            check_number("confidence", confidence, low=0.0, high=1.0, open_low=True, open_high=True)
        now = self._asked_for(gallery_size)
        made = self._threshold(now, most, gallery_size, confidence)
        if confidence is None:
            _warn_of(made)
        return made

    def _asked_for(self, gallery_size: int | None) -> Snapshot:
        if gallery_size is not None:
            check_integer("gallery_size", gallery_size, low=1)
        now: Snapshot = self.snapshot
        if len(now) == 0 and gallery_size is None:
            raise InvalidDataError("the gallery is empty: enroll at least one class first.")
        return now

    def _threshold(
        self,
        now: Snapshot,
        most: float,
        gallery_size: int | None,
        confidence: float | None,
        name: str = "fpir",
        n_galleries: int = 1,
    ) -> Threshold:
        """Return what `threshold` does; of the mean over some galleries, under a name."""
        size = len(now.classes) if gallery_size is None else gallery_size
        known, searched = self._evidence(now, size)
        searches, rehearsal = known.searches, known.rehearsal
        # Of a larger gallery than can be filled: rates grow with it, at most in proportion.
        share = min(1.0, searched / size)
        sure = CONFIDENCE if confidence is None else confidence
        if confidence is None:
            sure = confidence_of(searches, most * share, CONFIDENCE)
        kept = lowest_that_keeps(searches, most * share, sure)
        n = searches.n_independent()
        if kept is None:
            able = confidence_of(searches, most * share, CONFIDENCE)
            raise TooFewTrialsError(
                f"{name} must be one that the people at hand can show: {searches.n_people} people, "
                f"whose searches are worth {n:.0f} independent ones, show {most:g} for a gallery "
                f"of {size} with a confidence of {able:.2g} at most (the rule of 3); "
                f"{sure:g} was asked for. Give more people to set_background, promise less, or be "
                "less sure."
            )
        value, shift, upper = kept.value, 0.0, min(1.0, kept.upper / share)
        if rehearsal is not None:
            shift = rehearsal.lift(known.alike, sure)
            rehearsed = above(rehearsal.least(most, sure, n_galleries) + shift)
            if rehearsed > value:
                value, upper = rehearsed, most  # by how it was chosen
        return Threshold(
            value,
            promised=most,
            estimate=min(1.0, float(searches.hits(value).mean()) / share),
            upper=upper,
            confidence=sure,
            gallery_size=size,
            n_people=searches.n_people,
            n_independent=n,
            shift=shift,
        )

    # -- searches -----------------------------------------------------------------------------

    def identify(
        self,
        vectors: ArrayLike,
        k: int = 5,
        fpir: float | None = None,
        *,
        confidence: float | None = CONFIDENCE,
        slope: float | None = None,
        items: Tensor | Items | None = None,
        classes: ArrayLike | None = None,
        remember: bool = False,
    ) -> Identification:
        """Return the best classes of each query, ranked, and who of them is nobody.

        Parameters
        ----------
        vectors : Tensor of float, shape (m, d)
            Finite.
        k : int
            At least 1. Of fewer classes, all are ranked.
        fpir : float, optional
            Refuse as unknown what scores below `threshold` of this. By default nothing is refused.
        confidence : float or None
            As for `threshold`.
        slope : float, optional
            By which scores are multiplied to be logarithms of odds: gives probabilities. Above 0.
        items : Tensor or Items, shape (m, …), optional
            As for `best_classes`.
        classes : label, or array-like or set of labels, optional
            Choose among these only; the threshold stays that of the whole gallery.
        remember : bool
            Keep what is refused in memory (the last 2,000, in no file), for `group_unknown`.

        Returns
        -------
        Identification

        Raises
        ------
        TooFewTrialsError
            As `threshold`, where `fpir` is given.
        InvalidDataError
            If the gallery is empty, or a query or all scores of one are not finite.
        InvalidParameterError
            If an argument is out of its range.
        """
        check_integer("k", k, low=1)
        if fpir is not None:
            check_number("fpir", fpir, low=0.0, high=1.0, open_low=True, open_high=True)
        if slope is not None:
            check_number("slope", slope, low=0.0, open_low=True)
        check_flag("remember", remember)
        now, queries = self._asked(vectors)
        codes = None if classes is None else self._codes_among(now, classes)
        least = None if fpir is None else self._threshold(now, fpir, None, confidence)
        if confidence is None:
            _warn_of(least)
        found = self._ranked(now, queries, k, items, slope, codes)
        best = found.scores[:, 0]
        unknown = np.zeros(len(best), dtype=bool) if least is None else best < least
        if remember and unknown.any():
            self._strangers.refused.add(queries[torch.from_numpy(unknown).to(queries.device)])
        probabilities = nobody = None
        if slope is not None:
            # The unknown is a class more, whose score is the threshold.
            total = found.log_total
            if least is not None:
                total = np.logaddexp(total, slope * least)
            probabilities = np.exp(slope * found.scores - total[:, None])
            nobody = np.zeros(len(best)) if least is None else np.exp(slope * least - total)
        return Identification(
            labels=now.names[found.codes],
            scores=found.scores.astype(np.float32),
            unknown=unknown,
            probabilities=probabilities,
            probability_unknown=nobody,
            threshold=least,
        )

    @torch.inference_mode()
    def _best_scores(self, ready: Prepared, queries: Tensor) -> np.ndarray:
        """Return the best score of each query, shape (m,); -infinity where there is no class."""
        bests = np.full(len(queries), -np.inf)
        with torch.autocast(queries.device.type, enabled=False):
            for found in ready.best(queries):
                np.maximum.at(bests, found.own + found.rows.start, found.scores)
        return bests

    @torch.inference_mode()
    def _all_scores(self, ready: Prepared, queries: Tensor) -> np.ndarray:
        """Return the scores of all queries and groups, float64, shape (m, g), checked."""
        scores = np.full((len(queries), len(ready)), -np.inf)
        with torch.autocast(queries.device.type, enabled=False):
            for tile in ready.tiles(queries):
                scores[tile.rows, tile.groups] = tile.scores.cpu().numpy()
        if len(ready):
            check_scores(scores.max(1), 0)
        return scores

    @torch.inference_mode()
    def _ranked(
        self,
        now: Snapshot,
        queries: Tensor,
        k: int,
        items: Tensor | Items | None = None,
        slope: float | None = None,
        codes: IntArray | None = None,
    ) -> Ranked:
        """Return the best classes of queries, and more, without all scores held at once."""
        ready = self._prepared(now)
        if codes is not None:
            ready = ready.of(ready.group_of[codes])
        own = queries if items is None else items
        ranking = Ranking(
            len(queries),
            min(k, len(now.classes) if codes is None else len(codes)),
            slope,
            lambda rows: digest(own[torch.from_numpy(rows).to(own.device)]),
            now.digests_of,
        )
        with torch.autocast(queries.device.type, enabled=False):
            if self._candidates is None:
                for tile in ready.tiles(queries):
                    ranking.add(tile.rows, ready.codes[tile.groups], tile.scores)
                return ranking.result()
            for some in self._compared(now, ready, queries, min(k, len(now.classes))):
                ends = np.searchsorted(some.own, np.arange(some.rows.stop - some.rows.start + 1))
                for place, (start, stop) in enumerate(itertools.pairwise(ends.tolist())):
                    row = some.rows.start + place
                    scores = torch.from_numpy(some.scores[None, start:stop])
                    ranking.add(slice(row, row + 1), some.codes[start:stop], scores)
        return ranking.result()

    # -- unknowns become people ---------------------------------------------------------------

    def group_unknown(
        self,
        vectors: ArrayLike | None = None,
        fpir: float = 0.05,
        *,
        confidence: float | None = None,
    ) -> Groups:
        """Return which refused items are of one person, at the same promise as a search.

        As if every group were enrolled and the items searched: an item joins a group of another
        person with a probability of at most `fpir`.

        Parameters
        ----------
        vectors : Tensor of float, shape (m, d), optional
            At most 2,000. Those in whom `identify` recognises somebody are left out. By default
            those that `identify` remembered.
        fpir : float
            In (0, 1).
        confidence : float or None
            As for `threshold`; many items are a large gallery, of which few people show little.

        Returns
        -------
        Groups
            A number for each item, the largest group first. ``enroll_group`` makes people of them.

        Raises
        ------
        TooFewTrialsError
            As `threshold`.
        InvalidDataError
            If there are no vectors and nothing is remembered, or they cannot be compared.
        InvalidParameterError
            If an argument is out of its range.
        """
        check_number("fpir", fpir, low=0.0, high=1.0, open_low=True, open_high=True)
        if vectors is None:
            unknown_vectors = self._strangers.refused.vectors
            if not len(unknown_vectors):
                raise InvalidDataError(
                    "vectors must be given where nothing is remembered; identify(..., "
                    "remember=True) remembers what it refuses."
                )
            unknown = np.ones(len(unknown_vectors), dtype=bool)
        else:
            now, checked = self._asked(vectors)
            least = self._threshold(now, fpir, None, confidence)
            unknown = self._ranked(now, checked, 1).scores[:, 0] < least
            unknown_vectors = checked[torch.from_numpy(unknown).to(checked.device)]
        n, kept = len(unknown_vectors), unknown_vectors if vectors is None else None
        if n > MOST_REFUSED:
            raise InvalidDataError(
                f"vectors must hold {MOST_REFUSED:,} refused items at most; got {n:,}."
            )
        groups = np.full(len(unknown), -1, dtype=np.int64)
        if n < 2:
            groups[unknown] = 0
            return Groups(groups, n, None, kept)
        tree, size, smaller = Tree(self.head, unknown_vectors), n + 1, n
        # As many people as items at first, then as many as are told apart, until that is settled.
        now = self.snapshot
        while smaller < size:
            size = smaller
            least = self._threshold(now, fpir, size, confidence)
            groups[unknown] = tree.groups(least)
            smaller = int(groups.max()) + 1
        if confidence is None:
            _warn_of(least)
        return Groups(groups, int(groups.max()) + 1, least, kept)

    @property
    def refused(self) -> Tensor:
        """Embeddings of the refused items that are remembered, the oldest first, shape (m, d)."""
        return self._strangers.refused.vectors

    def enroll_group(self, groups: Groups, number: int, label: object) -> None:
        """Enroll a group of remembered items as a class; they are no longer remembered.

        Parameters
        ----------
        groups : Groups
            Of ``group_unknown()``, of what was remembered then.
        number : int
            In [0, ``groups.n_groups``).
        label : label

        Raises
        ------
        InvalidDataError
            If what is remembered is no longer what was grouped, or the label does not fit.
        InvalidParameterError
            If there is no such group.
        """
        check_integer("number", number, low=0, high=groups.n_groups - 1)
        if groups.vectors is None:
            raise InvalidDataError("groups must be those of remembered items: group_unknown().")
        vectors = groups.vectors[on(groups.positions(number), groups.vectors)]
        # Already embedded, and looked at when they were refused.
        self.put_back(vectors, np.array([label] * len(vectors)))
        self._strangers.refused.take(vectors)

    def forget_refused(self) -> None:
        """Forget all refused items that are remembered."""
        self._strangers.refused.clear()

    # -- strangers ----------------------------------------------------------------------------

    def _evidence(self, now: Snapshot, size: int) -> tuple[Evidence, int]:
        """Return what strangers find in a gallery of a size, and the size that they searched."""
        strangers = self._strangers
        look = Look(self, now, strangers)
        searched = look.possible(size)
        of_head = (self.aggregate, self.head, *_versions(self.head))
        key = (now, *of_head)
        with strangers.working:
            known = strangers.known
            made = known[1] if known is not None and _same(known[0], key) else {}
            if size not in made:
                cast = strangers.cast_of((look.usual_number(), look.overlap, *of_head), look)
                rehearsal = None if cast is None else Rehearsal(cast, size)
                alike = None if rehearsal is None else look.alike(rehearsal.size)
                made = made | {size: Evidence(look.searches(searched), rehearsal, alike)}
                strangers.known = key, made
        return made[size], searched

    def _of_background(self, vectors: Tensor, labels: np.ndarray) -> "OpenSet":
        """Return a gallery of other people, as this one is."""
        other = type(self)(self.head, self.aggregate)  # type: ignore[call-arg]
        other.put_back(vectors, labels)
        return other


def _warn_of(made: Threshold | None) -> None:
    """Warn where less is promised than usual, once a place in the caller's code."""
    if made is not None and made.confidence < CONFIDENCE:
        warnings.warn(
            f"An FPIR of {made.promised:g} in a gallery of {made.gallery_size} is promised with a "
            f"confidence of {made.confidence:.2g} only: that is all that {made.n_people} people "
            "can show. Give more to set_background.",
            TooFewPeopleWarning,
            stacklevel=3,
        )


def _versions(head: Head) -> tuple[object, ...]:
    return tuple(
        0 if x.is_inference() else x._version for x in (*head.parameters(), *head.buffers())
    )


def _same(a: tuple[object, ...], b: tuple[object, ...]) -> bool:
    # By identity: tensors and snapshots are not to be compared by value.
    return len(a) == len(b) and all(
        x is y or (isinstance(x, int | frozenset) and x == y) for x, y in zip(a, b, strict=True)
    )
