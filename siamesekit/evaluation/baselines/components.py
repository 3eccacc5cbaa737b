"""Neighbourhood components analysis."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from siamesekit.evaluation.baselines.base import Baseline
from siamesekit.evaluation.baselines.discriminant import minus_distance

__all__ = ["NCA"]

_COMPONENTS = 32
_STEPS = 30


class NCA(Baseline):
    """Minus the distance after a linear map under which nearest neighbours are of one class.

    By scikit-learn, on standardised features: 32 components of 256 features at most, learned from
    512 items at most in 30 steps, because each takes the square of the items times the features.
    """

    name = "nca"
    most_items = 512
    most_features = 256

    def learn(self, vectors: np.ndarray, codes: np.ndarray) -> None:  # noqa: D102
        self._scale = StandardScaler().fit(vectors)
        self._nca = NeighborhoodComponentsAnalysis(
            min(vectors.shape[1], _COMPONENTS),
            init="pca" if vectors.shape[1] <= len(vectors) else "random",
            max_iter=_STEPS,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            # So few steps may not reach the end; that is what they cost.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._nca.fit(self._scale.transform(vectors), codes)

    def embed(self, vectors: np.ndarray) -> np.ndarray:  # noqa: D102
        embedded: np.ndarray = self._nca.transform(self._scale.transform(vectors))
        return embedded

    def compare(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return minus_distance(a, b)
