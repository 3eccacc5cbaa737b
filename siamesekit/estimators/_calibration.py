"""The map from a head's score to the probability of *same*."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.evaluation import fit_calibration
from siamesekit.heads import Head

__all__ = ["calibrate", "few_classes"]

_PAIRS = 10_000
_ITEMS = 4_000


def calibrate(head: Head, vectors: Tensor, codes: Tensor, seed: int) -> tuple[float, float]:
    """Return slope and intercept of the logistic map from a score to P(same).

    A learned head gives logits already: ``(1, 0)``. For a fixed head they are fitted (Platt
    scaling) to pairs drawn from the training set, as many of one class as of two.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (n, d)
    codes : Tensor of int64, shape (n,)
        Class of each.
    seed : int
    """
    if head.gives == "logit":
        return 1.0, 0.0
    i, j = _draw_pairs(codes, torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        scores = head.pairs(vectors[i], vectors[j]).cpu()
    return fit_calibration(scores.numpy(), (codes[i] == codes[j]).numpy())


def few_classes(codes: IntArray, seed: int, n_items: int = _ITEMS) -> IntArray:
    """Return positions of the items of whole classes, drawn at random: two classes at least.

    Parameters
    ----------
    codes : ndarray of int64, shape (n,)
        Class of each item, ``0 .. k - 1``.
    seed : int
    n_items : int
        About how many; the default is enough to calibrate.
    """
    order = np.random.default_rng(seed).permutation(codes.max() + 1)
    filled = np.bincount(codes)[order].cumsum()
    n_classes = max(2, int(np.searchsorted(filled, n_items)))
    chosen: IntArray = np.flatnonzero(np.isin(codes, order[:n_classes]))
    return chosen


def _draw_pairs(codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return positions of pairs, half of one class where there are any, never of one item."""
    n = len(codes)
    order = torch.argsort(codes, stable=True)
    sizes = torch.bincount(codes)
    starts = torch.cumsum(sizes, 0) - sizes
    i = torch.randint(n, (_PAIRS,), generator=generator)
    size, start = sizes[codes[i]], starts[codes[i]]
    position = torch.empty_like(order)
    position[order] = torch.arange(n)
    # Step 1 .. size - 1 places on within the class, so that an item never meets itself.
    step = 1 + (torch.rand(_PAIRS, generator=generator) * (size - 1)).long()
    mate = order[start + (position[i] - start + step) % size]
    alone = size < 2
    j = torch.randint(n, (_PAIRS,), generator=generator)
    differ = codes[i] != codes[j]
    return torch.cat([i[~alone], i[differ]]), torch.cat([mate[~alone], j[differ]])
