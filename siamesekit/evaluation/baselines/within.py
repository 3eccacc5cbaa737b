"""The cosine after within-class covariance normalisation."""

import numpy as np
import torch
from torch import Tensor

from siamesekit.backbones._within import WithinSpread, within_spread
from siamesekit.evaluation.baselines.base import Baseline
from siamesekit.evaluation.baselines.cosine import cosine_similarity

__all__ = ["WCCN"]

_SHRINKAGE = 0.5


class WCCN(Baseline):
    """The cosine where items of one class spread alike in all directions.

    Differences from the mean, with length 1, times the symmetric root of ``W⁻¹``: `W` is their
    covariance within the background's classes [1]_, half of it replaced by the mean variance.

    References
    ----------
    .. [1] A. Hatch, S. Kajarekar, A. Stolcke, "Within-class covariance normalization for SVM-based
       speaker recognition", Interspeech 2006, eq. 10.
    """

    name = "wccn"
    most_features = 4096

    def learn(self, vectors: np.ndarray, codes: np.ndarray) -> None:  # noqa: D102
        self._mean = vectors.mean(0)
        unit = torch.from_numpy(self._directions(vectors))
        self._spread: WithinSpread | None = within_spread(unit, torch.from_numpy(codes))

    def embed(self, vectors: np.ndarray) -> np.ndarray:  # noqa: D102
        unit = self._directions(vectors)
        if self._spread is None:
            return unit
        return self._spread.whiten(torch.from_numpy(unit), _SHRINKAGE).numpy()

    def compare(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return cosine_similarity(a, b)

    def _directions(self, vectors: np.ndarray) -> np.ndarray:
        centred = vectors - self._mean
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        unit: np.ndarray = centred / np.where(length > 0, length, 1.0)
        return unit
