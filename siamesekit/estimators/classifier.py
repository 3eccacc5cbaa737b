"""The one-shot classifier."""

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from siamesekit._labels import among, as_classes
from siamesekit._random import RandomState
from siamesekit._types import Aggregate, ArrayLike, ItemsLike
from siamesekit._values import decode_labels, encode_labels
from siamesekit.errors import (
    IndexUnavailableError,
    LeakageError,
    SavedModelError,
    SiamesekitError,
)
from siamesekit.estimators._finite import check_finite
from siamesekit.estimators._folder import Files
from siamesekit.estimators._inputs import check_weights
from siamesekit.estimators._unknown import check_no_unknown, named
from siamesekit.estimators.base import Reader, SiameseEstimator
from siamesekit.gallery import Gallery, Groups, Identification, Index, Threshold
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training import Checkpoint, TrainingHealthWarning
from siamesekit.training.callbacks import Callback, EpochFunction
from siamesekit.training.device import Device, Precision
from siamesekit.training.items import Augment
from siamesekit.training.loop import Validate
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec

__all__ = ["SiameseClassifier"]

# Bytes that a file of tensors has beside the numbers, at most.
_HEADER = 4096
# Classes, at most, that are named where the estimator is shown.
_SHOWN = 8


class SiameseClassifier(ClassifierMixin, SiameseEstimator):  # type: ignore[misc]
    """Learn to compare; then classify by likeness to enrolled examples.

    `fit` trains a backbone and a head on labelled items, and enrolls them. New classes are then
    enrolled from one example each, and old ones forgotten, without training again.

    Every part is given by its name in the registry, as a class, or as an instance with its own
    parameters. Those are reachable as ``loss__margin``, in ``GridSearchCV`` too.

    Parameters
    ----------
    backbone : str, class or nn.Module, default="auto"
        Maps items to embeddings. ``"auto"`` takes ``"residual"`` for images and
        ``"residual-mlp"`` for vectors. Any ``nn.Module`` from ``(b, c, h, w)`` or ``(b, f)`` to
        ``(b, d)`` will do; one
        that comes with weights starts from them, and what is frozen in it stays so. Where it
        returns no tensor, its ``pooler_output`` is taken, or the first tensor in what it returns.
    head : str, class or Head, default="cosine"
        Compares embeddings.
    loss : str, class or Loss, default="episodic"
        What training makes small.
    miner : str, class, Miner or None, default=None
        Chooses the pairs or triplets of a batch that the loss sees; None leaves all of them.
    sampler : str, class or Sampler, default="auto"
        Draws the batches. ``"auto"`` draws N-way episodes (mostly within one group, where groups
        are given) if there are 20 classes or more with two items, and else balanced batches.
    augment : {"auto", "affine", "photo"}, callable or None, default="auto"
        Changes each training batch: a callable gets a float batch and a ``torch.Generator`` on
        the same device. ``"auto"`` distorts images by random affine maps (`RandomAffine`) and
        leaves vectors alone; ``"photo"`` is for photographs (`PhotoAugmentation`).
    aggregate : {"prototype", "mean", "max"}, default="prototype"
        How the enrolled examples of one class make one score: see `Gallery`.
    enroll_training : bool, default=True
        Enroll the training items when `fit` is done. With False the gallery starts empty: for
        learning to compare from classes that nobody will ask for.
    unknown_label : label or None, default=None
        What `predict` answers of an item that is of no enrolled class; of the kind of the classes,
        and none of them. None: everybody is taken for somebody. It takes classes that were not
        trained on to know what a stranger looks like: those that `validation` held out, those of
        `calibrate`, or those of `set_background`.
    fpir : float, default=0.05
        What `predict` promises with an `unknown_label`: the share of the items of no enrolled
        class that get a class, in (0, 1). See `threshold`.
    index : str, class, Index or None, default=None
        Searches for the classes that are compared with an item, for galleries of very many: see
        `Gallery`. A store (`PgvectorIndex`, `QdrantIndex`) loses what it held under ids that are
        enrolled; a model that is loaded looks into it after ``gallery_.use_index(index)``.
    max_epochs : int, default=30
        0 uses the backbone as it is; so does a line in which no weight is to be trained.
    learning_rate : float, default=3e-3
    weight_decay : float, default=1e-4
    optimizer : {"adam", "adamw", "sgd"}, class or callable, default="adamw"
        See `siamesekit.training.make_optimizer`.
    schedule : {"constant", "cosine", "one-cycle"}, class or callable, default="one-cycle"
        See `siamesekit.training.make_schedule`.
    averaging : float or None, default=None
        Decay a step of a moving average of the weights, in (0, 1), used in place of the last ones.
    validation : float, callable or None, default=None
        Share of the groups (of the classes, where no groups are given) held out from training, in
        (0, 1). After every epoch they make one-shot episodes, and the best epoch is kept. A
        callable gets the `TrainingLine` in ``eval()`` mode and returns the score itself, higher =
        better, from data of its own.
    patience : int or None, default=None
        Stop after so many epochs in a row without a better validation score.
    chunk_size : int or None, default=None
        Items of a training batch that the backbone embeds at once. The gradient is that of the
        whole batch whatever loss, miner and head make of it, at the memory of a chunk and about a
        third more time: for batches of thousands. None embeds the batch as a whole. A backbone with
        batch normalisation is refused, so images want ``ResidualNet(norm="group")`` or another
        network without: see `siamesekit.training.chunked.BatchPass`.
    compile : bool, default=False
        Compile backbone and head by ``torch.compile`` for as long as they are trained. It costs
        from seconds to minutes once and needs a C++ compiler; where there is none, training goes on
        without, with a warning. What is fitted is not compiled.
    callbacks : sequence of Callback, str or callable, default=()
        What is told of training and may end it: ``TimeLimit(3600)``, ``EarlyStopping(patience=5)``
        or ``"early-stopping"``, ``TensorBoardLogger(writer)``; see `siamesekit.training.Callback`.
        A plain function is called after every epoch with the `TrainingLine` and the `History` so
        far. What it raises ends training and comes out of `fit`, which then leaves the estimator as
        it was (and a whole checkpoint, if there is to be one): so a search gives up a run
        (``examples/tune_koch.py``).
    checkpoint : path-like, Checkpoint or None, default=None
        Where to write the state of training after every epoch, and to go on from if the same run
        is there already: a folder (a file for each run, so that cross-validation and searches may
        share it) or a file of one run, which refuses others by name. See
        `siamesekit.training.Checkpoint`.
    reader : str, class, callable or None, default="image"
        What makes an item of a path where `X` holds paths: ``ImageReader(size=96, mode="RGB")``, a
        reader of a plugin by name, or any callable from a path to an array. ``"image"`` is
        `siamesekit.data.ImageReader`: grey, of the size that the files have.
    n_workers : int or None, default=None
        Processes that read paths and data sets ahead of training; 0 reads in this one. Results do
        not depend on it. None: for paths up to 4, and no more than there are processors; for a
        data set 0. Items in memory need none.
    device : {"auto", "cpu", "cuda", "mps"} or torch.device, default="auto"
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Of the backbone; ``"auto"`` is bfloat16 for images where the GPU has it or the processor
        multiplies matrices of it (AMX), and float32 elsewhere; `precision_` says which it was. In
        float16 the loss is scaled as long as gradients bear it, and ``history_`` has the
        ``loss_scale`` and how many ``overflows`` there were.
    random_state : int, RandomState, Generator or None, default=None
        All that is random flows from it; the global generators are left alone.
    verbose : bool, default=False
        Show on stderr how far training has come, and reading, embedding and whatever else takes
        over a second: see `siamesekit.training.showing_progress`.

    Attributes
    ----------
    classes_ : ndarray, shape (k,)
        Sorted classes now enrolled.
    backbone_ : nn.Module
    head_ : Head
    loss_ : Loss or None
        None in a model that was loaded without its loss.
    gallery_ : Gallery
        Embeddings and labels of all enrolled examples.
    history_ : History
        Numbers of each epoch; see `siamesekit.training.train`.
    validation_score_ : float
        One-shot accuracy on the classes that chose among epochs, of what was trained. There only
        where `validation` is a share or a `one_shot_validation`: what another function looks at
        nobody can tell.
    baselines_ : dict of str to float
        That of each of `siamesekit.evaluation.BASELINES` beside it, on the same episodes; where one
        is better than what was trained by more than chance, `fit` warns. Empty where no baseline
        can be fitted, and, with a warning, where items that are read when needed (paths, data sets)
        would take more than 2**24 numbers in memory for it.
    calibration_ : tuple of float
        Slope and intercept of the logistic map from a score to the probability of *same*.
    proba_slope_ : float
        By which `predict_proba` multiplies scores. Fitted like ``calibration_``, but as sure as
        the number of items allows, in place of classes; of models saved before there was one, the
        slope of ``calibration_``.
    calibration_source_ : {"held-out classes", "training classes"}
        Whose pairs the map was fitted to: those held out by `validation` where they make pairs,
        else those trained on, of which it is surer than of others.
    trained_classes_, chosen_classes_ : ndarray, or None
        Sorted classes that were trained on, and that chose among epochs (held out by
        `validation`); none of either may be tested on. None where a saved model does not say.
    training_ : dict, or None
        What `card` says of training beside the parameters: numbers of items, classes and groups,
        seconds, day, machine, versions and commit, and the score of the classes that chose among
        epochs with its interval. None where a saved model does not say.
    input_shape_ : tuple of int
        Shape of an item: ``(f,)`` or ``(c, h, w)``.
    n_features_in_ : int
        Number of features, where items are vectors.
    feature_names_in_ : ndarray of str
        Their names, where `X` was a table whose columns have names.
    embedding_size_ : int
        Numbers in an embedding, ``d``: the columns that `transform` returns.
    device_ : torch.device
    precision_ : torch.dtype
        In which the backbone computes: what ``precision="auto"`` chose.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from siamesekit import SiameseClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> old = y < 8
    >>> clf = SiameseClassifier(max_epochs=5, random_state=0).fit(X[old], y[old])
    >>> clf = clf.enroll(X[y == 9][:1], y[y == 9][:1])
    >>> clf.classes_
    array([0, 1, 2, 3, 4, 5, 6, 7, 9])
    """

    _summary = (
        "Tells which of the enrolled classes an item is of, by likeness to examples of them; new "
        "classes are enrolled from one example each, without training."
    )
    _usage = (
        "model.enroll(X_new, y_new)  # one example of each new class will do",
        "model.predict(X)",
        "model.predict_proba(X)",
    )

    def __init__(
        self,
        backbone: str | type[torch.nn.Module] | torch.nn.Module = "auto",
        head: str | type[Head] | Head = "cosine",
        loss: str | type[Loss] | Loss = "episodic",
        miner: str | type[Miner] | Miner | None = None,
        sampler: str | type[Sampler] | Sampler = "auto",
        augment: str | Augment | None = "auto",
        aggregate: Aggregate = "prototype",
        enroll_training: bool = True,
        unknown_label: object = None,
        fpir: float = 0.05,
        index: str | type[Index] | Index | None = None,
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
        self.aggregate = aggregate
        self.index = index
        self.enroll_training = enroll_training
        self.unknown_label = unknown_label
        self.fpir = fpir

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # What answers only once somebody is enrolled, or people are known that training did not
        # see, is nothing that scikit-learn's checks can fit and ask at once.
        tags._skip_test |= not self.enroll_training or self.unknown_label is not None
        return tags

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        if "gallery_" in vars(self):
            # What one of two copies enrolls is not to be in the other.
            copied.gallery_ = copy.copy(self.gallery_)
        return copied

    # -- what is kept beside the network --------------------------------------------------------

    def _check_classes(self, classes: np.ndarray) -> None:
        check_no_unknown(classes, self.unknown_label)

    def _keeps_training_items(self) -> bool:
        return self.enroll_training

    def _keep(self, vectors: Tensor, labels: np.ndarray) -> None:
        self.gallery_ = self._new_gallery(self.aggregate)
        if self.enroll_training:
            self._enroll_training(vectors, labels)
        self._use_index()

    def _enroll_training(self, vectors: Tensor, labels: np.ndarray) -> None:
        large = self.gallery_.too_large(vectors)
        if large.any():
            # What was learned is not to be lost by them.
            classes = ", ".join(map(str, np.unique(labels[large]).tolist()[:5]))
            warnings.warn(
                f"The embeddings of {large.sum()} items of X, of class {classes}, are more than a "
                "million times as large as those of others; these items are not enrolled.",
                TrainingHealthWarning,
                stacklevel=4,
            )
            vectors, labels = vectors[torch.from_numpy(~large).to(vectors.device)], labels[~large]
        self.gallery_.enroll(vectors, labels)

    def _use_index(self) -> None:
        """Let the gallery search by `index`, if there is one."""
        given = self.index
        # An instance is a description, as that of any part: two models do not share one.
        own = type(given)(**given.get_params(deep=False)) if isinstance(given, Index) else given
        try:
            self.gallery_.use_index(own, replace=True)
        except IndexUnavailableError as error:  # what was learned is not to be lost by it
            warnings.warn(
                f"The gallery compares with all classes, for its index cannot be used: {error}",
                TrainingHealthWarning,
                stacklevel=5,
            )

    def _start_empty(self) -> None:
        self.gallery_ = self._new_gallery(self.aggregate)
        self._use_index()

    def _new_gallery(self, aggregate: Aggregate) -> Gallery:
        gallery = Gallery(self.head_, aggregate)
        # A network that was not trained knows nobody better than others.
        if self.trained_classes_ is not None and len(self.history_):
            gallery.set_trained(self.trained_classes_)
        return gallery

    def _keep_strangers(
        self, vectors: Tensor, labels: np.ndarray, groups: ArrayLike | None = None
    ) -> None:
        self.gallery_.set_background(vectors, labels, groups)

    def _state(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        now = self.gallery_.snapshot
        state = {
            "labels": encode_labels(now.labels),
            "aggregate": self.gallery_.aggregate,
            "next_id": now.next_id,
        }
        tensors = {"vectors": now.vectors, "ids": torch.tensor(now.ids)}
        background = self.gallery_._strangers.background
        if background is not None:
            tensors["background"] = background.vectors
            state["background"] = encode_labels(background.labels)
            if background.groups is not None:
                tensors["background_groups"] = torch.from_numpy(background.groups)
            if background.searching is not None:
                tensors["background_searching"] = torch.from_numpy(background.searching)
        return state, {"gallery": tensors}

    def _served(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        supports = self.gallery_.class_supports()
        facts: dict[str, Any] = {
            "classes": encode_labels(supports.classes),
            "aggregate": self.gallery_.aggregate,
        }
        if self.unknown_label is not None and len(supports.classes):
            least = self.gallery_.threshold(self.fpir, confidence=None)
            facts["threshold"] = float(least)
            facts["promise"] = (
                f": strangers are taken for somebody in {least.promised:g} of searches at most, "
                f"with confidence {least.confidence:.3g}"
            )
            facts["unknown_label"] = encode_labels(as_classes(self.unknown_label))  # type: ignore[arg-type]
        return facts, {
            "supports": supports.vectors,
            "ends": supports.ends,
            "digests": supports.digests,
        }

    def _restore_state(self, state: Mapping[str, Any], files: Files) -> None:
        labels = decode_labels(state.get("labels"))
        # Models saved before there was a background have none.
        strangers = decode_labels(state["background"]) if "background" in state else None
        n = len(labels) + (0 if strangers is None else len(strangers))
        room = 8 * n * (self.embedding_size_ + 3) + _HEADER
        tensors = files.tensors("gallery", room)
        vectors, ids = tensors.get("vectors"), tensors.get("ids")
        next_id = state.get("next_id", 0)
        if vectors is None or vectors.dtype != torch.float32 or vectors.ndim != 2:
            raise SavedModelError("its gallery holds no embeddings")
        if len(vectors) != len(labels) or (len(vectors) and len(vectors.T) != self.embedding_size_):
            raise SavedModelError("its gallery does not fit its labels")
        if type(next_id) is not int or not 0 <= next_id <= 2**63:
            raise SavedModelError("its next_id is none")
        try:
            self.gallery_ = self._new_gallery(state.get("aggregate", self.aggregate))
            # Models saved before there were ids have them counted up.
            self.gallery_.put_back(vectors.to(self.device_), labels, ids, next_id)
            if strangers is not None:
                if "background" not in tensors:
                    raise SavedModelError("its background holds no embeddings")
                more = (tensors.get(f"background_{name}") for name in ("groups", "searching"))
                self.gallery_.set_background(
                    tensors["background"].to(self.device_),
                    strangers,
                    *(None if tensor is None else tensor.cpu().numpy() for tensor in more),
                )
            # No file is to say where to connect to.
            if not getattr(self.index, "is_elsewhere", False):
                self._use_index()
        except SiamesekitError as error:
            raise SavedModelError(f"its gallery cannot be used: {error}") from error

    def _kept_in_words(self) -> list[str]:
        classes = self.gallery_.classes
        some = ", ".join(map(str, classes[:_SHOWN].tolist()))
        more = f" and {len(classes) - _SHOWN:,} more" if len(classes) > _SHOWN else ""
        named = f": {some}{more}" if len(classes) else ""
        return [f"{len(classes):,} classes enrolled, {len(self.gallery_):,} examples{named}"]

    # -- the gallery --------------------------------------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """Sorted classes now enrolled, shape (k,)."""
        check_is_fitted(self)
        return self.gallery_.classes

    def enroll(
        self, X: ItemsLike, y: ArrayLike | None = None, ids: ArrayLike | None = None
    ) -> Self:
        """Add examples to the gallery; nothing is trained.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …); paths; or Dataset
            Items of the shape seen in training.
        y : array-like, shape (n,)
            Class of each: a new one, or one that gets further examples. None where `X` is a data
            set with labels.
        ids : array-like of int, shape (n,), optional
            By which `forget` takes single examples away; counted up by default: those of the last
            n are ``gallery_.ids[-n:]``.

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        ValueError
            If the items have another shape than in training, an embedding is not finite or the
            labels or ids do not fit; the gallery is then as it was.
        """
        now = self._at_once()
        labels, vectors = now._embed_labelled(X, y)[1:]
        check_no_unknown(labels, self.unknown_label)
        now.gallery_.enroll(vectors, labels, ids)
        return self

    def forget(self, classes: ArrayLike | None = None, *, ids: ArrayLike | None = None) -> Self:
        """Remove classes, with all their examples, or single examples, from the gallery.

        Parameters
        ----------
        classes : label, or array-like or set of labels
        ids : int, or array-like of int
            In place of `classes`: these examples alone. A class whose last one goes is gone.

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        InvalidDataError
            If one of them is not enrolled, or not either of `classes` and `ids` is given; nothing
            is then forgotten.
        """
        check_is_fitted(self)
        self.gallery_.forget(classes, ids=ids)
        return self

    def predict(self, X: ItemsLike, classes: ArrayLike | None = None) -> np.ndarray:
        """Return the enrolled class that each item is most like.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
        classes : label, or array-like or set of labels, optional
            Choose among these only; among all enrolled classes by default.

        Returns
        -------
        ndarray, shape (n,)
            Among equally good classes one drawn by the item: the same item always gets the same
            answer, whatever it is asked beside, and over many items no class is favoured. `score`
            counts such an answer as one over the number tied. With an `unknown_label`, that is
            the answer for an item whose best score is below `threshold` of all enrolled classes.

        Raises
        ------
        ValueError
            If items have another shape than in training, an embedding or all scores of an item
            are not finite, one of `classes` is not enrolled, or there are none. With an
            `unknown_label`, also if there are no classes that were not trained on (its kind is
            `TooFewTrialsError`).

        Warns
        -----
        TooFewPeopleWarning
            If so few classes were not trained on that `fpir` is kept with less confidence than
            95 %.
        """
        now = self._at_once()
        items = now._check_items(X)
        queries = check_finite(now._embed(items), "X")
        if now.unknown_label is None:
            return now.gallery_.best_classes(queries, items, classes)
        found = now.gallery_.identify(
            queries, 1, now.fpir, confidence=None, items=items, classes=classes
        )
        return named(found.labels[:, 0], found.unknown, now.unknown_label)

    def identify(
        self,
        X: ItemsLike,
        k: int = 5,
        fpir: float | None = None,
        *,
        confidence: float | None = 0.95,
        remember: bool = False,
    ) -> Identification:
        """Return the best classes of each item, ranked, and which items are of none.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
        k : int, default=5
            Classes of each, at least 1; all of them where there are fewer.
        fpir : float, optional
            Refuse as unknown, and promise that at most this share of the searches by strangers is
            not: see `threshold`. By default that of the estimator where it has an `unknown_label`;
            else nothing is refused.
        confidence : float or None, default=0.95
            As for `threshold`.
        remember : bool, default=False
            Keep the embeddings of what is refused in memory, for `group_unknown`.

        Returns
        -------
        Identification
            Ranked labels, scores and probabilities, (n, k), and the mask ``unknown``. The
            probabilities are those of `predict_proba`, with the unknown as one class more.

        Raises
        ------
        TooFewTrialsError
            If `fpir` cannot be promised by the people at hand.
        ValueError
            As for `predict`, or if an argument is out of its range.
        """
        now = self._at_once()
        items = now._check_items(X)
        queries = check_finite(now._embed(items), "X")
        return now.gallery_.identify(
            queries,
            k,
            now._promised(fpir),
            confidence=confidence,
            slope=now.proba_slope_,
            items=items,
            remember=remember,
        )

    def _promised(self, fpir: float | None) -> float | None:
        return self.fpir if fpir is None and self.unknown_label is not None else fpir

    def threshold(
        self,
        fpir: float | None = None,
        gallery_size: int | None = None,
        confidence: float | None = 0.95,
    ) -> Threshold:
        """Return the lowest score from which on an item is somebody, by what is promised.

        Parameters
        ----------
        fpir : float, optional
            Share of the searches by people who are not enrolled that return anybody, in (0, 1);
            by default that of the estimator.
        gallery_size : int, optional
            For a gallery of so many classes; by default as it is.
        confidence : float or None, default=0.95
            One-sided; None: as much as the people at hand can show.

        Returns
        -------
        Threshold
            As `Gallery.threshold`, from classes that were not trained on: those that `validation`
            held out, or `calibrate` or `set_background` was given, and those enrolled since.

        Raises
        ------
        TooFewTrialsError
            If there are no such classes, or too few to show it.
        ValueError
            If nothing is enrolled, or an argument is out of its range.
        """
        check_is_fitted(self)
        promised = self.fpir if fpir is None else fpir
        return self.gallery_.threshold(promised, gallery_size, confidence)

    def set_background(
        self,
        X: ItemsLike,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        searching: ArrayLike | None = None,
    ) -> Self:
        """Take items of people by whose searches thresholds are set; nobody is enrolled.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
            Items of the shape seen in training, of classes that were not trained on.
        y : array-like, shape (n,)
            Class of each.
        groups, searching : array-like, shape (n,), optional
            Of what kind each is, and which were taken as searches will be: see
            `Gallery.set_background`.

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        LeakageError
            If one of the classes was trained on.
        ValueError
            If items or labels do not fit; the background is then as it was.
        """
        now = self._at_once()
        labels, vectors = now._embed_labelled(X, y)[1:]
        if now.trained_classes_ is not None and len(now.history_):
            seen = np.unique(labels[among(labels, now.trained_classes_)])
            if len(seen):
                raise LeakageError(
                    "the background must hold classes that were not trained on, or thresholds are "
                    f"too low for strangers; got {', '.join(map(repr, seen[:5].tolist()))}."
                )
        now.gallery_.set_background(vectors, labels, groups, searching)
        return self

    def group_unknown(self, X: ItemsLike | None = None, fpir: float | None = None) -> Groups:
        """Return which items of nobody enrolled are of one person.

        Parameters
        ----------
        X : array-like or Tensor, shape (m, …), optional
            By default those that ``identify(..., remember=True)`` refused.
        fpir : float, optional
            By default that of the estimator.

        Returns
        -------
        Groups
            A number for each item, the largest group first; -1 where somebody was recognised.
            Enroll one by ``enroll(X[groups.positions(0)], …)``, or a group of remembered items by
            ``enroll_group``.

        Raises
        ------
        TooFewTrialsError
            As `threshold`.
        ValueError
            If nothing is remembered and no items are given, or they do not fit.
        """
        now = self._at_once()
        vectors = None if X is None else now._embed_checked(X)
        return now.gallery_.group_unknown(vectors, now.fpir if fpir is None else fpir)

    def enroll_group(self, groups: Groups, number: int, label: object) -> Self:
        """Enroll a group of remembered items as a class; see `Gallery.enroll_group`."""
        check_is_fitted(self)
        check_no_unknown(as_classes(label), self.unknown_label)  # type: ignore[arg-type]
        self.gallery_.enroll_group(groups, number, label)
        return self

    def verify(
        self,
        X: ItemsLike,
        y: ArrayLike,
        *,
        threshold: float | None = None,
        fmr: float | None = None,
    ) -> np.ndarray:
        """Return whether each item is of the enrolled class that it claims to be of.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
        y : label, or array-like, shape (n,)
            The class that each claims.
        threshold : float, optional
            The score from which on a claim is believed.
        fmr : float, optional
            In its place: the share of strangers' claims that are believed at most, in (0, 1).

        Returns
        -------
        ndarray of float32, or of bool with `threshold` or `fmr`, shape (n,)
            See `Gallery.verify`.

        Raises
        ------
        TooFewTrialsError
            If `fmr` cannot be promised by the people at hand.
        ValueError
            As for `predict`, or if a class that is claimed is not enrolled.
        """
        now = self._at_once()
        return now.gallery_.verify(now._embed_checked(X), y, threshold=threshold, fmr=fmr)

    def predict_proba(self, X: ItemsLike) -> npt.NDArray[np.float64]:
        """Return the probability of each enrolled class, if the item is of one of them.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)

        Returns
        -------
        ndarray of float64, shape (n, k)
            Columns in the order of `classes_`; rows sum to 1. They are the softmax of the scores
            times ``proba_slope_``, which is fitted to the same pairs as the map of `similarity`
            but surer: an item is taken to be of an enrolled class, and not of any other.
        """
        now = self._at_once()
        return now.gallery_.class_probabilities(now._embed_checked(X), now.proba_slope_)

    def score(
        self,
        X: ItemsLike,
        y: ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Return the accuracy of `predict`, where a tie is worth one over the number tied.

        So a network that maps all items to one place gets exactly chance, 1/k, as on episodes.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
        y : array-like, shape (n,)
            Class of each; one that is not enrolled is never right. `unknown_label` is, of an item
            that is refused.
        sample_weight : array-like, shape (n,), optional
            What each item counts, at least 0; 1 by default.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            As for `predict`, or if labels or weights do not fit the items.
        """
        now = self._at_once()
        items, labels, queries = now._embed_labelled(X, y)
        weights = check_weights(sample_weight, len(items))
        worth = now.gallery_.worth(queries, labels)
        if now.unknown_label is not None:
            found = now.gallery_.identify(queries, 1, now.fpir, confidence=None)
            worth = np.where(found.unknown, labels == now.unknown_label, worth)
        return float(np.average(worth, weights=weights))
