"""What every baseline is."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, NotBuiltError
from siamesekit.evaluation._inputs import as_labels, as_numbers, label_codes

__all__ = ["Baseline", "check_vectors"]

_ROWS = 4096


class Baseline(ABC):
    """Fitted to background classes in closed form or not at all; then it scores items.

    It is called as a head is, ``baseline(a, b)``, and so serves as a ``scorer``; and it knows by
    ``trained_classes_`` which classes it has seen, so that an evaluation that gets it as its
    ``estimator`` refuses these. Subclasses write `compare` and, where they learn something,
    `learn` and `embed`.

    Parameters
    ----------
    random_state : int
        Of what is drawn: which items are looked at where there are too many.

    Attributes
    ----------
    name : str
        In the table `siamesekit.evaluation.baselines.BASELINES`.
    most_items, most_features : int or None
        It is fitted to so many items at most, drawn from those given; and `suits` no more features.
    n_features_ : int
    trained_classes_ : ndarray, shape (k,)
    chosen_classes_ : None
    """

    name: ClassVar[str]
    most_items: ClassVar[int] = 4096
    most_features: ClassVar[int | None] = None

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = check_integer("random_state", random_state, low=0)
        self.trained_classes_: np.ndarray | None = None
        self.chosen_classes_: np.ndarray | None = None

    def suits(self, X: ArrayLike) -> bool:
        """Return whether the baseline means something for such items, and costs seconds at most.

        Parameters
        ----------
        X : array-like, shape (n, …)
        """
        features = int(np.prod(np.shape(X)[1:]))
        return self.most_features is None or features <= self.most_features

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn what there is to learn from background classes.

        Parameters
        ----------
        X : array-like of number, shape (n, …)
            Items; images count as the vectors of their pixels.
        y : array-like, shape (n,)
            Class of each; at least two.

        Returns
        -------
        Baseline
            Itself.

        Raises
        ------
        InvalidDataError
            If a number is not finite, lengths differ, or there is one class.
        """
        vectors = _flat(X, "X")
        labels = as_labels(y, len(vectors), "y", "label an item")
        codes = label_codes(labels)[0]
        first = np.unique(codes, return_index=True)[1]
        if len(first) < 2:
            raise InvalidDataError("y must hold at least 2 classes; got one.")
        some = np.arange(len(codes))
        if len(codes) > self.most_items:
            drawn = np.random.default_rng(self.random_state).permutation(some)
            some = np.sort(drawn[: self.most_items])
        self.learn(vectors[some], np.unique(codes[some], return_inverse=True)[1])
        self.n_features_ = vectors.shape[1]
        self.trained_classes_ = labels[first]
        return self

    def transform(self, X: ArrayLike) -> Tensor:
        """Return what is compared of items, float32, shape (n, e).

        Raises
        ------
        NotBuiltError
            If `fit` was not called.
        InvalidDataError
            If a number is not finite, or items have another number of features than in `fit`.
        """
        if self.trained_classes_ is None:
            raise NotBuiltError(f"{type(self).__name__}: call fit(X, y) first.")
        vectors = _flat(X, "X")
        if vectors.shape[1] != self.n_features_:
            raise InvalidDataError(
                f"X must hold items of {self.n_features_} features, as in fit; "
                f"got {vectors.shape[1]}."
            )
        blocks = [self.embed(vectors[k : k + _ROWS]) for k in range(0, max(1, len(vectors)), _ROWS)]
        return torch.from_numpy(np.concatenate(blocks)).float()

    def __call__(self, a: ArrayLike, b: ArrayLike) -> Tensor:
        """Return the scores of all items `a` with all of `b`, (m, n), higher = more alike."""
        return self.compare(self.transform(a), self.transform(b))

    def learn(self, vectors: np.ndarray, codes: IntArray) -> None:
        """Learn from vectors of float64, shape (n, d), and their classes; by default nothing."""
        return

    def embed(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, d) of float64 as they are compared, shape (n, e)."""
        return vectors

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores (m, n) of what `transform` returned, (m, e) and (n, e)."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as an evaluation notes them."""
        return {"random_state": self.random_state}


def _flat(X: ArrayLike, name: str) -> np.ndarray:
    numbers = as_numbers(X, name)
    if numbers.ndim < 2:
        raise InvalidDataError(f"{name} must hold items of shape (n, …); got {numbers.shape}.")
    return numbers.reshape(len(numbers), -1)


def check_vectors(a: object, b: object) -> None:
    """Raise `InvalidDataError` unless both are dense tensors of shape (n, d)."""
    for name, vectors in {"a": a, "b": b}.items():
        if not isinstance(vectors, Tensor) or vectors.ndim != 2 or vectors.layout != torch.strided:
            got = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
            raise InvalidDataError(f"{name} must be a dense tensor of shape (n, d); got {got}.")
