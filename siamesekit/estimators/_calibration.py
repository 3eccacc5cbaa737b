"""The map from a score to the probability of *same*: what it is fitted on, how good it is."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation import (
    CalibrationReport,
    cllr,
    fit_calibration,
    min_cllr,
    reliability_curve,
)
from siamesekit.heads import Head
from siamesekit.training import TrainingHealthWarning

__all__ = [
    "HELD_OUT",
    "TRAINING",
    "Maps",
    "ScoredPairs",
    "calibrate",
    "calibration_report",
    "check_pairs_at_hand",
    "few_classes",
    "items_to_calibrate_on",
    "maps_of",
    "score_pairs",
    "scored_pairs",
]

HELD_OUT = "held-out classes"
"""What a map was fitted on if training did not see the classes."""
TRAINING = "training classes"

_PAIRS = 10_000
"""Pairs of each kind; fewer of embeddings so long that these would take a minute."""
_FEWEST_PAIRS = 1_000
_NUMBERS_IN_ALL = 2**28
_ITEMS = 4_000
_NUMBERS = 2**22
"""Numbers of embeddings that pairs hold at once: 16 MB."""


def items_to_calibrate_on(codes: IntArray, held_out: np.ndarray) -> tuple[IntArray, str]:
    """Return positions of the items whose pairs fit the map, and what to call them.

    Held-out classes where they make pairs of both kinds: what was trained on is told apart better
    than what will be asked for, so that its map is too sure. How few they may be is looked after
    by the map, which is no surer than their number allows.

    Parameters
    ----------
    codes : ndarray of int64, shape (n,)
        Class of each item.
    held_out : ndarray of bool, shape (n,)
    """
    sizes = np.unique(codes[held_out], return_counts=True)[1]
    enough = len(sizes) >= 2 and sizes.max() >= 2
    return np.flatnonzero(held_out if enough else ~held_out), HELD_OUT if enough else TRAINING


class ScoredPairs(NamedTuple):
    """Pairs of embedded items, their scores and who they are of.

    Attributes
    ----------
    scores : ndarray of float64, shape (p,)
    same : ndarray of bool, shape (p,)
    first, second : ndarray of int64, shape (p,)
        Code of the class of each item: numbers, no names.
    """

    scores: np.ndarray
    same: np.ndarray
    first: IntArray
    second: IntArray


class Maps(NamedTuple):
    """From scores to probabilities, for two questions.

    Attributes
    ----------
    same : tuple of float
        Slope and intercept of the logistic map to P(same), of any two items.
    slope : float
        By which scores are multiplied before the softmax over enrolled classes.
    """

    same: tuple[float, float]
    slope: float


def calibrate(head: Head, vectors: Tensor, codes: Tensor, seed: int) -> Maps:
    """Return the maps from a score to P(same), and to the probability of an enrolled class.

    They are fitted (Platt scaling) to pairs of the items, as many of one class as of two: whatever
    the head gives, the share of same pairs that training happened to see is no matter. Of classes
    never seen the first can be no surer than the number of classes allows. The second is asked of
    new items of classes that are known, of which every item tells something, and so can be as
    sure as the number of items allows.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (n, d)
    codes : Tensor of int64, shape (n,)
        Class of each.
    seed : int

    Warns
    -----
    TrainingHealthWarning
        If no class has two items, so that nothing is known of same pairs.
    """
    pairs = scored_pairs(head, vectors, codes, seed)
    if not pairs.same.any():
        warnings.warn(
            "No class that similarity could be calibrated on has two items, so it says about one "
            "half of all pairs; calibrate(X, y) takes others.",
            TrainingHealthWarning,
            stacklevel=5,
        )
    return maps_of(pairs.scores, pairs.same, len(torch.unique(codes)), len(codes))


def maps_of(scores: np.ndarray, same: np.ndarray, n_classes: int, n_items: int) -> Maps:
    """Return the maps that fit scores of pairs, each as sure as its number of trials allows."""
    if len(scores) == 0:
        scores, same = np.zeros(1), np.zeros(1, dtype=bool)
    own = fit_calibration(scores, same, n_classes=n_classes)
    return Maps(own, fit_calibration(scores, same, n_classes=n_items)[0])


def calibration_report(
    head: Head, vectors: Tensor, codes: Tensor, calibration: tuple[float, float], **facts: Any
) -> CalibrationReport:
    """Return how good the probabilities of a map are on pairs of the items.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (n, d)
    codes : Tensor of int64, shape (n,)
    calibration : tuple of float
        Slope and intercept.
    **facts
        The other fields of the report.
    """
    scores, same = scored_pairs(head, vectors, codes, seed=0)[:2]
    llr = calibration[0] * scores + calibration[1]
    probability = 1 / (1 + np.exp(-np.clip(llr, -700, 700)))
    cost = cllr(llr, same)
    bins = reliability_curve(probability, same)
    return CalibrationReport(
        cllr=cost,
        min_cllr=min_cllr(scores, same),
        log_loss=cost * math.log(2),
        probability_same=float(probability[same].mean()),
        probability_different=float(probability[~same].mean()),
        reliability=tuple(
            zip(
                bins.probability.tolist(),
                bins.share.tolist(),
                (bins.n_same + bins.n_different).tolist(),
                strict=True,
            )
        ),
        n_same=int(same.sum()),
        n_different=int((~same).sum()),
        **facts,
    )


def check_pairs_at_hand(codes: IntArray) -> None:
    """Raise `InvalidDataError` unless there are pairs of one class and of two."""
    sizes = np.bincount(codes)
    if len(sizes) < 2 or sizes.max() < 2:
        raise InvalidDataError(
            "y must hold at least 2 classes, one of them of 2 items, to make pairs of both kinds; "
            f"got {len(sizes)} class(es) of at most {sizes.max()} item(s)."
        )


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


def scored_pairs(
    head: Head, vectors: Tensor, codes: Tensor, seed: int, most: int | None = None
) -> ScoredPairs:
    """Return pairs of embedded items: some that are drawn, or all where those are few.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (n, d)
    codes : Tensor of int64, shape (n,)
        Class of each.
    seed : int
    most : int, optional
        All pairs are returned where they are at most so many, and else so many of each kind are
        drawn. By default pairs are always drawn.
    """
    codes = codes.cpu()
    n, dim = len(codes), max(1, vectors.shape[1])
    if most is not None and n * (n - 1) // 2 <= most:
        i, j = torch.triu_indices(n, n, offset=1)
    else:
        n_pairs = min(most or _PAIRS, max(_FEWEST_PAIRS, _NUMBERS_IN_ALL // dim))
        i, j = _draw_pairs(codes, n_pairs, torch.Generator().manual_seed(seed))
    scores = score_pairs(head, vectors, i, j)
    # Embeddings are finite, but two far ones may be infinitely far from each other.
    finite = np.isfinite(scores)
    first, second = codes[i].numpy()[finite], codes[j].numpy()[finite]
    return ScoredPairs(scores[finite], first == second, first, second)


def score_pairs(head: Head, vectors: Tensor, i: Tensor, j: Tensor) -> np.ndarray:
    """Return the scores of embeddings `i` against `j`, row by row, in blocks.

    Parameters
    ----------
    head : Head
    vectors : Tensor of float32, shape (n, d)
    i, j : Tensor of int64, shape (p,)
        Positions in `vectors`.

    Returns
    -------
    ndarray of float64, shape (p,)
    """
    # Two embeddings a pair, and about as much for their comparison.
    rows = max(1, _NUMBERS // max(1, vectors.shape[1]))
    # Made beforehand: small results between the large blocks would keep the memory of all of them.
    scores = np.empty(len(i))
    with torch.inference_mode():
        for start in range(0, len(i), rows):
            a, b = (side[start : start + rows].to(vectors.device) for side in (i, j))
            scores[start : start + rows] = head.pairs(vectors[a], vectors[b]).cpu()
    return scores


def _draw_pairs(codes: Tensor, n_pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return positions of pairs, half of one class where there are any, never of one item."""
    n = len(codes)
    order = torch.argsort(codes, stable=True)
    sizes = torch.bincount(codes)
    starts = torch.cumsum(sizes, 0) - sizes
    i = torch.randint(n, (n_pairs,), generator=generator)
    size, start = sizes[codes[i]], starts[codes[i]]
    position = torch.empty_like(order)
    position[order] = torch.arange(n)
    # Step 1 .. size - 1 places on within the class, so that an item never meets itself.
    step = 1 + (torch.rand(n_pairs, generator=generator) * (size - 1)).long()
    mate = order[start + (position[i] - start + step) % size]
    alone = size < 2
    j = torch.randint(n, (n_pairs,), generator=generator)
    differ = codes[i] != codes[j]
    return torch.cat([i[~alone], i[differ]]), torch.cat([mate[~alone], j[differ]])
