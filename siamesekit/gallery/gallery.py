"""The enrolled examples of every class, and how alike a query is to each class."""

import copy
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_path,
    near_matches,
    shown,
)
from siamesekit._labels import as_classes, as_labels, check_same_kind
from siamesekit._types import AGGREGATES, Aggregate, ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError, SavedModelError
from siamesekit.gallery._best import Best, check_scores, digest
from siamesekit.gallery._candidates import Candidates, Compared
from siamesekit.gallery._claims import claim_scores
from siamesekit.gallery._embedding import Embedder, Embeds, as_vectors
from siamesekit.gallery._ids import as_ids, check_distinct
from siamesekit.gallery._open_set import CONFIDENCE, OpenSet, Strangers
from siamesekit.gallery._prepared import Prepared, prepare
from siamesekit.gallery._saving import Origin, head_of, index_of, read, write
from siamesekit.gallery._snapshot import Growth, Snapshot
from siamesekit.gallery._storage import StorageName, storage_named
from siamesekit.gallery.compact import Projection, as_projection, check_projectable
from siamesekit.gallery.indexes import Index
from siamesekit.heads import Head
from siamesekit.heads._comparable import comparable
from siamesekit.heads.aggregate import prepared
from siamesekit.training.items import Items

__all__ = ["Gallery"]

# So many times as large as half of the others no embedding may be, of whom so many are looked at.
_ENORMOUSLY, _SAMPLE = 1e6, 64
# Names among which near matches are looked for: it takes a millisecond for a hundred.
_NAMES = 10_000


class ClassSupports(NamedTuple):
    """What stands for each class.

    Attributes
    ----------
    classes : ndarray, shape (k,)
        Sorted.
    vectors : ndarray of float32, shape (s, d)
        As the head prepares them: a prototype for each class, or all of its examples.
    ends : ndarray of int64, shape (k + 1,)
        Class ``i`` has ``vectors[ends[i] : ends[i + 1]]``.
    digests : ndarray of uint64, shape (k,)
        Of the labels, by which ties are broken.
    """

    classes: np.ndarray
    vectors: np.ndarray
    ends: IntArray
    digests: np.ndarray


class Gallery(OpenSet):
    """Embeddings of enrolled examples, with the class of each.

    Classes and examples come and go; nothing is retrained. Any number of threads may ask, enroll
    and forget at once: each answer is that of one moment, with scores and names that belong
    together, and a call that is refused changes nothing. Enrolling n examples one by one takes
    O(n) in all.

    Parameters
    ----------
    head : Head, class or str, optional
        Compares a query with an example. In ``eval()`` mode. By default that of the estimator, if
        it has one, else ``"cosine"``.
    aggregate : {"prototype", "mean", "max"}
        How the examples of one class make one score: the head's score against their mean, the mean
        of their scores, or the best of them; see `siamesekit.heads.aggregate`. The mean is that of
        the embeddings, or of their directions where the head looks at these alone (``"cosine"``).
    estimator : fitted estimator, optional
        Wherever embeddings are asked for, items are then given, which its ``transform`` embeds: a
        `SiameseClassifier`, say, or a pipeline of scikit-learn. It is taken as it is now; to fit
        it again makes no difference here. (A `SiameseClassifier` has a gallery of its own, which
        it embeds items for: ``clf.enroll(X, y)``.)
    projection : int or Projection, optional
        Makes embeddings short before they are enrolled or compared: `RandomProjection` to so many
        numbers, a fitted `PCAProjection`, or one of your own. For heads that look at angles or
        Euclidean distances alone.
    storage : {"float32", "float16", "int8"}
        How numbers are kept, in memory and in the file: in four bytes each, two or one. What is
        shorter than float32 is an approximation: all scores are those of the embeddings as
        rounded, to 11 bits or to 255 steps. Nothing longer is kept to rank them again by.
    index : Index, class or str, optional
        Searches for the examples nearest to a query, whose classes alone are then compared by the
        head: `identify` and `best_classes` take time for these, not for all. Given by name
        (``"exact"``, ``"usearch"``, ``"faiss"``) or class, it searches by the head's own metric
        (`Head.metric`). By default all classes are compared. See Notes.
    n_candidates : int
        Examples that the index is asked for, at least 1.

    Attributes
    ----------
    vectors : Tensor of float32, shape (n, d)
        Embeddings, in the order in which they were enrolled. Not to be written to.
    labels : ndarray, shape (n,)
        Class of each.
    ids : ndarray of int64, shape (n,)
        Id of each, by which it alone can be forgotten. Not to be written to.
    classes : ndarray, shape (k,)
        Sorted classes that have at least one example.
    projection, storage
        As above.
    nbytes : int
        Bytes of the embeddings as they are kept.
    snapshot : Snapshot
        Vectors, labels, ids and classes at one moment, where other threads enroll and forget
        meanwhile.

    Notes
    -----
    Among equally good classes one is drawn by a hash of the item and of the class's label: the
    same item always gets the same answer, whatever it is asked beside, and over many items no
    class is favoured. `worth` counts such an answer as one over the number tied.

    With an index, scores and ties are those of the head still; what may be missed is a class none
    of whose examples is among the candidates. Nothing is missed with index ``"exact"``, heads
    ``"cosine"``, ``"euclidean"``, ``"sqeuclidean"`` (and ``"squared"`` where no weight is
    positive), and one example a class or ``aggregate="max"``: but for ties of more than
    `n_candidates`. With ``"prototype"`` or ``"mean"`` of several examples the best class may have
    none that is near; learned heads order by more than a distance; the other indexes are
    approximate in themselves. Probabilities are then shares among the candidates. `class_scores`,
    `class_probabilities`, `verify` and `threshold` look at all that they say they do, as always.

    A store that others share (``PgvectorIndex``, ``QdrantIndex``) may be ahead of this gallery or
    behind it: who is answered is still of one moment of the gallery; examples of others are passed
    over. Of a store that cannot be reached `enroll`, `forget` and searches say so, and the gallery
    is as it was.

    A copy, or what was pickled, shares nothing with the original that either may change.

    Examples
    --------
    >>> import numpy as np
    >>> from siamesekit import Gallery
    >>> gallery = Gallery("cosine")
    >>> gallery.enroll(np.eye(3), ["Ada", "Ben", "Ada"])
    array([0, 1, 2])
    >>> gallery.verify(np.eye(3)[:2], ["Ada", "Ada"], threshold=-0.5)
    array([ True, False])
    >>> gallery.forget(ids=[2])
    >>> gallery.labels.tolist()
    ['Ada', 'Ben']
    """

    def __init__(
        self,
        head: Head | type[Head] | str | None = None,
        aggregate: Aggregate = "prototype",
        *,
        estimator: Embeds | None = None,
        projection: Projection | int | None = None,
        storage: StorageName = "float32",
        index: Index | type[Index] | str | None = None,
        n_candidates: int = 100,
    ) -> None:
        check_choice("aggregate", aggregate, AGGREGATES)
        packed = storage_named(storage)
        self._embedder = None if estimator is None else Embedder(estimator)
        own = None if self._embedder is None else self._embedder.head
        self.head = _as_head(head if head is not None else "cosine" if own is None else own)
        self.aggregate: Aggregate = aggregate
        # What is fitted anew elsewhere is not to change what is enrolled here.
        self._projection = copy.copy(as_projection(projection))
        if self._projection is not None:
            check_projectable(self.head, self._projection.size)
        self.n_candidates = check_integer("n_candidates", n_candidates, low=1)
        self._candidates: Candidates | None = None
        self._start(Snapshot.empty(packed))
        self.use_index(index)

    def _start(self, snapshot: Snapshot) -> None:
        # Read by anyone at any time, replaced as a whole by one writer at a time.
        self._snapshot = snapshot
        self._growth: Growth | None = None
        self._ready: tuple[Snapshot, Prepared] | None = None
        self._usual = 0, 0.0
        self._writing, self._preparing = threading.Lock(), threading.Lock()
        self._strangers = Strangers()
        # Where it was loaded from or saved to, held by who saves.
        self._origin: Origin | None = None
        self._saving = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # Locks cannot be copied, and a view would take all the memory behind it along.
        now = self._snapshot
        own: dict[str, Any] = {
            "head": self.head,
            "aggregate": self.aggregate,
            "next_id": now.next_id,
        }
        own |= {"strangers": (self._strangers.background, self._strangers.trained)}
        own |= {"embedder": self._embedder, "origin": self._origin}
        own |= {"projection": self._projection, "storage": now.storage.name}
        examples = {"rows": now.rows.clone(), "labels": now.labels.copy()}
        own |= {"n_candidates": self.n_candidates}
        own |= {"index": None if self._candidates is None else self._candidates.fresh().saved}
        return own | examples | {"ids": now.ids.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.head, self.aggregate = state["head"], state["aggregate"]
        rows, labels, ids, next_id = (state[name] for name in ("rows", "labels", "ids", "next_id"))
        storage = storage_named(state["storage"])
        self._start(Snapshot.of(rows, labels, ids, next_id, storage))
        self._strangers = Strangers(*state["strangers"])
        self._embedder, self._origin = state["embedder"], state["origin"]
        self._projection = state["projection"]
        self.n_candidates, index = state["n_candidates"], state["index"]
        self._candidates = None if index is None else Candidates(index, self.n_candidates)

    def __len__(self) -> int:
        return len(self._snapshot)

    @property
    def projection(self) -> Projection | None:
        """What makes embeddings short before they are enrolled or compared."""
        return self._projection

    @property
    def storage(self) -> str:
        """How the numbers of an embedding are kept."""
        return self._snapshot.storage.name

    @property
    def nbytes(self) -> int:
        """Bytes that the embeddings of those enrolled take, as they are kept."""
        return len(self) * self._snapshot.all_rows[:1].nbytes

    @property
    def snapshot(self) -> Snapshot:
        """Vectors, labels, ids and classes of one moment."""
        return self._snapshot

    @property
    def vectors(self) -> Tensor:
        """Embeddings, in the order in which they were enrolled, shape (n, d)."""
        return self._snapshot.vectors

    @property
    def labels(self) -> np.ndarray:
        """Class of each example, shape (n,)."""
        return self._snapshot.labels

    @property
    def ids(self) -> IntArray:
        """Id of each example, shape (n,)."""
        return self._snapshot.ids

    @property
    def classes(self) -> np.ndarray:
        """Sorted classes that have at least one example, shape (k,)."""
        return self._snapshot.classes

    @property
    def index(self) -> Index | type[Index] | None:
        """What searches for candidates; its class where nothing was enrolled yet."""
        return None if self._candidates is None else self._candidates.saved

    def use_index(self, index: Index | type[Index] | str | None, *, replace: bool = False) -> None:
        """Search for candidates by another index from now on; it takes in all that is enrolled.

        Parameters
        ----------
        index : Index, class, str or None
            None compares with all classes. One that holds vectors of this gallery already, under
            its ids, keeps them.
        replace : bool
            Write also what the index holds under ids of this gallery.

        Raises
        ------
        InvalidParameterError
            If it is no index, or none can search by the scores of this head.
        IndexUnavailableError
            If its store cannot be reached. The gallery searches as before.
        """
        if index is None:
            self._candidates = None
            return
        candidates = Candidates(index, self.n_candidates)
        with self._writing:
            candidates.fill(self.head, self._snapshot, check_flag("replace", replace))
            self._candidates = candidates

    # -- who is here --------------------------------------------------------------------------

    def enroll(
        self, vectors: ArrayLike, labels: ArrayLike, ids: ArrayLike | None = None
    ) -> IntArray:
        """Add examples; a class that is here already gets more of them.

        Parameters
        ----------
        vectors : Tensor or ndarray of float, shape (n, d); items where there is an estimator
            Finite, and not so large that the head cannot compare them.
        labels : array-like, shape (n,)
            Of the kind already here: numbers beside numbers, strings beside strings.
        ids : array-like of int, shape (n,), optional
            By which each can be forgotten alone: at least 0, below 2**63, none that is here and
            none twice. By default they are counted up, from above all there ever were.

        Returns
        -------
        ndarray of int64, shape (n,)
            The ids.

        Raises
        ------
        InvalidDataError
            If lengths, the dimension, the kind of label or the ids do not fit, or an embedding is
            not finite or too large: for the head, or a million times as large as those of half of
            all others. The gallery is then as it was.
        """
        checked = self._as_vectors(vectors, "vectors")
        own = as_labels(labels, "y", len(checked))
        keys = None if ids is None else _new_ids(ids, len(checked))
        self._check_lengths(checked, self._check_comparable(checked))
        return self._add(checked, own, keys)

    def put_back(
        self,
        vectors: Tensor,
        labels: ArrayLike,
        ids: ArrayLike | None = None,
        next_id: int = 0,
    ) -> None:
        """Enroll what was enrolled before, as from a file: however long it is beside the others.

        Parameters
        ----------
        vectors : Tensor of float, shape (n, d)
        labels : array-like, shape (n,)
        ids : array-like of int, shape (n,), optional
        next_id : int
            Larger than every id there was in what is put back.

        Raises
        ------
        InvalidDataError
            As `enroll`, but for embeddings that are large beside others.
        """
        vectors = as_vectors(vectors, "vectors")
        own = as_labels(labels, "y", len(vectors))
        keys = None if ids is None else _new_ids(ids, len(vectors))
        self._check_comparable(vectors)
        self._add(vectors, own, keys, next_id)

    def too_large(self, vectors: Tensor) -> np.ndarray:
        """Return which embeddings `enroll` would refuse beside the others, shape (n,) of bool.

        Parameters
        ----------
        vectors : Tensor of float, shape (n, d)
            Finite.
        """
        return self._sizes(vectors)[1]

    def _add(
        self, vectors: Tensor, own: np.ndarray, keys: IntArray | None, next_id: int = 0
    ) -> IntArray:
        rows = self._snapshot.storage.pack(vectors)
        with self._writing:
            now = self._snapshot
            if len(now) and len(own):
                _check_dim(now, vectors)
                check_same_kind(own, now.names)
            with self._growing() as growth:
                later = growth.enroll(rows, own, keys, next_id)
            ids = later.all_ids[len(later.all_ids) - len(own) :].copy()
            if self._candidates is not None and len(own):
                try:
                    self._candidates.add(self.head, vectors, ids)
                except BaseException:
                    self._growth = None  # it has grown into what is not to be
                    raise
            self._snapshot = later
            return ids

    def forget(self, labels: ArrayLike | None = None, *, ids: ArrayLike | None = None) -> None:
        """Remove all examples of some classes, or single examples by their ids.

        A class that goes is taken out of the background too.

        Parameters
        ----------
        labels : label, or array-like or set of labels
        ids : int, or array-like of int
            In place of `labels`: these examples alone. A class whose last one goes is gone.

        Raises
        ------
        InvalidDataError
            If one of them is not here, or not either of `labels` and `ids` is given; nothing is
            then forgotten.
        """
        if (labels is None) == (ids is None):
            raise InvalidDataError("forget must be given labels, or ids in their place.")
        if ids is not None:
            self._forget_ids(as_ids(np.atleast_1d(np.asarray(ids))))
            return
        named = as_classes(labels)  # type: ignore[arg-type]
        with self._writing, self._growing() as growth:
            gone = _codes_of(growth.now, named)
            if len(gone):
                if self._candidates is not None:  # else nobody need look who these examples are
                    self._drop(growth.now, np.isin(growth.now.codes, gone))
                self._snapshot = growth.forget(gone)
                self._strangers = self._strangers.without(named)

    def _forget_ids(self, keys: IntArray) -> None:
        keys = np.unique(keys)
        with self._writing, self._growing() as growth:
            rows = growth.rows_of(keys.tolist())
            unknown = [key for key, row in zip(keys.tolist(), rows, strict=True) if row is None]
            if unknown:
                raise InvalidDataError(
                    f"ids must be enrolled; {_shorten(unknown)} "
                    f"{'is' if len(unknown) == 1 else 'are'} not."
                )
            if len(keys):
                if self._candidates is not None:
                    self._candidates.remove(keys)
                self._snapshot = growth.forget_rows(np.array(rows, dtype=np.int64))

    def _drop(self, now: Snapshot, gone: np.ndarray) -> None:
        """Take examples of a moment out of the index, before they are forgotten here."""
        if self._candidates is not None:
            self._candidates.remove(np.intersect1d(now.all_ids[gone], now.ids))

    def positions_of(self, classes: ArrayLike) -> IntArray:
        """Return where each of `classes` stands in `self.classes`.

        Parameters
        ----------
        classes : label, or array-like or set of labels

        Returns
        -------
        ndarray of int64, shape (number of classes,)

        Raises
        ------
        InvalidDataError
            If one of them is not here; near matches are suggested.
        """
        now = self._snapshot
        positions: IntArray = now.ranks[_codes_of(now, as_classes(classes))]
        return positions

    # -- who is it ----------------------------------------------------------------------------

    def class_supports(self) -> ClassSupports:
        """Return what queries are compared with, class by class, at this moment."""
        now = self._snapshot
        if len(now) == 0:
            return ClassSupports(
                now.classes,
                np.zeros((0, now.dim), np.float32),
                np.zeros(1, np.int64),
                np.zeros(0, np.uint64),
            )
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            ready = self._prepared(now)
            some = ready.of(ready.living[np.argsort(now.ranks[ready.codes[ready.living]])])
            vectors = some.ready(slice(None)).float().cpu().numpy()
        return ClassSupports(now.names[some.codes], vectors, some.ends, now.digests_of(some.codes))

    def class_scores(self, queries: ArrayLike) -> Tensor:
        """Return the score of each query against each class.

        Parameters
        ----------
        queries : Tensor of float, shape (m, d)

        Returns
        -------
        Tensor of float32, shape (m, k)
            Columns in the order of `classes`; higher = more alike.

        Raises
        ------
        InvalidDataError
            If no class is enrolled, or a query or a score is not finite.
        """
        now, asked = self._asked(queries)
        device = now.all_rows.device
        scores = torch.empty(len(asked), len(now.classes), device=device)
        self._fill(scores, now, asked)
        return scores

    def class_probabilities(self, queries: ArrayLike, slope: float) -> npt.NDArray[np.float64]:
        """Return the softmax over the classes of each query's scores.

        Parameters
        ----------
        queries : Tensor of float, shape (m, d)
        slope : float
            By which scores are multiplied first.

        Returns
        -------
        ndarray of float64, shape (m, k)
            Columns in the order of `classes`; rows sum to 1. No second matrix of that size is
            made.

        Raises
        ------
        InvalidDataError
            As `class_scores`.
        InvalidParameterError
            If `slope` is no finite number.
        """
        slope = check_number("slope", slope)
        now, asked = self._asked(queries)
        odds = np.empty((len(asked), len(now.classes)))
        self._fill(torch.from_numpy(odds), now, asked)
        odds *= slope
        odds -= odds.max(axis=1, keepdims=True)
        np.exp(odds, out=odds)
        odds /= odds.sum(axis=1, keepdims=True)
        return odds

    def best_classes(
        self,
        queries: ArrayLike,
        items: Tensor | Items | None = None,
        classes: ArrayLike | None = None,
    ) -> np.ndarray:
        """Return the class that each query is most like.

        The scores of all queries against all classes are never held at once.

        Parameters
        ----------
        queries : Tensor of float, shape (m, d)
        items : Tensor or Items, shape (m, …), optional
            What the queries are embeddings of: ties are broken by their bytes. By default by those
            of the queries.
        classes : label, or array-like or set of labels, optional
            Choose among these only.

        Returns
        -------
        ndarray, shape (m,)
            Of the type of `classes`.

        Raises
        ------
        InvalidDataError
            If no class is enrolled, one of `classes` is not, there is none of them, or a query or
            all scores of one are not finite.
        """
        now, asked = self._asked(queries)
        codes = None if classes is None else _some_codes(now, as_classes(classes))
        return now.names[self._best(now, asked, items, codes).codes]

    def worth(self, queries: ArrayLike, labels: ArrayLike) -> npt.NDArray[np.float64]:
        """Return what each answer is worth.

        Parameters
        ----------
        queries : Tensor of float, shape (m, d)
        labels : array-like, shape (m,)
            The right class of each.

        Returns
        -------
        ndarray of float64, shape (m,)
            1/(number tied) where the right class is among the best, else 0.

        Raises
        ------
        InvalidDataError
            As `best_classes`, or if labels are of another kind than those enrolled.
        """
        now, asked = self._asked(queries)
        own = as_labels(labels, "y", len(asked))
        check_same_kind(own, now.names)
        codes = [now.code_of(label) for label in own.tolist()]
        answers = np.array([-1 if code is None else code for code in codes], dtype=np.int64)
        return self._best(now, asked, None, None, answers).worth()

    def verify(
        self,
        vectors: ArrayLike,
        labels: ArrayLike,
        *,
        threshold: float | None = None,
        fmr: float | None = None,
    ) -> np.ndarray:
        """Return whether each is of the class that it claims to be of.

        Parameters
        ----------
        vectors : Tensor or ndarray of float, shape (m, d); items where there is an estimator
        labels : label, or array-like, shape (m,)
            The class that each claims; of one label, all claim it.
        threshold : float, optional
            The score from which on a claim is believed.
        fmr : float, optional
            In its place: the share of strangers' claims that are believed at most, in (0, 1). That
            is ``self.threshold(fmr, gallery_size=1)`` on the mean over all who are enrolled, with
            its confidence of 0.95.

        Returns
        -------
        ndarray of float32, or of bool with `threshold` or `fmr`, shape (m,)
            The score of each against the class, of all its examples as `aggregate` says; or
            whether it is at least the threshold.

        Raises
        ------
        InvalidDataError
            If no class is enrolled, one that is claimed is not, lengths do not fit, or an
            embedding or a score is not finite.
        InvalidParameterError
            If both `threshold` and `fmr` are given, or one is out of its range.
        TooFewTrialsError
            If too few strangers are at hand to show `fmr`: see `threshold`.
        """
        if threshold is not None and fmr is not None:
            raise InvalidParameterError("fmr must be None where a threshold is given; got both.")
        if fmr is not None:
            check_number("fmr", fmr, low=0.0, high=1.0, open_low=True, open_high=True)
            now = self._asked_for(None)
            n = len(now.classes)
            threshold = self._threshold(now, fmr, 1, CONFIDENCE, name="fmr", n_galleries=n)
        least = None if threshold is None else check_number("threshold", threshold)
        now, asked = self._asked(vectors)
        claimed = as_classes(labels, "labels")
        if len(claimed) == 1 and np.ndim(labels) == 0:
            claimed = claimed.repeat(len(asked))
        claimed = as_labels(claimed, "labels", len(asked))
        codes = _codes_of(now, claimed)
        with torch.inference_mode(), torch.autocast(asked.device.type, enabled=False):
            scores = claim_scores(self._prepared(now), asked, codes).cpu().numpy()
        check_scores(scores, 0)
        return scores if least is None else scores >= least

    # -- saving -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the gallery to one file (numbers and json; no pickle).

        Parameters
        ----------
        path : path-like
            A new file, or the one that this gallery was loaded from or saved to before.
        overwrite : bool
            Write it also over a gallery that somebody else saved.

        Raises
        ------
        GalleryChangedError
            If another gallery stands there than this one as it was loaded or saved: it would be
            lost. Nothing is written.
        InvalidParameterError
            If something stands there that is no gallery.
        ModelNotWrittenError
            If the disk is full, or the folder may not be written to.

        Notes
        -----
        At every moment, whatever ends the process, the file is the old one or the new, whole. The
        file of somebody who was forgotten holds nothing of them, and what saves that were killed
        left behind is removed. Who may read it the umask says; what was closed to others stays so.
        The head is written too, and by its name in the registry found again; of an estimator only
        what tells it from others.
        """
        target, replaces = check_path("path", path), check_flag("overwrite", overwrite)
        model = None if self._embedder is None else self._embedder.fingerprint()
        with self._saving:
            self._origin = write(
                target,
                self._snapshot,
                self.head,
                self.aggregate,
                self._projection,
                model,
                self._strangers.background,
                self._strangers.trained,
                self._origin,
                replaces,
                {"index": self.index, "n_candidates": self.n_candidates},
            )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        head: Head | type[Head] | str | None = None,
        estimator: Embeds | None = None,
        index: Index | type[Index] | str | None = "as saved",
    ) -> Self:
        """Return the gallery that `save` wrote.

        Parameters
        ----------
        path : path-like
        head : Head, class or str, optional
            In place of the one that was saved; needed where that has no name in the registry.
        estimator : fitted estimator, optional
            That embeds items from now on: the one that embedded those enrolled.
        index : Index, class, str or None
            In place of the one that was saved; needed where that kept its vectors in a store, for
            no file is to say where to connect to. None compares with all classes.

        Raises
        ------
        SavedModelError
            If the file is missing, damaged or no gallery, its index is in a store, its head is not
            known here, or the embeddings were made by another network than that of `estimator`.
        """
        source = check_path("path", path)
        saved, origin = read(source)
        embedder = None if estimator is None else Embedder(estimator)
        if embedder is not None and saved.model not in (None, embedder.fingerprint()):
            raise SavedModelError(
                f"{source} cannot be loaded: its embeddings were made by another network than that "
                "of estimator."
            )
        own = None if embedder is None else embedder.head
        if head is None and own is None:
            own = head_of(saved)
        gallery = cls(
            head if head is not None else own,
            saved.aggregate,
            estimator=estimator,
            projection=saved.projection,
            n_candidates=saved.n_candidates,
        )
        gallery._start(saved.snapshot)
        as_saved = isinstance(index, str) and index == "as saved"
        gallery.use_index(index_of(saved) if as_saved else index)
        gallery._origin = origin
        gallery._strangers = Strangers(saved.background, saved.trained)
        return gallery

    # -- below the surface --------------------------------------------------------------------

    def _as_vectors(self, vectors: object, name: str) -> Tensor:
        """Return embeddings as they are enrolled and asked for, of what was given."""
        if self._embedder is None:
            own = as_vectors(vectors, name)
        else:
            own = self._embedder.embed(vectors, name)  # type: ignore[arg-type]
        return own if self._projection is None else self._projection.apply(own)

    def _codes_among(self, now: Snapshot, classes: ArrayLike) -> IntArray:
        return _some_codes(now, as_classes(classes))

    @contextmanager
    def _growing(self) -> Iterator[Growth]:
        """Hand out the room behind the snapshot to who writes."""
        # Taken away meanwhile: after an error the next call starts anew.
        growth, self._growth = self._growth, None
        if growth is None:
            growth = Growth(self._snapshot)
        try:
            yield growth
        except InvalidDataError:
            self._growth = growth  # refused before anything was written
            raise
        self._growth = growth

    def _check_comparable(self, vectors: Tensor) -> float:
        """Return the largest number; raise an error unless the head can compare all like them."""
        peak = _check_finite(vectors)
        if not len(vectors):
            return peak
        if len(self._snapshot) == 0:
            self.head.pairs(vectors[:1], vectors[:1])  # says so if it was built for others
        bad = (~comparable(self.head, vectors)).nonzero().flatten().tolist()
        if bad:
            raise InvalidDataError(
                f"X must hold items whose embedding can be compared in float32; {_at(bad)} too "
                f"large: it holds {peak:.3g}."
            )
        return peak

    def _check_lengths(self, vectors: Tensor, peak: float) -> None:
        """Raise an error if embeddings, whose largest number is `peak`, are enormous beside others.

        No network that works makes such; one of them would move the prototype of its class out of
        reach, or be like everybody where a head's weight has the wrong sign.
        """
        if peak <= _ENORMOUSLY * self._usual_size():
            return
        sizes, bad = self._sizes(vectors)
        if bad.any():
            where = np.flatnonzero(bad)
            raise InvalidDataError(
                "X must hold items whose embedding is of the size of the others, up to a million "
                f"times as large; {_at(where.tolist())} larger: it holds {sizes[where[0]]:.3g}."
            )

    def _usual_size(self) -> float:
        """Return the largest number of a middling embedding; looked up anew when many are new."""
        known = self._snapshot.all_rows
        n, usual = self._usual
        if not n <= len(known) < 2 * n:
            some = self._some_known()
            usual = float(some.abs().amax(1).median()) if len(known) else 0.0
            self._usual = len(known), usual
        return usual

    def _some_known(self) -> Tensor:
        now = self._snapshot
        return now.unpacked(now.all_rows[:: len(now.all_rows) // _SAMPLE + 1])

    def _sizes(self, vectors: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest number of each embedding as it is compared; which are enormous."""
        with torch.inference_mode():
            here, own = (
                prepared(self.head, x).abs().amax(1).cpu().numpy() if x.numel() else np.empty(0)
                for x in (self._some_known(), vectors)
            )
        usual = np.sort(np.append(here, own[:: len(own) // _SAMPLE + 1]))
        usual = usual[usual > 0]  # zeros are of no size
        return own, own > _ENORMOUSLY * (usual[len(usual) // 2] if len(usual) else np.inf)

    def _asked(self, queries: ArrayLike) -> tuple[Snapshot, Tensor]:
        """Return the snapshot that answers, and the queries, once they are looked at."""
        now = self._snapshot
        if len(now) == 0:
            raise InvalidDataError("the gallery is empty: enroll at least one class first.")
        checked = self._as_vectors(queries, "queries")
        _check_dim(now, checked)
        _check_finite(checked)
        return now, checked

    def _prepared(self, now: Snapshot) -> Prepared:
        made = self._ready_for(now)
        if made is not None:
            return made
        # One thread works it out and the others wait, rather than all at once.
        with self._preparing:
            made = self._ready_for(now)
            if made is None:
                before = self._ready
                made = prepare(self.head, self.aggregate, now, before)
                # Who still asks an older snapshot does not take the newest one's place.
                if now is self._snapshot:
                    self._ready = now, made
            return made

    def _ready_for(self, now: Snapshot) -> Prepared | None:
        ready = self._ready
        if ready is None or ready[0] is not now:
            return None
        return ready[1] if ready[1].serves(self.head, self.aggregate) else None

    @torch.inference_mode()
    def _best(
        self,
        now: Snapshot,
        queries: Tensor,
        items: Tensor | Items | None,
        codes: IntArray | None,
        answers: IntArray | None = None,
    ) -> Best:
        ready = self._prepared(now)
        by_index = self._candidates is not None and codes is None
        if codes is not None:
            ready = ready.of(ready.group_of[codes])
        own = queries if items is None else items
        best = Best(
            len(queries),
            lambda rows: digest(own[torch.from_numpy(rows).to(own.device)]),
            now.digests_of,
            answers,
        )
        with torch.autocast(queries.device.type, enabled=False):
            for some in self._compared(now, ready, queries) if by_index else ():
                best.add(some.rows, some.own, some.codes, some.scores)
            for found in ready.best(queries) if not by_index else ():
                codes_found = ready.codes[found.groups]
                best.add(found.rows, found.own, codes_found, found.scores, ready.is_single)
        best.check()
        return best

    def _compared(
        self, now: Snapshot, ready: Prepared, queries: Tensor, least: int = 1
    ) -> Iterator[Compared]:
        """Yield queries with the scores of their candidates, from an index that is filled."""
        candidates = self._candidates
        assert candidates is not None
        if not candidates.serves(self.head):
            with self._writing:
                candidates.fill(self.head, self._snapshot)
        yield from candidates.compared(self.head, ready, now, queries, least)

    @torch.inference_mode()
    def _fill(self, scores: Tensor, now: Snapshot, queries: Tensor) -> None:
        """Write the scores of queries against the sorted classes, checked, into (m, k)."""
        ready = self._prepared(now)
        with torch.autocast(queries.device.type, enabled=False):
            for tile in ready.tiles(queries):
                columns = torch.from_numpy(now.ranks[ready.codes[tile.groups]])
                own = tile.scores.to(scores.device).to(scores.dtype)  # no float64 on a device
                scores[tile.rows].index_copy_(1, columns.to(scores.device), own)
        check_scores(scores.amax(1).cpu().numpy(), 0)


def _as_head(head: object) -> Head:
    made = registry.make("heads", head) if isinstance(head, str | type) else head
    if not isinstance(made, Head):
        raise InvalidParameterError(
            f"head must be a Head, its class or its name in the registry; got {shown(head)}."
        )
    return made


def _new_ids(ids: ArrayLike, n: int) -> IntArray:
    keys = as_ids(ids, n=n)
    check_distinct(keys)
    return keys


def _check_finite(vectors: Tensor) -> float:
    """Return the largest number of embeddings; raise an error unless all are finite."""
    peak = float(vectors.abs().amax()) if vectors.numel() else 0.0
    if not math.isfinite(peak):
        bad = (~vectors.isfinite().all(1)).nonzero().flatten().tolist()
        raise InvalidDataError(
            f"X must hold items whose embedding is finite; {_at(bad)} not: it holds NaN or "
            "infinity."
        )
    return peak


def _check_dim(now: Snapshot, vectors: Tensor) -> None:
    if vectors.shape[1] != now.dim:
        raise InvalidDataError(
            f"embeddings must have {now.dim} numbers, as those in the gallery; "
            f"got {vectors.shape[1]}."
        )


def _codes_of(now: Snapshot, classes: np.ndarray) -> IntArray:
    """Return the codes of classes; raise an error that names those that are not here."""
    check_same_kind(classes, now.names, "classes")
    labels = classes.tolist()
    codes = [now.code_of(label) for label in labels]
    unknown = [label for label, code in zip(labels, codes, strict=True) if code is None]
    if unknown:
        hint = near_matches(str(unknown[0]), list(map(str, now.classes[:_NAMES].tolist())))
        raise InvalidDataError(
            f"classes must be enrolled; {_shorten(unknown)} "
            f"{'is' if len(unknown) == 1 else 'are'} not. "
            f"Enrolled: {_shorten(now.classes.tolist()) or 'none'}.{hint}"
        )
    return np.array(codes, dtype=np.int64)


def _some_codes(now: Snapshot, classes: np.ndarray) -> IntArray:
    codes = _codes_of(now, classes)
    if not len(codes):
        raise InvalidDataError("classes must hold at least one enrolled class; got none.")
    return np.unique(codes)


def _at(positions: list[int], most: int = 5) -> str:
    """Return ``"that at position 3 is"`` or ``"those at positions 1, 2 and 7 more are"``."""
    if len(positions) == 1:
        return f"that at position {positions[0]} is"
    return f"those at positions {_shorten(positions, most)} are"


def _shorten(labels: list[Any], most: int = 5) -> str:
    shown = ", ".join(map(repr, labels[:most]))
    return shown + (f" and {len(labels) - most} more" if len(labels) > most else "")
