"""The one-shot classifier."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from siamesekit._checks import check_choice, check_flag
from siamesekit._random import RandomState
from siamesekit._types import AGGREGATES, Aggregate, ArrayLike, FloatArray
from siamesekit.errors import InvalidDataError, InvalidParameterError, SavedModelError
from siamesekit.estimators import _saving
from siamesekit.estimators._calibration import calibrate, few_classes
from siamesekit.estimators._fitting import Fitting, make_line
from siamesekit.estimators._inputs import check_groups, check_items, check_labels, encode
from siamesekit.estimators._parts import KINDS, default_params, make_part
from siamesekit.gallery import Gallery
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training import (
    Checkpoint,
    History,
    embed_items,
    resolve_device,
)
from siamesekit.training.device import Device, Precision
from siamesekit.training.items import Augment
from siamesekit.training.loop import Callback, Validate
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec

__all__ = ["SiameseClassifier"]

_PRETRAINED = Path(__file__).parents[1] / "pretrained"


class SiameseClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn to compare; then classify by likeness to enrolled examples.

    `fit` trains a backbone and a head on labelled items, and enrolls them. New classes are then
    enrolled from one example each, and old ones forgotten, without training again.

    Every part is given by its name in the registry, as a class, or as an instance with its own
    parameters. Those are reachable as ``loss__margin``, in ``GridSearchCV`` too.

    Parameters
    ----------
    backbone : str, class or nn.Module, default="auto"
        Maps items to embeddings. ``"auto"`` takes ``"residual"`` for images and ``"mlp"`` for
        vectors. Any ``nn.Module`` from ``(b, c, h, w)`` or ``(b, f)`` to ``(b, d)`` will do; one
        that comes with weights starts from them.
    head : str, class or Head, default="cosine"
        Compares embeddings.
    loss : str, class or Loss, default="episodic"
        What training makes small.
    miner : str, class, Miner or None, default=None
        Chooses the pairs or triplets of a batch that the loss sees; None leaves all of them.
    sampler : str, class or Sampler, default="auto"
        Draws the batches. ``"auto"`` draws N-way episodes (mostly within one group, where groups
        are given) if there are 20 classes or more with two items, and else balanced batches.
    augment : {"auto", "affine"}, callable or None, default="auto"
        Changes each training batch: a callable gets a float batch and a ``torch.Generator`` on
        the same device. ``"auto"`` distorts images by random affine maps (`RandomAffine`) and
        leaves vectors alone.
    aggregate : {"prototype", "mean", "max"}, default="prototype"
        How the enrolled examples of one class make one score: see `Gallery`.
    enroll_training : bool, default=True
        Enroll the training items when `fit` is done. With False the gallery starts empty: for
        learning to compare from classes that nobody will ask for.
    max_epochs : int, default=30
    learning_rate : float, default=3e-3
    weight_decay : float, default=1e-4
    optimizer : {"adam", "adamw", "sgd"} or callable, default="adamw"
        See `siamesekit.training.make_optimizer`.
    schedule : {"constant", "cosine", "one-cycle"} or callable, default="one-cycle"
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
    callbacks : sequence of callable, default=()
        Each is called after every epoch with the `TrainingLine` and the `History` so far. What one
        raises ends training and comes out of `fit`, which then leaves the estimator as it was: so a
        search gives up a run (``examples/tune_koch.py``).
    checkpoint : path-like, Checkpoint or None, default=None
        File to write the state of training to after every epoch, and to go on from if it exists.
    device : {"auto", "cpu", "cuda", "mps"} or torch.device, default="auto"
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the backbone; ``"auto"`` is bfloat16 for images where the processor has it.
    random_state : int, RandomState, Generator or None, default=None
        All that is random flows from it; the global generators are left alone.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    classes_ : ndarray, shape (k,)
        Sorted classes now enrolled.
    backbone_ : nn.Module
    head_ : Head
    loss_ : Loss
    gallery_ : Gallery
        Embeddings and labels of all enrolled examples.
    history_ : History
        Numbers of each epoch; see `siamesekit.training.train`.
    calibration_ : tuple of float
        Slope and intercept of the logistic map from a score to the probability of *same*.
    input_shape_ : tuple of int
        Shape of an item: ``(f,)`` or ``(c, h, w)``.
    n_features_in_ : int
        Number of features, where items are vectors.
    device_ : torch.device

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
        max_epochs: int = 30,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        optimizer: OptimizerSpec = "adamw",
        schedule: ScheduleSpec = "one-cycle",
        averaging: float | None = None,
        validation: float | Validate | None = None,
        patience: int | None = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
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
        self.aggregate = aggregate
        self.enroll_training = enroll_training
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.schedule = schedule
        self.averaging = averaging
        self.validation = validation
        self.patience = patience
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.non_deterministic = self.random_state is None
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "gallery_" in vars(self)

    # -- parameters ---------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with `deep`, those of the parts too, as ``loss__margin``."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for argument in KINDS:
                inner = default_params(argument, params[argument])
                params.update({f"{argument}__{key}": value for key, value in inner.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``loss__margin=0.3`` reaches into the part, however it was given."""
        for argument in KINDS:
            given = params.get(argument, getattr(self, argument))
            reached_into = any(key.startswith(f"{argument}__") for key in params)
            if reached_into and isinstance(given, str | type) and given != "auto":
                params[argument] = make_part(argument, given)
        super().set_params(**params)
        return self

    # -- training -----------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Train on labelled items, and enroll them unless ``enroll_training=False``.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, f), (n, h, w) or (n, c, h, w)
            Items: uint8 (0 to 255), bool, or real numbers.
        y : array-like, shape (n,)
            Class of each item: numbers or strings.
        groups : array-like, shape (n,), optional
            Group of each item, such as the alphabet of a character; a class lies in one group.
            Classes of one group are harder to tell apart, and more often trained side by side.

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        ValueError
            If data or parameters cannot be used; what was fitted before is then kept. All errors
            of this package derive from `siamesekit.errors.SiamesekitError`.
        """
        # All happens on a copy, so that an error leaves what was fitted before as it was.
        fresh = copy.copy(self)
        fresh._fit(X, y, groups)
        self.__dict__ = fresh.__dict__
        return self

    def _fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None) -> None:
        # The gallery is made after training, too late to refuse an argument.
        check_choice("aggregate", self.aggregate, AGGREGATES)
        check_flag("enroll_training", self.enroll_training)
        items = check_items(self, X)
        labels = check_labels(y, len(items))
        classes, codes = encode(labels)
        if len(classes) < 2:
            raise InvalidDataError(
                "y must hold at least 2 classes, or there is nothing to compare; "
                f"got 1 class: {classes[0]!r}."
            )
        fit = Fitting(self, items, codes, check_groups(groups, codes))
        self.history_ = fit.run()
        self.input_shape_ = tuple(items.shape[1:])
        self.n_classes_trained_ = fit.n_classes
        self.device_, self.precision_ = fit.device, fit.line.precision
        self.backbone_, self.head_, self.loss_ = fit.line.backbone, fit.line.head, fit.line.loss
        self.gallery_ = Gallery(self.head_, self.aggregate)
        # What is not enrolled need not be embedded as a whole either.
        some = slice(None) if self.enroll_training else few_classes(codes, fit.seed)
        vectors, own_codes = self._embed(items[some]), torch.from_numpy(codes[some])
        self.calibration_ = calibrate(self.head_, vectors, own_codes, fit.seed)
        if self.enroll_training:
            self.gallery_.enroll(vectors, labels)

    # -- the gallery --------------------------------------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """Sorted classes now enrolled, shape (k,)."""
        check_is_fitted(self)
        return self.gallery_.classes

    def enroll(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Add examples to the gallery; nothing is trained.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
            Items of the shape seen in training.
        y : array-like, shape (n,)
            Class of each: a new one, or one that gets further examples.

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        ValueError
            If the items have another shape than in training or the labels do not fit; the
            gallery is then as it was.
        """
        items = self._check_items(X)
        labels = check_labels(y, len(items))
        self.gallery_.enroll(self._embed(items), labels)
        return self

    def forget(self, classes: ArrayLike) -> Self:
        """Remove classes, with all their examples, from the gallery.

        Parameters
        ----------
        classes : label or array-like of labels

        Returns
        -------
        SiameseClassifier
            Itself.

        Raises
        ------
        InvalidDataError
            If one of them is not enrolled; nothing is then forgotten.
        """
        check_is_fitted(self)
        self.gallery_.forget(np.atleast_1d(np.asarray(classes)))
        return self

    # -- use ----------------------------------------------------------------------------------

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return the embeddings of items, float32, shape (n, d)."""
        vectors: FloatArray = self._embed(self._check_items(X)).cpu().numpy()
        return vectors

    def similarity(self, A: ArrayLike, B: ArrayLike) -> FloatArray:
        """Return how surely items of `A` and of `B` are of one class.

        Parameters
        ----------
        A : array-like or Tensor, shape (m, …)
        B : array-like or Tensor, shape (n, …)

        Returns
        -------
        ndarray of float32, shape (m, n)
            In [0, 1]: the probability of *same*, by a logistic map of the head's score that was
            fitted on pairs of the training set, as many of one class as of two.
        """
        a = self._embed(self._check_items(A, "A"))
        b = self._embed(self._check_items(B, "B"))
        slope, intercept = self.calibration_
        with torch.inference_mode():
            probability = torch.sigmoid(slope * self.head_(a, b) + intercept)
        return probability.cpu().numpy()

    def predict(self, X: ArrayLike, classes: ArrayLike | None = None) -> np.ndarray:
        """Return the enrolled class that each item is most like.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)
        classes : array-like of labels, optional
            Choose among these only; among all enrolled classes by default.

        Returns
        -------
        ndarray, shape (n,)
            Of equally good classes the first in sorted order.

        Raises
        ------
        ValueError
            If items have another shape than in training, or one of `classes` is not enrolled.
        """
        candidates, scores = self._class_scores(X, classes)
        best: np.ndarray = candidates[scores.argmax(1).cpu().numpy()]
        return best

    def predict_proba(self, X: ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each enrolled class, if the item is of one of them.

        Parameters
        ----------
        X : array-like or Tensor, shape (n, …)

        Returns
        -------
        ndarray of float64, shape (n, k)
            Columns in the order of `classes_`; rows sum to 1. They are the softmax of the scores
            on the scale of `similarity`.
        """
        scores = self._class_scores(X, None)[1]
        return torch.softmax(self.calibration_[0] * scores.double(), dim=1).cpu().numpy()

    # -- saving -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that was fitted and enrolled to a folder (json and safetensors; no pickle).

        Parameters
        ----------
        path : path-like
            A new folder, or one saved before, which is replaced as a whole.

        Raises
        ------
        InvalidParameterError
            If `path` holds something else, or a label cannot be written.
        NotFittedError
            If there is nothing to save.
        """
        check_is_fitted(self)
        params = self.get_params(deep=False)
        specs = {a: _saving.encode_spec(KINDS.get(a), v) for a, v in params.items()}
        description = {
            "estimator": type(self).__name__,
            "params": specs,
            "fitted": {
                "input_shape": list(self.input_shape_),
                "calibration": list(self.calibration_),
                "precision": str(self.precision_).removeprefix("torch."),
                "history": dict(self.history_),
                "dim": int(self.gallery_.vectors.shape[1]),
                "n_classes_trained": self.n_classes_trained_,
            },
            "labels": _saving.encode_labels(self.gallery_.labels),
        }
        parts = {"backbone": self.backbone_, "head": self.head_, "loss": self.loss_}
        weights = {f"{a}.{n}": t for a, part in parts.items() for n, t in part.state_dict().items()}
        gallery = {"vectors": self.gallery_.vectors}
        _saving.write(Path(path), description, {"weights": weights, "gallery": gallery})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **parts: Any) -> Self:
        """Return the classifier that `save` wrote, on the device that its ``device`` names.

        Parameters
        ----------
        path : path-like
        **parts
            Arguments of the constructor that have no name in the registry (``backbone=MyNet()``),
            or that are to be replaced (``device="cpu"``).

        Raises
        ------
        SavedModelError
            If the folder is damaged, incomplete or of another version, or a part that has no name
            is not given.
        InvalidParameterError
            If `parts` names no argument of the constructor.
        """
        description, tensors = _saving.read(Path(path))
        unknown = set(parts) - set(cls._get_param_names())
        if unknown:
            raise InvalidParameterError(f"{sorted(unknown)} are no arguments of {cls.__name__}.")
        params = {
            argument: parts[argument]
            if argument in parts
            else _saving.decode_spec(argument, KINDS.get(argument), entry)
            for argument, entry in description["params"].items()
        }
        loaded = cls(**params)
        loaded._restore(description, tensors, Path(path))
        return loaded

    @classmethod
    def from_pretrained(cls, name: str = "omniglot", **parts: Any) -> Self:
        """Return a trained classifier that comes with the package; its gallery is empty.

        Parameters
        ----------
        name : str
            ``"omniglot"``: compares hand-drawn symbols, 28×28 pixels, ink bright on dark (see
            `siamesekit.data.resize`); enroll one example of each and predict. How it was made,
            and how good it is, stands in its card, ``siamesekit/pretrained/omniglot/CARD.md``.
        **parts
            As for `load`: ``device="cpu"``, say.

        Raises
        ------
        InvalidParameterError
            If there is no model of that name.

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
        names = sorted(path.parent.name for path in _PRETRAINED.glob("*/model.json"))
        check_choice("name", name, names)
        return cls.load(_PRETRAINED / name, **parts)

    def _restore(
        self,
        description: dict[str, Any],
        tensors: dict[str, dict[str, Tensor]],
        path: Path,
    ) -> None:
        fitted = description["fitted"]
        self.input_shape_ = tuple(fitted["input_shape"])
        if len(self.input_shape_) == 1:
            self.n_features_in_ = self.input_shape_[0]
        self.n_classes_trained_ = int(fitted["n_classes_trained"])
        self.calibration_ = tuple(fitted["calibration"])
        self.history_ = History(fitted["history"])
        self.device_ = resolve_device(self.device)
        line = make_line(self, self.input_shape_, self.n_classes_trained_, self.device_)
        self.precision_ = line.precision
        try:
            for argument in ("backbone", "head", "loss"):
                getattr(line, argument).load_state_dict(
                    {
                        name.removeprefix(f"{argument}."): tensor
                        for name, tensor in tensors["weights"].items()
                        if name.startswith(f"{argument}.")
                    }
                )
        except RuntimeError as error:
            raise SavedModelError(f"{path} was saved with other parts: {error}") from error
        line.eval()
        self.backbone_, self.head_, self.loss_ = line.backbone, line.head, line.loss
        self.gallery_ = Gallery(self.head_, self.aggregate)
        labels = _saving.decode_labels(description["labels"])
        self.gallery_.enroll(tensors["gallery"]["vectors"].to(self.device_), labels)

    # -- below the surface --------------------------------------------------------------------

    def _check_items(self, X: ArrayLike, name: str = "X") -> Tensor:
        check_is_fitted(self)
        return check_items(self, X, expected=self.input_shape_, name=name)

    def _embed(self, items: Tensor) -> Tensor:
        return embed_items(self.backbone_, items, self.device_, self.precision_)

    def _class_scores(self, X: ArrayLike, classes: ArrayLike | None) -> tuple[np.ndarray, Tensor]:
        queries = self._embed(self._check_items(X))
        scores = self.gallery_.class_scores(queries)
        candidates = self.gallery_.classes
        if classes is not None:
            chosen = np.unique(np.atleast_1d(np.asarray(classes)))
            columns = self.gallery_.positions_of(chosen)
            candidates, scores = candidates[columns], scores[:, torch.from_numpy(columns)]
        return candidates, scores
