"""The score that training on given pairs is watched by: the area under the ROC of held-out ones."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.evaluation.error_rates import roc_auc
from siamesekit.training import Items, TrainingLine, embed_items

__all__ = ["PairValidation"]


class PairValidation:
    """From a training line to the area under the ROC curve of pairs, the same at every call.

    Parameters
    ----------
    items : Tensor of uint8, bool or float32, or Items, shape (n, c, h, w) or (n, f)
    first, second : ndarray of int64, shape (p,)
        Positions of the items of each pair.
    same : ndarray of bool, shape (p,)
        Of both kinds.
    """

    # The same items in every process, so that each may embed a share of them.
    jointly = True

    def __init__(
        self, items: Tensor | Items, first: IntArray, second: IntArray, same: np.ndarray
    ) -> None:
        self.items = items
        self.first, self.second, self.same = first, second, same

    def __call__(self, line: TrainingLine) -> float:
        """Return the area of a line in ``eval()`` mode, in [0, 1].

        Raises
        ------
        InvalidDataError
            If a score is not finite.
        """
        device = next((parameter.device for parameter in line.parameters()), self.items.device)
        vectors = embed_items(line.backbone, self.items, device, line.precision)
        i, j = (torch.from_numpy(side).to(vectors.device) for side in (self.first, self.second))
        with torch.inference_mode():
            scores = line.head.pairs(vectors[i], vectors[j])
        return roc_auc(scores, self.same).value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.same)} pairs of {len(self.items)} items)"
