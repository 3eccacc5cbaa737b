"""What all estimators share: parameters by name, fitting, embedding, comparing, saving."""

import copy
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, estimator_html_repr
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from siamesekit._checks import check_all, check_choice, check_known, check_path, shown
from siamesekit._copying import copied
from siamesekit._params import Part, in_words, merge_params
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, FloatArray, IntArray, ItemsLike
from siamesekit._values import CannotWriteError, encode_labels
from siamesekit.errors import InvalidDataError, InvalidParameterError, SavedModelError
from siamesekit.estimators import _folder, _saving
from siamesekit.estimators._baselines import beside_episodes
from siamesekit.estimators._calibration import (
    HELD_OUT,
    TRAINING,
    calibrate,
    calibration_report,
    check_pairs_at_hand,
    few_classes,
    items_to_calibrate_on,
)
from siamesekit.estimators._card import card_of
from siamesekit.estimators._constraints import CONSTRAINTS
from siamesekit.estimators._explaining import explain
from siamesekit.estimators._exporting import export
from siamesekit.estimators._finite import check_finite, keep_finite
from siamesekit.estimators._fitting import Fitting, Material, of_classes
from siamesekit.estimators._folder import Files
from siamesekit.estimators._html import line_html
from siamesekit.estimators._huggingface_hub import check_local, fetched, is_on_a_hub, pushed
from siamesekit.estimators._inputs import (
    check_groups,
    check_items,
    check_labels,
    check_no_pairs,
    encode,
    learn_items,
    read_items,
    refuse_others,
)
from siamesekit.estimators._making import figure_of_episodes, made_of
from siamesekit.estimators._parts import default_params, make_part, parts_with, wants_standardised
from siamesekit.estimators._streams import check_agreement, labels_of
from siamesekit.evaluation import (
    CalibrationReport,
    Explanation,
    OneShotValidation,
    Result,
    score_episodes,
)
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import label_codes
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.registry import ARGUMENTS
from siamesekit.samplers import Sampler
from siamesekit.training import Checkpoint, Items, embed_items
from siamesekit.training.callbacks import Callback, EpochFunction
from siamesekit.training.device import Device, Precision
from siamesekit.training.distributed import common_seed, joined
from siamesekit.training.items import Augment
from siamesekit.training.loop import Validate
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec
from siamesekit.training.progress import showing_progress
from siamesekit.training.streaming import Streamed

__all__ = ["SiameseEstimator", "family"]

Reader = Callable[[str], Any]
"""From the path of a file to an item, as an array."""

_PRETRAINED = Path(__file__).parents[1] / "pretrained"


class SiameseEstimator(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Base of the estimators: learn to compare, then embed items and compare them.

    A subclass has a constructor with (at least) the arguments below, each with its row in
    `CONSTRAINTS`, and says what it keeps beside the trained network by overriding
    `_keeps_training_items`, `_keep`, `_keep_strangers`, `_calibrate_on`, `_start_empty`, `_state`
    and `_restore_state`. All else (parameters by name, training, embedding, comparing, saving and
    loading) stands here.
    """

    trained_classes_: np.ndarray | None
    chosen_classes_: np.ndarray | None
    training_: dict[str, Any] | None

    # What a card says it does, and how it is used.
    _summary: ClassVar[str] = ""
    _usage: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        backbone: str | type[torch.nn.Module] | torch.nn.Module = "auto",
        head: str | type[Head] | Head = "cosine",
        loss: str | type[Loss] | Loss = "episodic",
        miner: str | type[Miner] | Miner | None = None,
        sampler: str | type[Sampler] | Sampler = "auto",
        augment: str | Augment | None = "auto",
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
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.miner = miner
        self.sampler = sampler
        self.augment = augment
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.averaging = averaging
        self.validation = validation
        self.patience = patience
        self.chunk_size = chunk_size
        self.compile = compile
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.reader = reader
        self.n_workers = n_workers
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True  # grey images, (n, h, w)
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.non_deterministic = self.random_state is None
        # A share of the classes takes at least four of them, and scikit-learn's checks have three.
        tags._skip_test = self.validation is not None and not callable(self.validation)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "backbone_" in vars(self)

    def __sklearn_clone__(self) -> Self:
        # Networks are copied as `fit` does, which can copy more of them than scikit-learn.
        networks = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if isinstance(value, torch.nn.Module)
        }
        bare = copy.copy(self)
        for name in networks:
            setattr(bare, name, None)
        fresh: Self = super(SiameseEstimator, bare).__sklearn_clone__()
        for name, network in networks.items():
            setattr(fresh, name, copied(network))
        return fresh

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        memo |= {
            id(value): copied(value)
            for value in vars(self).values()
            if isinstance(value, torch.nn.Module)
        }
        fresh = memo[id(self)] = type(self).__new__(type(self))
        fresh.__dict__.update(copy.deepcopy(vars(self), memo))
        return fresh

    # -- parameters ---------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with `deep`, those of the parts too, as ``loss__margin``."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for argument in ARGUMENTS:
                inner = default_params(argument, params.get(argument))
                params.update({f"{argument}__{key}": value for key, value in inner.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``loss__margin=0.3`` reaches into the part, however it was given.

        Raises
        ------
        InvalidParameterError
            If there is no such parameter, a part refuses a value, or there is no part to reach
            into (``backbone="auto"``, ``miner=None``). Nothing is then set.
        """
        current, owner = self.get_params(deep=False), type(self).__name__
        merged = merge_params(owner, current, params, _as_part, parts_with)
        for name, value in merged.items():
            setattr(self, name, value)
        return self

    # -- training -----------------------------------------------------------------------------

    def fit(
        self,
        X: ItemsLike,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        **others: object,
    ) -> Self:
        """Train on labelled items.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, f), (n, h, w) or (n, c, h, w); paths; or Dataset
            Items: uint8 (0 to 255), bool, or real numbers. Or a list, array or column of paths of
            files, which `reader` makes items of; or a map-style ``torch.utils.data.Dataset`` of
            items, or of tuples of an item and its label. Of paths and data sets no more than a few
            batches are in memory at once; all are read once before training, so that what is
            broken is found then.
        y : array-like, shape (n,)
            Class of each item: numbers or strings. None where `X` is a data set with labels.
        groups : array-like, shape (n,), optional
            Group of each item, such as the alphabet of a character; a class lies in one group.
            Classes of one group are harder to tell apart, and more often trained side by side.
        **others
            Refused by name: there is no ``sample_weight``, since what is charged is a comparison,
            and no item has a weight of its own.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        ValueError
            If data or parameters cannot be used; what was fitted before is then kept. All errors
            of this package derive from `siamesekit.errors.SiamesekitError`.

        Notes
        -----
        What the numbers of an image mean is settled here, alike for arrays, paths and data sets:
        nothing but 0 and 1, of any type, is black and white; whole numbers of an integer type up to
        255 are bytes; floats in [0, 1] are shares of full brightness; all else is taken as it is.
        Later the same pixels are the same image in any of the first three. Integers of nothing but
        0 and 1 could then be either bits or dark bytes: where training was not on bits, they are
        refused. If a batch of what is read when needed cannot tell, all of it is read once more.
        """
        refuse_others(self, others, ("X", "y", "groups"))
        with self._afresh() as fresh:
            fresh._fit(X, y, groups)
        return self

    @contextmanager
    def _afresh(self) -> Iterator[Self]:
        """Give a copy to be fitted, and take over what it is then, unless an error comes out."""
        fresh = copy.copy(self)
        for name in [name for name in vars(fresh) if name.endswith("_")]:
            delattr(fresh, name)  # attributes of an earlier fit, which this one may not set
        # Whatever mode the caller is in: without gradients nothing would be learned.
        with torch.inference_mode(False), torch.enable_grad(), joined(), fresh._showing():
            yield fresh
        self.__dict__ = fresh.__dict__

    def _fit(self, X: ItemsLike, y: ArrayLike | None, groups: ArrayLike | None) -> None:
        begun = time.perf_counter()
        check_all(CONSTRAINTS, self.get_params(deep=False))
        given = read_items(self, X)
        if isinstance(given, Streamed) and y is None and given.labelled:
            given.look_through()
        labels = self._check_labels(labels_of(given, y), len(given))
        classes, codes = encode(labels)
        self._check_classes(classes)
        check_no_pairs(given, classes)
        if len(classes) < 2:
            raise InvalidDataError(
                "y must hold at least 2 classes, or there is nothing to compare; "
                f"got 1 class: {shown(classes[0])}."
            )
        group_codes = check_groups(groups, codes, classes)
        items = self._learn_items(given)
        check_agreement(given, labels)
        seed = common_seed(self.random_state)
        aside = self._set_aside(codes, group_codes, seed)
        kept = np.flatnonzero(~aside)
        material, chose = of_classes(
            self,
            items[kept] if aside.any() else items,
            codes[kept],
            None if group_codes is None else group_codes[kept],
            classes,
            seed,
            self._own_validation(tuple(items.shape[1:])),
        )
        self._train(material, seed)
        figure = self._compare(given, codes, kept, chose, material.validate)
        chosen = codes[kept[chose]]
        self.trained_classes_ = classes[np.unique(codes[kept[~chose]])]
        self.chosen_classes_ = self._classes_that_chose(classes[np.unique(chosen)])
        unseen = aside if aside.any() else np.isin(codes, chosen)
        some, source = items_to_calibrate_on(codes, unseen)
        keeps = self._keeps_training_items()
        # What is not kept need not be embedded as a whole either.
        own = np.arange(len(codes)) if keeps else some[few_classes(encode(codes[some])[1], seed)]
        vectors, (labels, codes, own) = keep_finite(
            self.head_, self._embed(items[own]), labels[own], codes[own], own
        )
        self.embedding_size_ = int(vectors.shape[1])
        pairs = torch.from_numpy(np.flatnonzero(np.isin(own, some)))
        self._calibrate_on(
            vectors[pairs.to(vectors.device)], torch.from_numpy(codes)[pairs], source, seed
        )
        self._keep(vectors, labels)
        if source == HELD_OUT:
            kinds = None if group_codes is None else group_codes[own][pairs.numpy()]
            if kinds is not None and len(np.unique(kinds)) < 2:
                kinds = None  # of one kind nobody can tell how much kinds differ
            self._keep_strangers(vectors[pairs.to(vectors.device)], labels[pairs.numpy()], kinds)
        self.training_ = made_of(
            self.device_,
            time.perf_counter() - begun,
            n_items=len(given),
            n_classes=len(classes),
            n_groups=None if group_codes is None else len(np.unique(group_codes)),
            validation=figure,
        )

    def _learn_items(self, given: Tensor | Streamed) -> Tensor | Streamed:
        """Return training items as the network takes them; note what others are to be like."""
        standardised = wants_standardised(self.backbone, tuple(given.shape[1:]))
        items, self.input_kind_, self.standardizer_ = learn_items(given, standardised=standardised)
        return items

    def _train(self, material: Material, seed: int) -> None:
        fit = Fitting(self, material, seed)
        _saving.check_writable(fit.line)
        self.history_ = fit.run()
        self.input_shape_ = tuple(material.items.shape[1:])
        if len(self.input_shape_) == 1:
            self.n_features_in_ = self.input_shape_[0]
        self.n_classes_trained_ = material.n_classes
        self.device_, self.precision_ = fit.device, fit.line.precision
        self.backbone_, self.head_, self.loss_ = fit.line.backbone, fit.line.head, fit.line.loss

    def _own_validation(self, shape: tuple[int, ...]) -> float | Validate | None:
        """Return `validation`, with items of its own as the network takes them."""
        given = self.validation
        if not isinstance(given, OneShotValidation):
            return given
        name = "the items of validation"
        if tuple(given.items.shape[1:]) != shape:
            raise InvalidDataError(
                f"{name} must be of shape {shape}, as those of X; "
                f"got {tuple(given.items.shape[1:])}."
            )
        if not isinstance(given.items, Tensor | Streamed):
            return given
        own = copy.copy(given)
        own.items = check_items(given.items, self.input_kind_, self.standardizer_, name)
        return own

    def _compare(
        self,
        given: Tensor | Streamed,
        codes: IntArray,
        kept: IntArray,
        chose: np.ndarray,
        validate: Validate | None,
    ) -> dict[str, Any] | None:
        """Keep what baselines get on the classes that chose among epochs; warn if they get more.

        Return the figure of what was trained, for its card.
        """
        if not isinstance(validate, OneShotValidation):
            return None  # nobody can tell what another function looks at
        own = self.validation
        shares = score_episodes(self._embed(validate.items), validate.episodes, self.head_)
        rows = torch.from_numpy(kept[chose]).to(given.device)
        self.validation_score_, self.baselines_ = beside_episodes(
            shares,
            validate.episodes,
            given[torch.from_numpy(kept[~chose]).to(given.device)],
            codes[kept[~chose]],
            own.items if isinstance(own, OneShotValidation) else given[rows],
            verbose=self.verbose,
        )
        return figure_of_episodes(shares, validate.episodes)

    def _classes_that_chose(self, held_out: np.ndarray) -> np.ndarray:
        """Return the classes whose score chose among epochs, sorted."""
        if isinstance(self.validation, OneShotValidation):
            return encode(self.validation.labels)[0]
        return held_out

    def _check_classes(self, classes: np.ndarray) -> None:
        """Raise `InvalidDataError` if one of the classes in training cannot be one."""

    # -- what a subclass keeps beside the network -----------------------------------------------

    def _set_aside(self, codes: IntArray, groups: IntArray | None, seed: int) -> np.ndarray:
        """Return which items are for calibration alone, shape (n,) of bool; by default none.

        Whole classes, and whole groups where there are any: neither trained on, nor asked which
        epoch is best.
        """
        return np.zeros(len(codes), dtype=bool)

    def _calibrate_on(self, vectors: Tensor, codes: Tensor, source: str, seed: int) -> None:
        """Fit the maps from scores to probabilities to pairs of embedded items."""
        self.calibration_, self.proba_slope_ = calibrate(self.head_, vectors, codes, seed)
        self.calibration_source_ = source

    def _start_empty(self) -> None:
        """Set what `_keep` and `_restore_state` set, for a model that another estimator saved."""

    def _keeps_training_items(self) -> bool:
        """Return whether `_keep` wants the embeddings of all training items, or of some."""
        return False

    def _keep(self, vectors: Tensor, labels: np.ndarray) -> None:
        """Take from embedded training items, shape (n, d), what is kept; by default nothing."""

    def _keep_strangers(
        self, vectors: Tensor, labels: np.ndarray, groups: IntArray | None = None
    ) -> None:
        """Take embedded items of classes that training did not see; by default nothing."""

    def _state(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        """Return what `_keep` took and `save` must write: for json, and tensors by file."""
        return {}, {}

    def _served(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `export` needs of what `_keep` took: for json, and numbers."""
        return {}, {}

    def _restore_state(self, state: Mapping[str, Any], files: Files) -> None:
        """Take what `_state` returned; raise `SavedModelError` if it cannot have returned it."""

    # -- use ----------------------------------------------------------------------------------

    def transform(self, X: ItemsLike) -> FloatArray:
        """Return the embeddings of items.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …); paths; or Dataset
            Items of the shape seen in training.

        Returns
        -------
        ndarray of float32, shape (n, d)

        Raises
        ------
        InvalidDataError
            If the items have another shape than in training, or an embedding is not finite.
        """
        vectors: FloatArray = self._at_once()._embed_checked(X).cpu().numpy()
        return vectors

    def similarity(self, A: ItemsLike, B: ItemsLike) -> FloatArray:
        """Return how surely items of `A` and of `B` are of one class.

        Parameters
        ----------
        A : array-like or Tensor, shape (m, …)
        B : array-like or Tensor, shape (n, …)

        Returns
        -------
        ndarray of float32, shape (m, n)
            In [0, 1]: the probability of *same*, if it is as likely as not before anything is
            seen: a logistic map of the head's score, fitted to pairs of both kinds after training.
            ``calibration_source_`` says of which classes: of those that `validation` held out, or
            (with less right to be believed of new classes) of those trained on. See `calibrate`
            and `calibration_report`.

        Raises
        ------
        InvalidDataError
            As for `transform`.
        """
        now = self._at_once()
        a, b = now._embed_checked(A, "A"), now._embed_checked(B, "B")
        slope, intercept = now.calibration_
        with torch.inference_mode():
            probability = torch.sigmoid(slope * now.head_(a, b) + intercept)
        return probability.cpu().numpy()

    def explain(
        self,
        a: ItemsLike,
        b: ItemsLike,
        *,
        patch: int | None = None,
        stride: int | None = None,
        fill: str | float = "mean",
    ) -> Explanation:
        """Return what made two items alike: how far their score falls when a part is hidden.

        Parameters
        ----------
        a, b : array-like or Tensor, shape (h, w), (c, h, w) or (f,)
            An item each, of the shape seen in training; a batch of one will do.
        patch : int, optional
            Side of the square that is hidden, in pixels; by default a seventh of the shorter side.
            Features of vectors are hidden one by one.
        stride : int, optional
            Pixels from one patch to the next, at most `patch`; by default half of it.
        fill : {"mean", "blur"} or float
            What is seen in place of what is hidden: the item's mean brightness by channel (of
            vectors, the feature's mean in training), the item blurred, or a number such as items
            hold.

        Returns
        -------
        Explanation
            A map for each item, in units of the head's score. ``explain(b, a)`` has them the other
            way round. `siamesekit.plots.plot_explanation` draws it.

        Raises
        ------
        InvalidDataError
            If `a` or `b` is no such item, or a score is not finite.
        InvalidParameterError
            If `patch`, `stride` or `fill` is not as said.

        Examples
        --------
        >>> import numpy as np
        >>> from siamesekit import SiameseClassifier
        >>> clf = SiameseClassifier.from_pretrained("omniglot")
        >>> stroke = np.zeros((28, 28), np.uint8)
        >>> stroke[4:24, 13:15] = 255
        >>> found = clf.explain(stroke, np.roll(stroke, 2, axis=1), fill=0)
        >>> bool(found.a[14, 13] > found.a[14, 2])
        True
        """
        return explain(self._at_once(), a, b, patch, stride, fill)

    def calibrate(self, X: ItemsLike, y: ArrayLike | None = None) -> Self:
        """Fit the probabilities that `similarity` and `predict_proba` give anew, on other items.

        Best of classes that training did not see and that are like those that will be asked for;
        after a fit without `validation` the map knows only the classes trained on, and is too
        sure of others. Neither the network nor what is enrolled changes.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …); paths; or Dataset
            Items of the shape seen in training.
        y : array-like, shape (n,)
            Class of each; at least 2 classes, one of them of 2 items. The more classes, the surer
            the map can be.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        InvalidDataError
            If items or labels do not fit, or there are no pairs of both kinds; the map is then as
            it was.
        """
        fresh = copy.copy(self._at_once())
        labels, codes, vectors = fresh._embedded_pairs(X, y)
        source = HELD_OUT if fresh._are_unseen(labels) else TRAINING
        fresh._calibrate_on(vectors, torch.from_numpy(codes), source, seed=0)
        if source == HELD_OUT:
            fresh._keep_strangers(vectors, encode(labels)[0][codes])
        self.__dict__ = fresh.__dict__
        return self

    def _are_unseen(self, labels: np.ndarray) -> bool:
        """Return whether none of these classes was trained on, as far as that is known."""
        if self.trained_classes_ is None:
            return False
        own, trained = label_codes(labels, self.trained_classes_)
        return not bool(np.isin(own, trained).any())

    def calibration_report(self, X: ItemsLike, y: ArrayLike | None = None) -> CalibrationReport:
        """Return how good the probabilities of `similarity` are on classes it has not seen.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …); paths; or Dataset
            Items of the shape seen in training.
        y : array-like, shape (n,)
            Class of each; at least 2 classes, one of them of 2 items.

        Returns
        -------
        CalibrationReport
            Cllr, log-loss and reliability on pairs of the items, drawn the same at every call.

        Raises
        ------
        LeakageError
            If a class was trained on, or chose the epoch.
        InvalidDataError
            If items or labels do not fit, or there are no pairs of both kinds.
        """
        now = self._at_once()
        labels, codes, vectors = now._embedded_pairs(X, y)
        facts = facts_of(now, labels)
        return calibration_report(
            now.head_,
            vectors,
            torch.from_numpy(codes),
            now.calibration_,
            source=now.calibration_source_,
            tested_classes=facts.tested,
            trained_classes=facts.trained,
            chosen_classes=facts.chosen,
        )

    def _embedded_pairs(
        self, X: ItemsLike, y: ArrayLike | None
    ) -> tuple[np.ndarray, IntArray, Tensor]:
        items = self._check_items(X)
        labels = check_labels(labels_of(items, y), len(items))
        check_agreement(items, labels)
        codes = encode(labels)[1]
        check_pairs_at_hand(codes)
        some = few_classes(codes, seed=0)
        return labels, codes[some], check_finite(self._embed(items[some]), "X")

    # -- saving -------------------------------------------------------------------------------

    def card(self, results: Sequence[Result] = ()) -> str:
        """Return what this model is, as a model card: Markdown, with a head of YAML for programs.

        How to use it, the parts with their parameters, the data it was trained on, figures with
        their intervals and protocols, and versions, machine, time and commit: all from what the
        estimator knows. `save` writes it beside the model, as ``README.md``.

        Parameters
        ----------
        results : sequence of Result
            Figures to be told, as `siamesekit.evaluation.episode_accuracy` and others return them.
            The score of the classes that chose the epoch, and those of baselines, are told anyway.

        Raises
        ------
        InvalidParameterError
            If `results` are none, or the network holds what cannot be saved.
        NotFittedError
            If nothing is fitted.

        Examples
        --------
        >>> from siamesekit import SiameseClassifier
        >>> "## How to use it" in SiameseClassifier.from_pretrained("omniglot").card()
        True
        """
        check_is_fitted(self)
        own, figures = self._at_once(), _check_results(results)
        return card_of(own, _saving.describe(own)[0], figures)

    def save(self, path: str | os.PathLike[str], results: Sequence[Result] = ()) -> None:
        """Write all that was fitted to a folder (json and safetensors; no pickle), and its card.

        Parameters
        ----------
        path : path-like
            A new folder, an empty one, or one saved before: its model is replaced as a whole, and
            whatever else lies there stays, a ``README.md`` that was changed by hand too. A link to
            a folder stays a link.
        results : sequence of Result
            Figures for the card: see `card`.

        Raises
        ------
        InvalidParameterError
            If `path` holds something else or is the name of a model on a hub, `results` are none,
            or the network holds what cannot be written.
        ModelNotWrittenError
            If the disk is full, or the folder may not be written to.
        NotFittedError
            If there is nothing to save.

        Warns
        -----
        UserWarning
            If the model is written but its card is not, or the card there was written by hand.

        Notes
        -----
        At every moment, whatever ends the process, the folder holds the old model or the new one,
        and anyone may load from it meanwhile. Several processes may save to one folder: one
        of their models stays, whole. Files are readable by those that the umask lets.

        Written as json are all arguments that json can hold and parts that have a name in the
        registry. What only training needs and json cannot hold (functions, `callbacks`, a live
        `random_state`, the path of a `checkpoint`) is left out; `load` says so.
        """
        check_is_fitted(self)
        check_local("path", path)
        checked, figures = check_path("path", path), _check_results(results)
        own = self._at_once()
        state, tensors = own._state()
        description, weights = _saving.describe(own)
        card = card_of(own, description, figures)
        files = {"weights": weights, **tensors}
        _folder.write(checked, description | {"state": state}, files, card)

    def export(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that answers without torch and siamesekit: NumPy and onnxruntime do.

        ``reader.py`` in it has a class `Reader` whose ``predict``, ``predict_proba``, ``identify``,
        ``verify``, ``transform`` and ``similarity`` give the answers of this estimator as it is
        now, to 1e-4; ``CARD.md`` says what the folder holds. Input is taken as the estimator takes
        it: bytes and floats, features of any scale, on the scale of training alone.

        Parameters
        ----------
        folder : path-like
            New, empty, or one exported to before: at every moment it holds the old model or the
            new one, and whatever else lies there stays.

        Raises
        ------
        PluginImportError
            If onnx, onnxscript or onnxruntime is not installed (``siamesekit[export]``).
        InvalidParameterError
            If `folder` holds something else, or the network cannot be written as ONNX (a part that
            is looked up in Python, say), or gives other numbers there.
        ModelNotWrittenError
            If the disk is full, or the folder may not be written to.
        TooFewTrialsError
            If there is an `unknown_label`, and `predict` could not answer.

        Warns
        -----
        UserWarning
            If the estimator computes in bfloat16: the folder is more exact, and so answers
            otherwise by what that rounds.
        """
        check_is_fitted(self)
        checked, now = check_path("folder", folder), self._at_once()
        if now.precision_ != torch.float32:
            warnings.warn(
                f"The exported network computes in float32, this estimator in {now.precision_}: "
                "answers differ by what that rounds. precision='float32' has the same ones.",
                stacklevel=2,
            )
        nobody = {"classes": {"dtype": "<i8", "values": []}, "aggregate": "prototype"}
        facts, arrays = now._served()
        export(now, checked, nobody | {"threshold": None, "unknown_label": None} | facts, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **parts: Any) -> Self:
        """Return the estimator that `save` wrote, on the device that its ``device`` names.

        Nothing in the folder is run: it is numbers, and names of parts in the registry. What
        another estimator of this package saved can be loaded too, since a backbone, a head and
        their calibration are all that any of them needs: the rest (a gallery, a threshold) starts
        empty.

        Parameters
        ----------
        path : path-like
        **parts
            Arguments of the constructor that have no name in the registry (``backbone=MyNet()``),
            or that are to be replaced (``device="cpu"``).

        Raises
        ------
        SavedModelError
            If the folder is damaged, changed, incomplete or of a newer version, or a backbone or
            head that has no name is not given.
        InvalidParameterError
            If `parts` names no argument of the constructor.

        Warns
        -----
        UserWarning
            If arguments that only training needs could not be saved, naming them; they have their
            defaults. A loss that is missing leaves ``loss_`` None.
        """
        checked = check_path("path", path)
        check_known(parts, cls._get_param_names(), cls.__name__)
        try:
            with _folder.opened(checked) as files:
                return cls._from_files(files, parts)
        except SavedModelError as error:
            raise SavedModelError(f"{checked} cannot be loaded: {error}.") from error

    @classmethod
    def _from_files(cls, files: Files, parts: Mapping[str, Any]) -> Self:
        description, saved_by = _saving.read_description(family(), files)
        loaded = cls(**_saving.read_params(cls, saved_by, description, parts))
        _saving.restore(loaded, description, files, parts)
        state = description.get("state")
        if issubclass(cls, saved_by):
            loaded._restore_state(state if isinstance(state, dict) else {}, files)
        else:
            loaded._start_empty()
        return loaded

    @classmethod
    def from_pretrained(cls, name: str = "omniglot", **parts: Any) -> Self:
        """Return a trained estimator: one that comes with the package, or one from a hub.

        Parameters
        ----------
        name : str
            ``"omniglot"``: compares hand-drawn symbols by any pen, paths or arrays of any size and
            polarity (`siamesekit.data.DrawingReader` finds the ink; bytes of 56×56 pixels, ink
            bright on black, stay as they are); enroll one example of each and predict. How it was
            made, and how good it is, stands in its card,
            ``siamesekit/pretrained/omniglot/CARD.md``. Its gallery is empty.

            ``"omniglot-28"``: the same for thin strokes and 28×28 pixels; a smaller network, and
            longer embeddings.

            ``"hf:owner/name"`` or ``"hf:owner/name@revision"``: what `push_to_hub` wrote there,
            by the package ``huggingface_hub`` (``siamesekit[hub]``), which keeps what it
            downloads: with a network it looks for a newer model, without one it takes the one it
            has. A revision is a branch, a tag or a commit; a commit alone is always the same model.
            Only ``model.json`` and safetensors are read: nothing from there is run or unpickled.
        **parts
            As for `load`: ``device="cpu"``, say.

        Raises
        ------
        InvalidParameterError
            If there is no model of that name in the package, or it is no name.
        HubError
            If it is not on the hub, or that cannot be reached and the model is not here either.
        PluginImportError
            If huggingface_hub is wanted and not installed.
        SavedModelError
            If what is there is none, is damaged, or of a newer version.

        See Also
        --------
        push_to_hub

        Examples
        --------
        >>> import numpy as np
        >>> from siamesekit import SiameseClassifier
        >>> strokes = np.zeros((2, 28, 28), np.uint8)
        >>> strokes[0, 4:24, 13:15] = strokes[1, 13:15, 4:24] = 255
        >>> clf = SiameseClassifier.from_pretrained("omniglot").enroll(strokes, ["one", "dash"])
        >>> clf.predict(np.roll(strokes, 1, axis=2)).tolist()
        ['one', 'dash']
        """
        if is_on_a_hub(name):
            return cls.load(fetched(name), **parts)
        names = sorted(path.parent.name for path in _PRETRAINED.glob("*/model.json"))
        check_choice("name", name, names)
        return cls.load(_PRETRAINED / name, **parts)

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        message: str = "Save by siamesekit",
        results: Sequence[Result] = (),
    ) -> str:
        """Write all that was fitted, and its card, to a hub of models.

        Whatever `save` writes goes there, and the names of classes trained on are among it; of a
        classifier, those enrolled and the embeddings of their examples too. `forget` what nobody
        else is to have first, or load the folder as a `SiameseEmbedder`, which has no gallery, and
        push that.

        Parameters
        ----------
        name : str
            ``"owner/name"``, with or without ``"hf:"`` before it; ``"owner/name@branch"`` for
            another branch than the main one. What is not there is made; a model that is there is
            replaced, and its older versions stay in the history.
        private : bool or None
            Whether a repository that is made can be read by its owner alone; None leaves that to
            the hub.
        token : str or None
            None uses the one that ``hf auth login`` keeps, or ``HF_TOKEN``.
        message : str
            Of the commit.
        results : sequence of Result
            Figures for the card: see `card`.

        Returns
        -------
        str
            The name of just this version, ``"hf:owner/name@commit"``, for `from_pretrained`.

        Raises
        ------
        InvalidParameterError
            If `name` is no such name, or the model cannot be saved.
        HubError
            If the hub cannot be reached, or refuses.
        PluginImportError
            If huggingface_hub is not installed (``siamesekit[hub]``).

        Warns
        -----
        UserWarning
            If the card there was written or changed by hand: it stays as it is.
        """
        check_is_fitted(self)
        return pushed(self, name, private=private, token=token, message=message, results=results)

    # -- how it is shown ----------------------------------------------------------------------

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        now = type(self).__new__(type(self))
        # A loss or a head is a network, too, and would show its layers, not its parameters.
        parts = {
            name: _InWords(value)
            for name, value in self.get_params(deep=False).items()
            if isinstance(value, Part)
        }
        now.__dict__ = vars(self) | parts
        text: str = super(SiameseEstimator, now).__repr__(N_CHAR_MAX)
        return text

    def _kept_in_words(self) -> list[str]:
        """Return what is kept beside the network, for people, a line each; by default nothing."""
        return []

    def _html_repr(self) -> str:
        now = copy.copy(self)  # `fit` and `enroll` elsewhere change nothing in it
        drawn = line_html(now, now.__sklearn_is_fitted__())
        return f"{drawn}{estimator_html_repr(now)}"

    # Older scikit-learn asks these two; all ask only where `display` is "diagram".

    def _repr_html_inner(self) -> str:
        return self._html_repr()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if get_config()["display"] == "diagram":
            bundle["text/html"] = self._html_repr()
        return bundle

    # -- below the surface --------------------------------------------------------------------

    def _at_once(self) -> Self:
        """Return all that is fitted at this moment: `fit` puts another dict in its place.

        So an answer never mixes two networks where another thread fits meanwhile.
        """
        check_is_fitted(self)
        now = type(self).__new__(type(self))
        now.__dict__ = self.__dict__
        return now

    def _embed_labelled(
        self, X: ItemsLike, y: ArrayLike | None
    ) -> tuple[Tensor | Streamed, np.ndarray, Tensor]:
        """Return items, their labels and their embeddings, once all three can be used."""
        items = self._check_items(X)
        # Labels that come with items are known once these were read: to embed them will do.
        early = y is not None or not (isinstance(items, Streamed) and items.labelled)
        labels = self._check_labels(y, len(items)) if early else None
        vectors = check_finite(self._embed(items), "X")
        if labels is None:
            labels = self._check_labels(labels_of(items, None), len(items))
        check_agreement(items, labels)
        return items, labels, vectors

    def _check_items(self, X: ItemsLike, name: str = "X") -> Tensor | Streamed:
        check_is_fitted(self)
        items = read_items(self, X, expected=self.input_shape_, name=name)
        return check_items(items, self.input_kind_, self.standardizer_, name)

    @staticmethod
    def _check_labels(y: ArrayLike | None, n: int) -> np.ndarray:
        labels = check_labels(y, n)
        try:
            encode_labels(labels)
        except CannotWriteError as error:  # better now than when they are to be saved
            raise InvalidDataError(f"y must hold labels that can be saved: {error}.") from error
        return labels

    @property
    def _n_features_out(self) -> int:
        # What scikit-learn's `get_feature_names_out` counts.
        return self.embedding_size_

    def _embed_checked(self, X: ItemsLike, name: str = "X") -> Tensor:
        return check_finite(self._embed(self._check_items(X, name)), name)

    def _embed(self, items: Tensor | Items) -> Tensor:
        with self._showing():
            return embed_items(self.backbone_, items, self.device_, self.precision_)

    def _showing(self) -> AbstractContextManager[None]:
        """Return a block that shows how far work has come, if this is to; else as it is outside."""
        wanted = isinstance(self.verbose, bool | np.bool_) and self.verbose
        return showing_progress(True if wanted else None)


class _InWords:
    """Stands for a part where an estimator is shown."""

    def __init__(self, part: Part) -> None:
        self._words = in_words(part)

    def __repr__(self) -> str:
        return self._words


def _check_results(results: object) -> Sequence[Result]:
    if not isinstance(results, list | tuple) or not all(isinstance(r, Result) for r in results):
        raise InvalidParameterError(
            f"results must be a list of siamesekit.evaluation.Result; got {shown(results)}."
        )
    return results


def family() -> dict[str, type[SiameseEstimator]]:
    """Return this package's estimators by name."""
    return {known.__name__: known for known in _descendants(SiameseEstimator)}


def _descendants(cls: type[SiameseEstimator]) -> list[type[SiameseEstimator]]:
    """Return this package's public classes that derive from `cls`."""
    found = []
    for known in cls.__subclasses__():
        package, _, file = known.__module__.rpartition(".")
        is_ours = package.startswith("siamesekit") and not file.startswith("_")
        found += [known] if is_ours else []
        found += _descendants(known)
    return found


def _as_part(argument: str, value: Any) -> Any:
    """Return the part that a name or a class stands for, to reach into; else what was given."""
    is_spec = argument in ARGUMENTS and isinstance(value, str | type) and value != "auto"
    return make_part(argument, value) if is_spec else value
