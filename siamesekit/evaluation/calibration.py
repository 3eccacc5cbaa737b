"""From a head's score to the probability of *same*, and how good such probabilities are."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
from scipy.special import xlog1py, xlogy
from sklearn.isotonic import isotonic_regression

from siamesekit._checks import check_integer
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._bootstrap import Estimate, Weights, identity_estimate
from siamesekit.evaluation._facts import Label, json_of
from siamesekit.evaluation._inputs import (
    as_array,
    check_both_kinds,
    checked_pairs,
    checked_probabilities,
)
from siamesekit.evaluation.error_rates import Identities, member_codes

__all__ = ["CalibrationReport", "cllr", "fit_calibration", "log_loss", "min_cllr"]

Floats = npt.NDArray[np.float64]

# The slope, on standardised scores, of a map that knows nothing: the order of scores is kept, and
# all is about one half.
_NEARLY_FLAT = 1e-3
_STEPS = 100
_RESAMPLES = 1000


def fit_calibration(
    scores: ArrayLike, same: ArrayLike, *, n_classes: int | None = None
) -> tuple[float, float]:
    r"""Fit ``P(same) = 1 / (1 + exp(-(slope * score + intercept)))`` (Platt scaling [1]_).

    Both kinds of pair weigh the same in total, whatever their numbers, so that the logarithm of
    the odds is the logarithm of a likelihood ratio.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Whether a pair is of one class.
    n_classes : int, optional
        Classes that the pairs are of, at least 1. Many pairs of few classes say little about
        others, so the map is no surer than ``c`` classes allow: its targets are
        ``(c + 1) / (c + 2)`` and ``1 / (c + 2)`` in place of 1 and 0. Default: as many as pairs of
        a kind, which is Platt's rule.

    Returns
    -------
    slope, intercept : float
        The slope is positive, so that the order of scores is kept. Where scores tell nothing (or
        the wrong way round), or only one kind of pair is given, it is so small that every
        probability is about one half; of equal scores, all exactly one half.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, `same` holds anything but True and False or 1
        and 0, or there is no pair.
    InvalidParameterError
        If `n_classes` is no integer of at least 1.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin
       Classifiers, 1999.
    """
    values, truth = checked_pairs(scores, same)
    if n_classes is not None:
        check_integer("n_classes", n_classes, low=1)
    # In units of the largest first: squares of very large or small numbers are no floats.
    unit = float(np.abs(values).max()) or 1.0
    centre = float((values / unit).mean())
    scale = float((values / unit).std())
    if scale < 1e-12:
        return _on_scores(_NEARLY_FLAT, 0.0, centre * unit, 1.0)
    standard = (values / unit - centre) / scale
    slope, intercept = _NEARLY_FLAT, 0.0
    if truth.any() and not truth.all():
        fitted, bias = _platt(standard, truth, n_classes)
        if fitted > _NEARLY_FLAT:
            slope, intercept = fitted, bias
    return _on_scores(slope, intercept, centre * unit, scale * unit)


@overload
def cllr(llr: ArrayLike, same: ArrayLike) -> float: ...


@overload
def cllr(
    llr: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities,
    n_resamples: int = ...,
    random_state: RandomState = ...,
) -> Estimate: ...


def cllr(
    llr: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> float | Estimate:
    r"""Return the cost of log-likelihood ratios, in bits [1]_.

    .. math:: C_{llr} = \tfrac{1}{2} \left(
        \overline{\log_2 (1 + e^{-l})}_{same} + \overline{\log_2 (1 + e^{l})}_{different} \right)

    0 is perfect; 1 is what always saying "one half" costs; surely wrong costs without bound. It
    charges for errors of order and of size: `min_cllr` is the part that no better map of the
    scores could take away.

    Parameters
    ----------
    llr : array-like or Tensor of float, shape (n,)
        Natural logarithms of likelihood ratios: ``slope * score + intercept`` of
        `fit_calibration`, or ``log(P / (1 - P))`` of a probability for as many pairs of one class
        as of two. Infinite where P is 0 or 1.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Both kinds are needed; each weighs one half.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair, for an interval, which resamples
        them.
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    float, or Estimate
        At least 0; infinite if an infinite ratio is wrong. With its interval where there are
        `identities`.

    Raises
    ------
    InvalidDataError
        If lengths differ, a ratio is NaN, pairs of one kind only are given, or `identities`
        contradict `same`.

    References
    ----------
    .. [1] N. Brümmer, J. du Preez, "Application-independent evaluation of speaker detection",
       Computer Speech and Language 20, 2006.
    """
    values, truth = _ratios(llr, same)
    check_both_kinds(truth)
    # log(1 + e^-l) for same, log(1 + e^l) for different, without overflow.
    bits = np.logaddexp(0.0, np.where(truth, -values, values)) / math.log(2)

    def cost(weights: Weights) -> float:
        balanced = _balanced(weights, truth)
        # Nothing times infinity is nothing here.
        return float(np.where(balanced > 0, bits, 0.0) @ balanced)

    return _cost_estimate(cost, truth, identities, n_resamples, random_state)


@overload
def min_cllr(scores: ArrayLike, same: ArrayLike) -> float: ...


@overload
def min_cllr(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities,
    n_resamples: int = ...,
    random_state: RandomState = ...,
) -> Estimate: ...


def min_cllr(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> float | Estimate:
    """Return the least `cllr` that any rising map of the scores has on these very pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike; of any scale.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    identities, n_resamples, random_state
        As for `cllr`.

    Returns
    -------
    float, or Estimate
        In [0, 1], by isotonic regression (pool adjacent violators).

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, pairs of one kind only are given, or `identities`
        contradict `same`.
    """
    values, truth = checked_pairs(scores, same)
    check_both_kinds(truth)
    # By rank: only the order counts, and neighbouring floats would be one to the regression.
    ranks = np.unique(values, return_inverse=True)[1]

    def cost(weights: Weights) -> float:
        balanced = _balanced(weights, truth)
        every = np.bincount(ranks, balanced)
        alike = np.bincount(ranks, np.where(truth, balanced, 0.0))[every > 0]
        every = every[every > 0]
        share = isotonic_regression(alike / every, sample_weight=every, y_min=0.0, y_max=1.0)
        unlike = np.maximum(every - alike, 0.0)
        return float((xlogy(alike, share) + xlog1py(unlike, -share)).sum() / -math.log(2))

    return _cost_estimate(cost, truth, identities, n_resamples, random_state)


def _balanced(weights: Weights, truth: npt.NDArray[np.bool_]) -> Weights:
    """Return weights of pairs whose kinds weigh one half each; NaN where one weighs nothing."""
    same, other = weights[truth].sum(), weights[~truth].sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        balanced: Weights = weights * np.where(truth, 0.5 / same, 0.5 / other)
    return balanced


def _cost_estimate(
    cost: Callable[[Weights], float],
    truth: npt.NDArray[np.bool_],
    identities: Identities | None,
    n_resamples: int,
    random_state: RandomState,
) -> float | Estimate:
    """Return a cost of at least 0, with its interval where there are identities."""
    value = max(0.0, cost(np.ones(len(truth))))
    if identities is None:
        return value

    def share(weights: Weights) -> float:
        own = weights[truth].sum() > 0 and weights[~truth].sum() > 0
        found = max(0.0, cost(weights)) if own else math.nan
        # Onto [0, 1], where intervals are made; that changes no order.
        return 1.0 if found == math.inf else found / (1 + found)

    estimate = identity_estimate(
        share,
        member_codes(identities, truth),
        n_resamples=n_resamples,
        random_state=random_state,
    )
    assert estimate.interval is not None
    low, high = (end / (1 - end) if end < 1 else math.inf for end in estimate.interval)
    return Estimate(value, (low, high))


def log_loss(probability: ArrayLike, same: ArrayLike) -> float:
    """Return the mean of minus the logarithm of the probability that was given to what is true.

    Parameters
    ----------
    probability : array-like or Tensor of float in [0, 1], shape (n,)
        Of *same*.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Every pair weighs the same, as scikit-learn's ``log_loss`` has it; for a figure that does
        not depend on how many of the pairs are of one class, see `cllr`.

    Returns
    -------
    float
        In nats: log 2 = 0.693 is what always saying "one half" costs. Infinite if a certainty is
        wrong.

    Raises
    ------
    InvalidDataError
        If lengths differ, or a probability lies outside [0, 1].
    """
    values, truth = checked_probabilities(probability, same)
    with np.errstate(divide="ignore"):
        loss = -np.where(truth, np.log(values), np.log1p(-values))
    return float(loss.mean())


class CalibrationReport(NamedTuple):
    """How good probabilities of *same* are on pairs of classes that training did not see.

    Attributes
    ----------
    cllr : float
        In bits; see `siamesekit.evaluation.cllr`. 1 is what knowing nothing costs.
    min_cllr : float
        Its part that is the scores' and not the map's: `siamesekit.evaluation.min_cllr`.
    log_loss : float
        In nats, both kinds of pair weighing one half; log 2 is what knowing nothing costs.
    probability_same, probability_different : float
        Mean probability of *same* of the pairs of one class, and of those of two.
    reliability : tuple of (float, float, int)
        For each tenth of [0, 1] that holds pairs: mean probability, share of pairs of one class
        (both kinds weighing one half), number of pairs.
    n_same, n_different : int
        Pairs of each kind.
    source : str
        What the map was fitted on: the estimator's ``calibration_source_``.
    tested_classes, trained_classes, chosen_classes : tuple, or None
        As in `Result`.
    """

    cllr: float
    min_cllr: float
    log_loss: float
    probability_same: float
    probability_different: float
    reliability: tuple[tuple[float, float, int], ...]
    n_same: int
    n_different: int
    source: str
    tested_classes: tuple[Label, ...] | None
    trained_classes: tuple[Label, ...] | None
    chosen_classes: tuple[Label, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as json can hold them."""
        plain: dict[str, Any] = json_of(self._asdict())
        return plain


def _platt(
    standard: Floats, truth: npt.NDArray[np.bool_], n_classes: int | None
) -> tuple[float, float]:
    """Return slope and intercept by Newton's method on Platt's smoothed targets."""
    n_same, n_different = int(truth.sum()), int((~truth).sum())
    known = (n_same, n_different) if n_classes is None else (n_classes, n_classes)
    high, low = (known[0] + 1) / (known[0] + 2), 1 / (known[1] + 2)
    target = np.where(truth, high, low)
    weights = np.where(truth, 0.5 / n_same, 0.5 / n_different)
    design = np.stack([standard, np.ones_like(standard)], axis=1)

    def loss(parameters: Floats) -> float:
        logits = design @ parameters
        return float(weights @ (np.logaddexp(0.0, logits) - target * logits))

    parameters = np.array([0.0, 0.0])
    best = loss(parameters)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ parameters, -700, 700)))
        gradient = design.T @ (weights * (probability - target))
        curvature = weights * np.maximum(probability * (1 - probability), 1e-12)
        step = np.linalg.solve(
            design.T @ (curvature[:, None] * design) + 1e-10 * np.eye(2), gradient
        )
        # Half as far while it does not help: the map is convex, Newton's step may overshoot.
        while (nearer := loss(parameters - step)) > best and np.abs(step).max() > 1e-9:
            step = step / 2
        if nearer >= best:
            break
        parameters, best = parameters - step, nearer
    return float(parameters[0]), float(parameters[1])


def _on_scores(slope: float, intercept: float, centre: float, scale: float) -> tuple[float, float]:
    """Return the map of scores, from that of standardised ones; both numbers finite."""
    largest = np.finfo(np.float64).max
    own = min(max(slope / scale, np.finfo(np.float64).tiny), 1e300)
    return own, float(np.clip(intercept - own * centre, -largest, largest))


def _ratios(llr: ArrayLike, same: ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    given = as_array(llr, "llr")
    finite = given
    if given.dtype.kind == "f":
        if np.isnan(given).any():
            raise InvalidDataError("llr must not hold NaN.")
        finite = np.where(np.isfinite(given), given, 0.0)
    values, truth = checked_pairs(finite, same)
    return (given.astype(np.float64) if given.dtype.kind == "f" else values), truth
