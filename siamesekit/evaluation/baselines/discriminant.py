"""Linear discriminant analysis with shrinkage."""

from typing import Any

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from siamesekit.evaluation.baselines.base import Baseline

__all__ = ["LDA", "minus_distance"]

# Directions that are kept of the data: the analysis takes their number to the third power.
_DIRECTIONS = 512
# Share of the largest variance that rounding alone may make.
_NO_SPREAD = 1e-9


def minus_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return minus the Euclidean distances of all of `a`, (m, e), to all of `b`, (n, e)."""
    return -torch.cdist(a, b)


class LDA(Baseline):
    """Minus the distance in the space of linear discriminants of the background's classes.

    By scikit-learn, with the covariance within classes shrunk by Ledoit and Wolf's formula
    (``shrinkage="auto"``); of more than 512 features so many principal components at most.
    """

    name = "lda"
    most_features = 4096

    def learn(self, vectors: np.ndarray, codes: np.ndarray) -> None:  # noqa: D102
        most = min(vectors.shape)
        self._pca: PCA | None = None
        if vectors.shape[1] > _DIRECTIONS:
            self._pca = PCA(min(most, _DIRECTIONS), random_state=self.random_state).fit(vectors)
            vectors = self._directions(vectors)
        self._scale = float(vectors.std()) or 1.0
        # Shrunk towards the features' own variances; components of none are not to be raised.
        how: dict[str, Any] = {"shrinkage": "auto"}
        if self._pca is not None:
            how = {"covariance_estimator": LedoitWolf()}
        self._lda = LinearDiscriminantAnalysis(solver="eigen", **how)
        self._lda.fit(vectors / self._scale, codes)

    def embed(self, vectors: np.ndarray) -> np.ndarray:  # noqa: D102
        if self._pca is not None:
            vectors = self._directions(vectors)
        embedded: np.ndarray = self._lda.transform(vectors / self._scale)
        return embedded

    def _directions(self, vectors: np.ndarray) -> np.ndarray:
        assert self._pca is not None
        spread = self._pca.explained_variance_
        # Of n items there are n - 1 directions at most; the shrunk covariance, which is of
        # standardised features, would take the rounding in the others for what counts most.
        varies = spread > _NO_SPREAD * spread.max()
        directions: np.ndarray = self._pca.transform(vectors)[:, varies]
        return directions

    def compare(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return minus_distance(a, b)
