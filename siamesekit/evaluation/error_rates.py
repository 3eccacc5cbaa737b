"""Error rates of verification over all thresholds, and the figures that are read off them.

The words are those of ISO/IEC 19795-1: two items *match* at threshold ``t`` if their score is at
least ``t``; the false match rate (FMR, also FAR or FPR) is the share of pairs of two classes that
match, the false non-match rate (FNMR, also FRR) the share of pairs of one class that do not.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._checks import check_number
from siamesekit._promise import drawn_people
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._bootstrap import (
    Estimate,
    Weights,
    comparison_weights,
    identity_estimate,
)
from siamesekit.evaluation._inputs import as_labels, check_both_kinds, checked_pairs, label_codes

__all__ = [
    "Clusters",
    "ErrorRates",
    "Identities",
    "RankedPairs",
    "equal_error_rate",
    "error_rates",
    "fnmr_at_fmr",
    "last_within",
    "member_codes",
    "min_dcf",
    "roc_auc",
    "tar_at_far",
]

Identities = tuple[ArrayLike, ArrayLike]
"""The class of the first and of the second item of each pair."""


class Clusters(NamedTuple):
    """What stands for identities where nobody knows them: what items belong to that may depend.

    Families of people who are or are not kin, say. Two items of one cluster need not be *same*.

    Attributes
    ----------
    first, second : array-like, shape (n,)
        Cluster of the first and of the second item of each pair.
    """

    first: ArrayLike
    second: ArrayLike


_RESAMPLES = 1000


class ErrorRates(NamedTuple):
    """Error rates at every threshold that tells the scores apart.

    The ROC curve is ``1 - fnmr`` over ``fmr``; the DET curve is the two on normal deviates.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (k,)
        Falling; the first is infinite (nothing matches), the others are the distinct scores.
    fmr : ndarray of float64, shape (k,)
        Rising from 0 to 1.
    fnmr : ndarray of float64, shape (k,)
        Falling from 1 to 0.
    """

    thresholds: npt.NDArray[np.float64]
    fmr: npt.NDArray[np.float64]
    fnmr: npt.NDArray[np.float64]


def error_rates(scores: ArrayLike, same: ArrayLike) -> ErrorRates:
    """Return false match and false non-match rates at every threshold.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike; finite.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Whether a pair is of one class.

    Returns
    -------
    ErrorRates
        ``fmr`` and ``1 - fnmr`` are the rates of scikit-learn's ``roc_curve`` with
        ``drop_intermediate=False``.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or pairs of one kind only are given.
    """
    pairs = RankedPairs(scores, same, None)
    return pairs.rates(np.ones(pairs.n))


def roc_auc(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the area under the ROC curve: how often a *same* pair scores above a different one.

    A tie is worth one half, as in scikit-learn's ``roc_auc_score``.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair, from which `same` must follow; for
        the interval, which resamples them.
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `error_rates`, or if `identities` contradict `same`.

    See Also
    --------
    equal_error_rate, tar_at_far, fnmr_at_fmr, min_dcf
    """

    def area(rates: ErrorRates) -> float:
        height = 1 - (rates.fnmr[1:] + rates.fnmr[:-1]) / 2
        return float(np.sum(np.diff(rates.fmr) * height))

    return _estimate(area, scores, same, identities, n_resamples, random_state)


def equal_error_rate(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the equal error rate: the mean of FMR and FNMR where they differ least.

    That is torchmetrics' rule. Of equally small differences the highest threshold counts.

    Parameters
    ----------
    scores, same, identities, n_resamples, random_state
        As for `roc_auc`.

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `roc_auc`.
    """
    return _estimate(_equal_error, scores, same, identities, n_resamples, random_state)


def fnmr_at_fmr(
    scores: ArrayLike,
    same: ArrayLike,
    fmr: float = 0.01,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the least FNMR of the thresholds whose FMR is at most `fmr`.

    Parameters
    ----------
    scores, same : array-like
        As for `roc_auc`.
    fmr : float
        In [0, 1]. Below one over the number of different pairs it asks for no false match at all.
    identities, n_resamples, random_state
        As for `roc_auc`.

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `roc_auc`.
    InvalidParameterError
        If `fmr` is no number in [0, 1].
    """
    most = check_number("fmr", fmr, low=0.0, high=1.0)

    def figure(rates: ErrorRates) -> float:
        return float(rates.fnmr[last_within(rates.fmr, most)])

    return _estimate(figure, scores, same, identities, n_resamples, random_state)


def tar_at_far(
    scores: ArrayLike,
    same: ArrayLike,
    far: float = 0.01,
    *,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the true accept rate at a false accept rate: 1 minus `fnmr_at_fmr`.

    Parameters
    ----------
    scores, same : array-like
        As for `roc_auc`.
    far : float
        In [0, 1].
    identities, n_resamples, random_state
        As for `roc_auc`.

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `roc_auc`.
    InvalidParameterError
        If `far` is no number in [0, 1].
    """
    most = check_number("far", far, low=0.0, high=1.0)

    def figure(rates: ErrorRates) -> float:
        return float(1 - rates.fnmr[last_within(rates.fmr, most)])

    return _estimate(figure, scores, same, identities, n_resamples, random_state)


def min_dcf(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    p_same: float = 0.01,
    cost_miss: float = 1.0,
    cost_false_match: float = 1.0,
    identities: Identities | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    r"""Return the least normalised detection cost over all thresholds (NIST SRE [1]_).

    .. math:: \min_t \frac{C_m P\,\mathrm{FNMR}(t) + C_f (1 - P)\,\mathrm{FMR}(t)}
                          {\min(C_m P,\ C_f (1 - P))}

    Parameters
    ----------
    scores, same : array-like
        As for `roc_auc`.
    p_same : float
        How often pairs are of one class where the system is used, in (0, 1).
    cost_miss, cost_false_match : float
        Above 0.
    identities, n_resamples, random_state
        As for `roc_auc`.

    Returns
    -------
    Estimate
        In [0, 1]; 1 is what accepting everything, or nothing, costs.

    Raises
    ------
    InvalidDataError
        As `roc_auc`.
    InvalidParameterError
        If `p_same` or a cost is out of its range.

    References
    ----------
    .. [1] NIST, "2016 speaker recognition evaluation plan", §3.
    """
    prior = check_number("p_same", p_same, low=0.0, high=1.0, open_low=True, open_high=True)
    miss = prior * check_number("cost_miss", cost_miss, low=0.0, open_low=True)
    false = (1 - prior) * check_number("cost_false_match", cost_false_match, low=0.0, open_low=True)

    def cost(rates: ErrorRates) -> float:
        return float((miss * rates.fnmr + false * rates.fmr).min() / min(miss, false))

    return _estimate(cost, scores, same, identities, n_resamples, random_state)


class RankedPairs:
    """Pairs in falling order of their scores, so that each resampling is two sums along it.

    Parameters
    ----------
    scores, same, identities
        As for `roc_auc`.

    Attributes
    ----------
    n : int
        Number of pairs.
    members : tuple of ndarray of int64, each of shape (n,), or None
        Code of the first and of the second identity of each pair, in the order given.
    share_same : float
        In (0, 1).
    n_trials : int
        Pairs of two identities that were compared and are not *same*; 0 where none are named.
        Several comparisons of the same two are one.
    """

    def __init__(self, scores: ArrayLike, same: ArrayLike, identities: Identities | None) -> None:
        values, truth = checked_pairs(scores, same)
        check_both_kinds(truth)
        self.n, self.n_different = len(values), int((~truth).sum())
        self.members = None if identities is None else member_codes(identities, truth)
        order = np.argsort(-values, kind="stable")
        self._order, self._same = order, truth[order]
        self.share_same = float(truth.mean())
        self.n_trials = 0 if self.members is None else _n_trials(*self.members, ~truth)
        ranked = values[order]
        # The last pair of each run of equal scores.
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self._thresholds = np.concatenate([[np.inf], ranked[self._ends]])

    def rates(self, weights: Weights) -> ErrorRates:
        """Return the rates of weighted pairs; NaN where a kind of pair weighs nothing."""
        ranked = weights[self._order]
        matches = np.cumsum(np.where(self._same, ranked, 0.0))
        false = np.cumsum(np.where(self._same, 0.0, ranked))
        with np.errstate(invalid="ignore"):
            fmr = np.concatenate([[0.0], false[self._ends]]) / false[-1]
            tmr = np.concatenate([[0.0], matches[self._ends]]) / matches[-1]
        return ErrorRates(self._thresholds, fmr, 1 - tmr)

    def resampled(self, n_resamples: int, seed: int) -> Iterator[ErrorRates]:
        """Yield the rates of bootstrap samples of people, but for those without a kind of pair."""
        assert self.members is not None
        n = 1 + max(int(codes.max()) for codes in self.members)
        for drawn in drawn_people(n, n_resamples, np.random.default_rng(seed)):
            rates = self.rates(comparison_weights(drawn, self.members))
            if np.isfinite(rates.fmr[-1]) and np.isfinite(rates.fnmr[-1]):
                yield rates


def _n_trials(first: IntArray, second: IntArray, differ: npt.NDArray[np.bool_]) -> int:
    low, high = np.minimum(first, second)[differ], np.maximum(first, second)[differ]
    return len(np.unique(low * (int(high.max()) + 1) + high))


def member_codes(identities: Identities, truth: npt.NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Return codes of the first and of the second identity of each pair, from 0 on.

    Raises
    ------
    InvalidDataError
        If `identities` are no two arrays with an entry a pair, or contradict which are *same*
        (`Clusters` may).
    """
    n = len(truth)
    if not isinstance(identities, tuple | list) or len(identities) != 2:
        raise InvalidDataError(
            "identities must be two arrays, the class of the first and of the second item of each "
            f"pair; got {type(identities).__name__}."
        )
    first, second = label_codes(
        as_labels(identities[0], n, "identities[0]"), as_labels(identities[1], n, "identities[1]")
    )
    wrong = np.flatnonzero((first == second) != truth)
    if len(wrong) and not isinstance(identities, Clusters):
        raise InvalidDataError(
            f"identities must agree with same; pair {wrong[0]} is called "
            f"{'same' if truth[wrong[0]] else 'different'} and its identities are not."
        )
    return first, second


def _estimate(
    figure: Callable[[ErrorRates], float],
    scores: ArrayLike,
    same: ArrayLike,
    identities: Identities | None,
    n_resamples: int,
    random_state: RandomState,
) -> Estimate:
    pairs = RankedPairs(scores, same, identities)

    def of_weights(weights: Weights) -> float:
        rates = pairs.rates(weights)
        both = np.isfinite(rates.fmr[-1]) and np.isfinite(rates.fnmr[-1])
        return figure(rates) if both else float("nan")

    if pairs.members is None:
        return Estimate(of_weights(np.ones(pairs.n)), None)
    return identity_estimate(
        of_weights, pairs.members, n_resamples=n_resamples, random_state=random_state
    )


def _equal_error(rates: ErrorRates) -> float:
    place = int(np.argmin(np.abs(rates.fmr - rates.fnmr)))
    return float((rates.fmr[place] + rates.fnmr[place]) / 2)


def last_within(rising: npt.NDArray[np.float64], most: npt.ArrayLike) -> IntArray:
    """Return the last place of a rising array, which begins with 0, that is at most `most`."""
    place: IntArray = np.searchsorted(rising, most, side="right") - 1
    return place
