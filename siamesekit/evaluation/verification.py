"""Verification: whether two items are of one class."""

import math
import sys
import time
from typing import Any

import numpy as np

from siamesekit._checks import check_integer, check_number
from siamesekit._types import ArrayLike
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import as_labels, check_both_kinds, checked_pairs
from siamesekit.evaluation.result import Result, wilson_interval

__all__ = ["best_threshold", "verification_accuracy"]


def best_threshold(scores: ArrayLike, same: ArrayLike) -> float:
    """Return the threshold at which most pairs are told right; choose it on validation pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Whether a pair is of one class.

    Returns
    -------
    float
        Half way between two scores, so that neither falls on it; of equally good thresholds the
        lowest. Pairs with a score above it are to be called *same*. Always finite. Where no float
        lies between two scores (cosines of duplicates, a bit apart) it is the lower of them.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or pairs of one kind only are given.
    """
    values, truth = checked_pairs(scores, same)
    check_both_kinds(truth)
    order = np.argsort(values, kind="stable")
    values, truth = values[order], truth[order]
    # Cutting before place k calls the first k different, and the others same.
    right = (
        np.concatenate([[0], np.cumsum(~truth)])
        + np.concatenate([[0], np.cumsum(truth[::-1])])[::-1]
    )
    between = np.concatenate(
        [[value_below(values[0]) < values[0]], values[1:] > values[:-1], [True]]
    )
    place = int(np.argmax(np.where(between, right, -1)))
    if place == 0:
        return value_below(float(values[0]))
    if place == len(values):
        return -value_below(-float(values[-1]))
    return value_between(float(values[place - 1]), float(values[place]))


def value_between(low: float, high: float) -> float:
    """Return the number half way, or `low` where no float lies between."""
    middle = (low + high) / 2 if math.isfinite(low + high) else low / 2 + high / 2
    return middle if low < middle < high else low


def value_below(value: float) -> float:
    """Return a finite number below `value`, 1 below where floats are so fine; or the least."""
    lower = min(value - 1.0, math.nextafter(value, -math.inf))
    return max(lower, -sys.float_info.max)


def verification_accuracy(
    scores: ArrayLike,
    same: ArrayLike,
    threshold: float,
    *,
    seed: int | None = None,
    name: str = "verification",
    classes: ArrayLike | None = None,
    estimator: Any = None,
) -> Result:
    """Return the share of pairs told right at a threshold that was chosen on other pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    threshold : float
        From `best_threshold` on validation pairs; finite. A pair is called *same* where its score
        lies above it.
    seed : int, optional
        With which the pairs were drawn.
    name : str
    classes : array-like of labels, optional
        The classes that the pairs are of.
    estimator : fitted estimator, optional
        Whose scores they are; with `classes`. A class that it was trained on, or that chose its
        epoch, is refused.

    Returns
    -------
    Result
        With Wilson's interval over pairs; pairs that share an image are not quite independent.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or there is no pair.
    InvalidParameterError
        If `threshold` is no finite number, or `estimator` is given without `classes`.
    LeakageError
        If `estimator` has seen one of `classes`.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015, §4.2.
    """
    start = time.perf_counter()
    values, truth = checked_pairs(scores, same)
    cut = check_number("threshold", threshold)
    own = None if classes is None else as_labels(classes, None, "classes", "label a class")
    facts = facts_of(estimator, own)
    right = (values > cut) == truth
    share = float(truth.mean())
    return Result(
        name=name,
        value=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(right)),
        n_episodes=1,
        n_trials=len(right),
        chance=max(share, 1 - share),
        seed=seed if seed is None else check_integer("seed", seed, low=0),
        seconds=time.perf_counter() - start,
        task="verification",
        parameters={"threshold": cut, "share_same": share},
        tested_classes=facts.tested,
        trained_classes=facts.trained,
        chosen_classes=facts.chosen,
        model=facts.model,
    )
