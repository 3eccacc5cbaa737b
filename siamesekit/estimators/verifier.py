"""The verifier: whether two items are of one class."""

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted

from siamesekit._checks import check_all, check_number
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray, ItemsLike
from siamesekit.errors import InvalidDataError, TooFewTrialsError
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
from siamesekit.estimators._finite import check_finite
from siamesekit.estimators._fitting import Material, hold_out
from siamesekit.estimators._folder import Files
from siamesekit.estimators._inputs import read_items
from siamesekit.estimators._pairs import (
    Pairs,
    check_as_many,
    check_same,
    distinct,
    hold_out_pairs,
    join_sides,
    of_pairs,
    sides_of,
    tie,
    two_sides,
)
from siamesekit.estimators._verified import read_kept, threshold_of_the_user, write_kept
from siamesekit.estimators.base import Reader, SiameseEstimator
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import check_both_kinds
from siamesekit.evaluation.error_rates import Clusters
from siamesekit.evaluation.pair_validation import PairValidation
from siamesekit.evaluation.thresholds import Threshold, choose_threshold
from siamesekit.evaluation.verification_report import VerificationReport, verification_report
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training import Checkpoint, TrainingHealthWarning
from siamesekit.training.device import Device, Precision
from siamesekit.training.distributed import common_seed
from siamesekit.training.items import Augment, as_float
from siamesekit.training.loop import Callback, Validate
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec
from siamesekit.training.streaming import Streamed

__all__ = ["SiameseVerifier"]

# Pairs that thresholds are read off: all where they are so few, else so many of each kind.
_PAIRS = 20_000
_HOW_TO_HOLD_OUT = "fit with held_out=0.3, say (got held_out=None), or "


class SiameseVerifier(SiameseEstimator):
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
    max_epochs, learning_rate, weight_decay, optimizer, schedule, averaging, chunk_size
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
    backbone_, head_, loss_, history_, input_shape_, embedding_size_, device_
        As of `SiameseClassifier`.
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
        callbacks: Sequence[Callback] = (),
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
        self._compare_on_pairs(items, pairs.chosen(kept), material)
        self.trained_classes_ = self.chosen_classes_ = None
        judged = pairs.chosen(held if held.any() else kept)
        self._calibrate_on_pairs(judged, HELD_OUT if held.any() else TRAINING)

    def _compare_on_pairs(
        self, given: torch.Tensor | Streamed, pairs: Pairs, material: Material
    ) -> None:
        """Keep what baselines get on the pairs that chose among epochs; warn if they get more."""
        judged = material.validate
        if not isinstance(judged, PairValidation) or not isinstance(given, torch.Tensor):
            return  # items that are read when needed would all have to be held for it
        vectors = self._embed(pairs.items)
        i, j = torch.from_numpy(judged.first), torch.from_numpy(judged.second)
        ends = np.unique([pairs.first, pairs.second])
        held_out = pairs.units[np.unique([judged.first, judged.second])]
        trained = ends[~np.isin(pairs.units[ends], held_out)]
        self.validation_score_, self.baselines_ = beside_pairs(
            score_pairs(self.head_, vectors, i, j),
            judged,
            given[torch.from_numpy(trained).to(given.device)],
            pairs.clusters[trained],
            given,
            verbose=self.verbose,
        )

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
            self.held_out_pairs_ = scored_pairs(self.head_, vectors, codes, seed, most=_PAIRS)

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

    def _state(self) -> tuple[dict[str, Any], dict[str, dict[str, torch.Tensor]]]:
        return write_kept(vars(self).get("set_threshold_"), self.held_out_pairs_)

    def _served(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"threshold": float(self.threshold_)}, {}

    def _restore_state(self, state: Mapping[str, Any], files: Files) -> None:
        cut, self.held_out_pairs_ = read_kept(state, files)
        if cut is not None:
            self.set_threshold_ = cut

    # -- use ----------------------------------------------------------------------------------

    def decision_function(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the head's score of each pair, which `threshold_` is compared with.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            The first and the second of each pair; or all pairs as `A`, of shape (n, 2, …).

        Returns
        -------
        ndarray of float64, shape (n,)
            Higher = more alike; a fixed head's score is minus a distance. The same with `A` and
            `B` changed over.

        Raises
        ------
        InvalidDataError
            If the two are not as many, items have another shape than in training, or an embedding
            is not finite.
        """
        return self._at_once()._scores(A, B)

    def log_likelihood_ratio(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return how many times as likely each score is of a *same* pair as of a different one.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.

        Returns
        -------
        ndarray of float64, shape (n,)
            Natural logarithm of the ratio (divide by ``log(10)`` for bans): above 0 speaks for
            *same*. It does not depend on how many pairs of a kind it was fitted to; add the
            logarithm of the prior odds for that of the posterior odds.

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        """
        now = self._at_once()
        return now._ratios(now._scores(A, B))

    def predict_proba(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the probabilities of *different* and of *same*, each as likely beforehand.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Columns as in `classes_`: the second is *same*, as `similarity` has it. It says how sure
            one can be, whatever `threshold_` is: at a strict threshold a pair may well be refused
            though *same* is the likelier.

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        """
        now = self._at_once()
        same = 1 / (1 + np.exp(-np.clip(now._ratios(now._scores(A, B)), -700, 700)))
        return np.stack([1 - same, same], axis=1)

    def predict(
        self,
        A: ItemsLike | tuple[ItemsLike, ItemsLike],
        B: ItemsLike | None = None,
        *,
        threshold: float | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return whether each pair is of one class: whether its score is at least the threshold.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.
        threshold : float, optional
            In place of `threshold_`, for this call; 0.0 is a threshold as any other.

        Returns
        -------
        ndarray of bool, shape (n,)

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        InvalidParameterError
            If `threshold` is no finite number.
        """
        now = self._at_once()
        cut = now.threshold_ if threshold is None else check_number("threshold", threshold)
        matches: npt.NDArray[np.bool_] = now._scores(A, B) >= cut
        return matches

    def score(
        self,
        X: ItemsLike | tuple[ItemsLike, ItemsLike],
        y: ItemsLike | None = None,
        same: ArrayLike | None = None,
    ) -> float:
        """Return the share of pairs told right by `predict`.

        Parameters
        ----------
        X, y, same : array-like
            Pairs, as `fit` takes them: ``score(A, B, same)``, ``score(pairs, same)``; every pair
            counts the same. Or items and classes, ``score(X, y)``: pairs are drawn, the same at
            every call, and both kinds count one half.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        InvalidDataError
            As `fit`, but for one kind of given pair, which will do.
        """
        now = self._at_once()
        sides = two_sides(X, y, same)
        if sides is not None:
            truth = check_same(sides[2], len(sides[0]))
            return float(np.mean((now._scores(*sides[:2]) >= now.threshold_) == truth))
        pairs = now._pairs_of_items(X, y)[0]
        right = (pairs.scores >= now.threshold_) == pairs.same
        return float((right[pairs.same].mean() + right[~pairs.same].mean()) / 2)

    # -- thresholds ---------------------------------------------------------------------------

    @property
    def threshold_(self) -> float:
        """The threshold that `predict` goes by."""
        check_is_fitted(self)
        given: Threshold | None = vars(self).get("set_threshold_")
        if given is not None:
            return given
        slope, intercept = self.calibration_
        return -intercept / slope

    def threshold(
        self,
        fmr: float | None = None,
        *,
        strategy: str | None = None,
        beta: float = 1.0,
        min_rate: float = 0.95,
        p_same: float | None = 0.5,
        confidence: float | None = 0.95,
        n_resamples: int = 1000,
        random_state: RandomState = 0,
    ) -> Threshold:
        """Choose the threshold that `predict` goes by from now on, from people never trained on.

        Those are the classes that `fit` held out, or that `calibrate` was given.

        Parameters
        ----------
        fmr : float, optional
            A promise, in (0, 1): at most this share of pairs of different people will be called
            *same*, at `confidence`. The lowest threshold is chosen of which a bootstrap over people
            shows that. With ``confidence=None`` the estimate alone must keep to it: no promise.
        strategy : {"accuracy", "eer", "f_beta", "max_tpr", "max_tnr"}, optional
            In place of `fmr`; see `siamesekit.evaluation.choose_threshold`.
        beta, min_rate
            Of ``"f_beta"``; of ``"max_tpr"`` and ``"max_tnr"``.
        p_same : float or None
            For ``"accuracy"`` and ``"f_beta"``: how often pairs are of one class where the verifier
            is used, in (0, 1). None: as often as among the held-out pairs.
        confidence : float or None
            Of the bounds, one-sided, in (0, 1).
        n_resamples : int
        random_state : int, Generator or None

        Returns
        -------
        Threshold
            A float; with the rates that it has on the held-out people, and their upper bounds.

        Raises
        ------
        TooFewTrialsError
            If nobody was held out, or so few people cannot show what is to be promised. The
            threshold is then as it was.
        InvalidParameterError
            If not one of `fmr` and `strategy` is given, or an argument is out of its range.
        """
        now = self._at_once()
        pairs = now.held_out_pairs_
        if pairs is None:
            raise TooFewTrialsError(
                "threshold must be read off classes that were not trained on, and none are kept "
                f"here: {_HOW_TO_HOLD_OUT if self.held_out is None else ''}call calibrate(X, y) "
                "with others."
            )
        found = choose_threshold(
            pairs.scores,
            pairs.same,
            fmr=fmr,
            strategy=strategy,
            beta=beta,
            min_rate=min_rate,
            p_same=p_same,
            identities=Clusters(pairs.first, pairs.second),
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
        )
        self.set_threshold_ = found
        return found

    def set_threshold(self, threshold: float) -> Self:
        """Let `predict` go by a threshold of your own.

        Parameters
        ----------
        threshold : float
            Finite, on the scale of `decision_function`; 0.0 is one as any other.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        InvalidParameterError
            If it is no finite number.
        """
        check_is_fitted(self)
        check_number("threshold", threshold)
        self.set_threshold_ = threshold_of_the_user(threshold)
        return self

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

    def _ratios(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        slope, intercept = self.calibration_
        return slope * scores + intercept

    def _scores(self, A: Any, B: Any) -> npt.NDArray[np.float64]:
        items, place = self._distinct_items(*sides_of(A, B))
        vectors = self._embed(items)
        i, j = torch.from_numpy(place).chunk(2)
        check_finite(vectors[i.to(vectors.device)], "A")
        check_finite(vectors[j.to(vectors.device)], "B")
        return score_pairs(self.head_, vectors, i, j)

    def _distinct_items(self, A: Any, B: Any) -> tuple[torch.Tensor | Streamed, IntArray]:
        a, b = self._check_items(A, "A"), self._check_items(B, "B")
        check_as_many(a, b)
        if isinstance(a, Streamed) or isinstance(b, Streamed):
            return distinct(join_sides(a, b), by_place=True)
        if a.dtype != b.dtype:  # bytes, and the floats that they stand for
            a, b = as_float(a), as_float(b)
        return distinct(torch.cat([a, b.to(a.device)]))

    def _pairs_of_items(self, X: Any, y: Any) -> tuple[ScoredPairs, np.ndarray]:
        labels, codes, vectors = self._embedded_pairs(X, y)
        pairs = scored_pairs(self.head_, vectors, torch.from_numpy(codes), 0, most=_PAIRS)
        return pairs, labels

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
