"""The verifier: whether two items are of one class."""

import copy
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted

from siamesekit._checks import check_all
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray, ItemsLike
from siamesekit.errors import InvalidDataError, TooFewTrialsError
from siamesekit.estimators._answering import PAIRS
from siamesekit.estimators._baselines import beside_pairs
from siamesekit.estimators._calibration import (
    HELD_OUT,
    TRAINING,
    ScoredPairs,
    maps_of,
    score_pairs,
    scored_pairs,
)
from siamesekit.estimators._constraints import CONSTRAINTS
from siamesekit.estimators._fitting import Material, hold_out
from siamesekit.estimators._folder import Files
from siamesekit.estimators._inputs import read_items, refuse_others
from siamesekit.estimators._making import figure_of_pairs, made_of
from siamesekit.estimators._pairs import (
    Pairs,
    check_as_many,
    check_same,
    distinct,
    hold_out_pairs,
    join_sides,
    of_pairs,
    tie,
    two_sides,
)
from siamesekit.estimators._thresholds import ReadsThresholds
from siamesekit.estimators._verified import read_kept, write_kept
from siamesekit.estimators.base import Reader
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import check_both_kinds
from siamesekit.evaluation.error_rates import Clusters
from siamesekit.evaluation.pair_validation import PairValidation
from siamesekit.evaluation.verification_report import VerificationReport, verification_report
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training import Checkpoint, TrainingHealthWarning
from siamesekit.training.callbacks import Callback, EpochFunction
from siamesekit.training.device import Device, Precision
from siamesekit.training.distributed import common_seed
from siamesekit.training.items import Augment
from siamesekit.training.loop import Validate
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec
from siamesekit.training.streaming import Streamed

__all__ = ["SiameseVerifier"]


class SiameseVerifier(ReadsThresholds):
    """Learn to tell whether two items are of one class, and set a threshold that can be relied on.

    `fit` trains on items and their classes, or on pairs of which only *same* or *different* is
    known. Some classes (or people) are kept from training: they fit the probabilities, and
    `threshold` reads off them which threshold lets at most so many strangers through, or refuses
    to promise what so few people cannot show.

    All questions are asked pairwise: row by row of `A` and `B`. In place of the two, one array of
    pairs of shape ``(n, 2, …)`` can be given, which is what scikit-learn's cross-validation and
    searches cut into folds, or a tuple ``(A, B)``.

    Parameters
    ----------
    backbone, head, miner, augment
        The parts, each by name, as a class or as an instance: see `SiameseClassifier`.
    loss : str, class or Loss, default="auto"
        ``"auto"`` is ``"episodic"`` for items and classes. For given pairs it is a loss on pairs,
        ``"bce"`` where the head gives logits and else ``"contrastive"``, in which both kinds of
        pair weigh the same; only losses on pairs will do there, and no miner.
    sampler : str, class or Sampler, default="auto"
        See `SiameseClassifier`. Given pairs are each seen once an epoch, in a new order; a sampler
        ``"pairs"`` then says how many in a batch (64 by default).
    held_out : float or None, default=0.3
        Share of the classes (of the groups, where they are given) that `fit` neither trains on nor
        chooses epochs by, in (0, 1). None keeps none, and `threshold` refuses until `calibrate`
        has been given other people. So does a share that leaves too little, with a warning.
    max_epochs, learning_rate, weight_decay, optimizer, schedule, averaging, chunk_size, compile
        How long and how to train: see `SiameseClassifier`.
    validation : float, callable or None, default=None
        As of `SiameseClassifier`, from what is not held out. With given pairs the score of an epoch
        is the area under the ROC curve of the pairs held out by it.
    patience, callbacks, checkpoint
        How training is watched: see `SiameseClassifier`.
    device, precision, random_state, verbose
        See `SiameseClassifier`.

    Attributes
    ----------
    threshold_ : float
        Pairs with a score of at least this are called *same*: what `threshold` or `set_threshold`
        put there last (saved with the model); until then the score at which *same* has a
        probability of one half.
    held_out_pairs_ : ScoredPairs or None
        Scores, *same* and numbers (no names) of the people of the pairs that thresholds are read
        off; None where there are none of people that training did not see.
    calibration_ : tuple of float
        Slope and intercept of the map from a score to its log-likelihood ratio.
    calibration_source_ : {"held-out classes", "training classes"}
        What the map was fitted to.
    classes_ : ndarray
        ``[False, True]``: different, same.
    validation_score_, baselines_ : float, dict of str to float
        As of `SiameseClassifier`; of given pairs, areas under the ROC curve.
    backbone_, head_, loss_, history_, input_shape_, embedding_size_, device_, precision_
        As of `SiameseClassifier`.
    training_ : dict, or None
        What `card` says of training: see `SiameseClassifier`.
    trained_classes_, chosen_classes_ : ndarray, or None
        Sorted classes that were trained on, and that chose among epochs; None after a fit on given
        pairs, where they are not known.

    See Also
    --------
    SiameseClassifier : which of the enrolled classes is it?
    SiameseEmbedder : vectors for other estimators.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from siamesekit import SiameseVerifier
    >>> X, y = load_digits(return_X_y=True)
    >>> old = y < 7
    >>> verifier = SiameseVerifier(max_epochs=3, held_out=None, random_state=0)
    >>> verifier = verifier.fit(X[old], y[old]).calibrate(X[~old], y[~old])
    >>> t = verifier.threshold(strategy="eer")
    >>> verifier.predict(X[:2], X[10:12]).shape
    (2,)
    """

    held_out_pairs_: ScoredPairs | None

    _summary = "Tells whether two items are of one class, of classes that it need not have seen."
    _usage = (
        "model.predict(A, B)  # 1 where A[k] and B[k] are of one class",
        "model.similarity(A, B)  # each with each, in [0, 1]",
    )

    def __init__(
        self,
        backbone: str | type[torch.nn.Module] | torch.nn.Module = "auto",
        head: str | type[Head] | Head = "cosine",
        loss: str | type[Loss] | Loss = "auto",
        miner: str | type[Miner] | Miner | None = None,
        sampler: str | type[Sampler] | Sampler = "auto",
        augment: str | Augment | None = "auto",
        held_out: float | None = 0.3,
        max_epochs: int = 30,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        optimizer: OptimizerSpec = "adamw",
        schedule: ScheduleSpec = "one-cycle",
        averaging: float | None = None,
        validation: float | Validate | None = None,
        patience: int | None = None,
        chunk_size: int | None = None,
        compile: bool = False,
        callbacks: Sequence[EpochFunction | Callback | str] = (),
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
        reader: str | type[Reader] | Reader | None = "image",
        n_workers: int | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            backbone=backbone,
            head=head,
            loss=loss,
            miner=miner,
            sampler=sampler,
            augment=augment,
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            optimizer=optimizer,
            schedule=schedule,
            averaging=averaging,
            validation=validation,
            patience=patience,
            chunk_size=chunk_size,
            compile=compile,
            callbacks=callbacks,
            checkpoint=checkpoint,
            reader=reader,
            n_workers=n_workers,
            device=device,
            precision=precision,
            random_state=random_state,
            verbose=verbose,
        )
        self.held_out = held_out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # So that scikit-learn's scorers ask for probabilities of pairs.
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        # What is asked are pairs, (n, 2, f); scikit-learn's checks know items, (n, f), alone.
        tags.input_tags.two_d_array = False
        return tags

    @property
    def classes_(self) -> npt.NDArray[np.bool_]:
        """What a pair can be: different (False) or same (True)."""
        check_is_fitted(self)
        return np.array([False, True])

    # -- training -----------------------------------------------------------------------------

    def fit(  # type: ignore[override]
        self,
        X: ItemsLike | tuple[ItemsLike, ItemsLike],
        y: ItemsLike | None = None,
        same: ArrayLike | None = None,
        groups: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
        **others: object,
    ) -> Self:
        """Train on items and classes, ``fit(X, y)``, or on given pairs, ``fit(A, B, same)``.

        Pairs can also be given as ``fit((A, B), same)``, or in one array ``fit(pairs, same)`` of
        shape ``(n, 2, …)``.

        Parameters
        ----------
        X : array-like or Tensor; paths; or Dataset
            Items, of shape (n, f), (n, h, w) or (n, c, h, w), or paths, or a data set, as for
            `SiameseClassifier`; or the first of each pair; or all pairs: an array of three
            dimensions and more is read as pairs if its second is 2 and `y` holds nothing but 0 and
            1 (or True and False, or -1 and 1), one of five always.
        y : array-like
            Class of each item; or the second of each pair; or whether each pair is *same*.
        same : array-like of {False, True}, {0, 1} or {-1, 1}, shape (n,), optional
            Whether the two of each pair are of one class: 1 is *same*. It need not be transitive.
        groups : array-like, shape (n,) or (n, 2), or tuple of two, optional
            Of items, as for `SiameseClassifier`. Of pairs, a group that each pair lies in, or who
            the first and the second item of each pair are of: what has a group in common is held
            out as a whole. Without, items of pairs that are called *same* belong together, and all
            others count as of different people, since nothing else is known.
        **others
            Refused by name, as by `SiameseClassifier`: ``sample_weight`` too.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        ValueError
            If data or parameters cannot be used; what was fitted before is then kept.

        Warns
        -----
        TrainingHealthWarning
            If nobody can be held out.

        Notes
        -----
        Of given pairs, those between somebody held out and somebody trained on are left out. Items
        that are identical are one item, in whatever pairs they stand.
        """
        refuse_others(self, others, ("X", "y", "same", "groups"))
        with self._afresh() as fresh:
            sides = two_sides(X, y, same)
            if sides is None:
                fresh._fit(X, y, groups)  # type: ignore[arg-type]
            else:
                fresh._fit_pairs(*sides, groups)
        return self

    def fit_pairs(
        self,
        A: ItemsLike,
        B: ItemsLike,
        same: ArrayLike,
        groups: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Train on given pairs: ``fit(A, B, same, groups)`` under a name of its own."""
        return self.fit(A, B, same, groups)

    def _fit_pairs(self, A: ItemsLike, B: ItemsLike, same: ArrayLike, groups: Any) -> None:
        begun = time.perf_counter()
        check_all(CONSTRAINTS, self.get_params(deep=False))
        a = read_items(self, A, name="A")
        b = read_items(self, B, expected=tuple(a.shape[1:]), name="B")
        check_as_many(a, b)
        truth = check_same(same, len(a))
        check_both_kinds(truth)
        items, place = distinct(join_sides(a, b))
        first, second = place[: len(a)], place[len(a) :]
        _check_apart(first, second, truth)
        clusters, units = tie(len(items), first, second, truth, groups)
        pairs = Pairs(self._learn_items(items), first, second, truth, clusters, units)
        pairs = pairs.chosen(first != second)
        check_both_kinds(pairs.same)
        seed = common_seed(self.random_state)
        kept, held = hold_out_pairs(pairs, self.held_out, seed)
        if self.held_out is not None and not held.any():
            _warn_of_nobody_held_out("pairs of too few people", stacklevel=4)
        validation = self._own_validation(tuple(items.shape[1:]))
        material = of_pairs(self, pairs.chosen(kept), seed, validation)
        self._train(material, seed)
        figure = self._compare_on_pairs(items, pairs.chosen(kept), material)
        self.trained_classes_ = self.chosen_classes_ = None
        judged = pairs.chosen(held if held.any() else kept)
        self._calibrate_on_pairs(judged, HELD_OUT if held.any() else TRAINING)
        self.training_ = made_of(
            self.device_,
            time.perf_counter() - begun,
            n_items=len(items),
            n_pairs=len(truth),
            validation=figure,
        )

    def _compare_on_pairs(
        self, given: torch.Tensor | Streamed, pairs: Pairs, material: Material
    ) -> dict[str, Any] | None:
        """Keep what baselines get on the pairs that chose among epochs; warn if they get more.

        Return the figure of what was trained, for its card.
        """
        judged = material.validate
        if not isinstance(judged, PairValidation):
            return None  # nobody can tell what another function looks at
        vectors = self._embed(pairs.items)
        i, j = torch.from_numpy(judged.first), torch.from_numpy(judged.second)
        scores = score_pairs(self.head_, vectors, i, j)
        ends = np.unique([pairs.first, pairs.second])
        held_out = pairs.units[np.unique([judged.first, judged.second])]
        trained = ends[~np.isin(pairs.units[ends], held_out)]
        self.validation_score_, self.baselines_ = beside_pairs(
            scores,
            judged,
            given[torch.from_numpy(trained).to(given.device)],
            pairs.clusters[trained],
            given,
            verbose=self.verbose,
        )
        people = Clusters(pairs.clusters[judged.first], pairs.clusters[judged.second])
        return figure_of_pairs(scores, judged.same, people)

    def _set_aside(self, codes: IntArray, groups: IntArray | None, seed: int) -> np.ndarray:
        nobody = super()._set_aside(codes, groups, seed)
        if self.held_out is None:
            return nobody
        try:
            return hold_out("held_out", self.held_out, codes, groups, seed)
        except InvalidDataError:
            _warn_of_nobody_held_out("too few classes, or groups of them", stacklevel=4)
            return nobody

    # -- what is kept beside the network ----------------------------------------------------------

    def _calibrate_on(
        self, vectors: torch.Tensor, codes: torch.Tensor, source: str, seed: int
    ) -> None:
        super()._calibrate_on(vectors, codes, source, seed)
        self.held_out_pairs_ = None
        if source == HELD_OUT:
            self.held_out_pairs_ = scored_pairs(self.head_, vectors, codes, seed, most=PAIRS)

    def _calibrate_on_pairs(self, pairs: Pairs, source: str) -> None:
        """Fit the map from a score to its log-likelihood ratio to given pairs."""
        used, place = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
        vectors = self._embed(pairs.items[torch.from_numpy(used).to(pairs.items.device)])
        self.embedding_size_ = int(vectors.shape[1])
        i, j = torch.from_numpy(place).chunk(2)
        scores = score_pairs(self.head_, vectors, i, j)
        finite = np.isfinite(scores)
        scores, same = scores[finite], pairs.same[finite]
        people = [pairs.clusters[side[finite]] for side in (pairs.first, pairs.second)]
        n_people = max(1, len(np.unique(np.concatenate(people))))
        self.calibration_, self.proba_slope_ = maps_of(scores, same, n_people, max(1, len(used)))
        self.calibration_source_ = source
        own = source == HELD_OUT and 0 < same.sum() < len(same)
        self.held_out_pairs_ = ScoredPairs(scores, same, people[0], people[1]) if own else None

    def _start_empty(self) -> None:
        self.held_out_pairs_ = None

    def _kept_in_words(self) -> list[str]:
        kept = self.held_out_pairs_
        known = "no pairs" if kept is None else f"{len(kept.same):,} pairs"
        return [
            f"threshold {self.threshold_:.4g}; {known} of people it has not seen to read it off"
        ]

    def _state(self) -> tuple[dict[str, Any], dict[str, dict[str, torch.Tensor]]]:
        return write_kept(vars(self).get("set_threshold_"), self.held_out_pairs_)

    def _served(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"threshold": float(self.threshold_)}, {}

    def _restore_state(self, state: Mapping[str, Any], files: Files) -> None:
        cut, self.held_out_pairs_ = read_kept(state, files)
        if cut is not None:
            self.set_threshold_ = cut

    # -- people that it has not seen -------------------------------------------------------------

    def calibrate(
        self,
        X: ItemsLike | tuple[ItemsLike, ItemsLike],
        y: ItemsLike | None = None,
        same: ArrayLike | None = None,
        groups: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Fit the probabilities anew, and read thresholds from now on, off people not trained on.

        A threshold that was set stays until `threshold` is called again.

        Parameters
        ----------
        X, y, same, groups : array-like
            Items and classes, ``calibrate(X, y)``, or pairs, ``calibrate(A, B, same)``, as `fit`
            takes them; both kinds of pair are needed. Whether given pairs are of people who were
            not trained on cannot be looked up.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        InvalidDataError
            If they do not fit, or there are no pairs of both kinds; all is then as it was.
        """
        sides = two_sides(X, y, same)
        if sides is None:
            return super().calibrate(X, y)  # type: ignore[arg-type]
        fresh = copy.copy(self._at_once())
        fresh._calibrate_on_pairs(fresh._pairs_of_sides(*sides, groups), HELD_OUT)
        self.__dict__ = fresh.__dict__
        return self

    def report(
        self,
        X: ItemsLike | tuple[ItemsLike, ItemsLike] | None = None,
        y: ItemsLike | None = None,
        same: ArrayLike | None = None,
        groups: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
        *,
        fmr: float = 0.01,
        p_same: float = 0.01,
        n_resamples: int = 200,
        random_state: RandomState = 0,
    ) -> VerificationReport:
        """Return how well pairs are told apart, with 95 % intervals by identity.

        Parameters
        ----------
        X, y, same, groups : array-like, optional
            Items and classes, or pairs, of people that the verifier has not seen, as `fit` takes
            them. Without, the held-out people are judged, whom the calibration was fitted to.
        fmr : float
            At which the FNMR is told, in (0, 1).
        p_same : float
            For which minDCF is told, in (0, 1).
        n_resamples : int
            At least 100.
        random_state : int, Generator or None

        Returns
        -------
        VerificationReport
            AUC, EER, FNMR at `fmr`, minDCF, Cllr, minCllr, and the rates at `threshold_`.

        Raises
        ------
        LeakageError
            If a class was trained on, or chose the epoch.
        TooFewTrialsError
            If nobody is given, and nobody was held out.
        InvalidDataError
            If they do not fit, or there are no pairs of both kinds.
        """
        now = self._at_once()
        pairs, source = now._judged(X, y, same, groups)
        return verification_report(
            pairs.scores,
            now._ratios(pairs.scores),
            pairs.same,
            identities=Clusters(pairs.first, pairs.second),
            threshold=now.threshold_,
            at_fmr=fmr,
            p_same=p_same,
            source=source,
            n_resamples=n_resamples,
            random_state=random_state,
        )

    # -- below the surface --------------------------------------------------------------------

    def _are_unseen(self, labels: np.ndarray) -> bool:
        # Of given pairs nobody knows the classes; whoever gives others is believed.
        return self.trained_classes_ is None or super()._are_unseen(labels)

    def _pairs_of_sides(self, A: Any, B: Any, same: Any, groups: Any) -> Pairs:
        items, place = self._distinct_items(A, B)
        first, second = np.split(place, 2)
        truth = check_same(same, len(first))
        check_both_kinds(truth)
        return Pairs(items, first, second, truth, *tie(len(items), first, second, truth, groups))

    def _judged(self, X: Any, y: Any, same: Any, groups: Any) -> tuple[ScoredPairs, str]:
        if X is None:
            if self.held_out_pairs_ is None:
                raise TooFewTrialsError(
                    "X must be given, of classes that training did not see: none were held out."
                )
            return self.held_out_pairs_, f"{HELD_OUT}, which calibration was fitted to"
        sides = two_sides(X, y, same)
        if sides is None:
            pairs, labels = self._pairs_of_items(X, y)
            facts_of(self, labels)
            return pairs, "classes that were given"
        given = self._pairs_of_sides(*sides, groups)
        probe = copy.copy(self)
        probe._calibrate_on_pairs(given, HELD_OUT)
        check_both_kinds(given.same)
        assert probe.held_out_pairs_ is not None
        return probe.held_out_pairs_, "pairs that were given"


def _check_apart(first: IntArray, second: IntArray, same: np.ndarray) -> None:
    wrong = np.flatnonzero((first == second) & ~same)
    if len(wrong):
        raise InvalidDataError(
            f"same must not call an item another than itself; pair {wrong[0]} holds one item "
            "twice and is called different."
        )


def _warn_of_nobody_held_out(why: str, stacklevel: int) -> None:
    warnings.warn(
        f"Nobody is held out: there are {why}. threshold refuses until calibrate is given people "
        "that were not trained on, and probabilities are too sure; held_out=None says so.",
        TrainingHealthWarning,
        stacklevel=stacklevel + 1,
    )
