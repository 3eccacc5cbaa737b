"""Reliability: of the pairs given a probability, how many are of one class."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._checks import check_integer
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray
from siamesekit.evaluation._bootstrap import Weights, identity_band
from siamesekit.evaluation._inputs import check_both_kinds, checked_probabilities
from siamesekit.evaluation.error_rates import Identities, member_codes

__all__ = ["Reliability", "reliability_curve"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1000
_MOST_BINS = 1000


class Reliability(NamedTuple):
    """What became of probabilities, by bins of [0, 1] that hold pairs.

    Attributes
    ----------
    probability : ndarray of float64, shape (k,)
        Mean probability of a bin, rising.
    share : ndarray of float64, shape (k,)
        Share of its pairs that are of one class.
    low, high : ndarray of float64, shape (k,), or None
        Ends of the 95 % interval of `share` by identity; None where no identities were given.
    n_same, n_different : ndarray of int64, shape (k,)
        Pairs of each kind.
    """

    probability: Floats
    share: Floats
    low: Floats | None
    high: Floats | None
    n_same: IntArray
    n_different: IntArray


def reliability_curve(
    probability: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    n_bins: int = 10,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Reliability:
    """Return the share of *same* among pairs by their probability.

    Pairs of both kinds weigh one half in total, as `siamesekit.evaluation.fit_calibration` weighs
    them: a probability says what is true if *same* is as likely as not before anything is seen.
    ``calibration_report`` of an estimator has the same table.

    Parameters
    ----------
    probability : array-like or Tensor of float in [0, 1], shape (n,)
        Of *same*.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Both kinds are needed.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair; for the intervals.
    n_bins : int
        Bins of one width, 1 to 1,000.
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    Reliability

    Raises
    ------
    InvalidDataError
        If lengths differ, a probability lies outside [0, 1], pairs of one kind only are given, or
        `identities` contradict `same`.
    InvalidParameterError
        If `n_bins` or `n_resamples` is out of its range.
    """
    values, truth = checked_probabilities(probability, same)
    check_both_kinds(truth)
    check_integer("n_bins", n_bins, low=1, high=_MOST_BINS)
    members = None if identities is None else member_codes(identities, truth)
    filled, place = np.unique(
        np.minimum((values * n_bins).astype(np.int64), n_bins - 1), return_inverse=True
    )

    def sums(weights: Floats) -> Floats:
        total: Floats = np.bincount(place, weights, minlength=len(filled)).astype(np.float64)
        return total

    def halves(weights: Weights) -> tuple[Floats, Floats]:
        """Return the sums of bins, of one class and of two, each kind weighing one half in all."""
        with np.errstate(invalid="ignore"):
            one, two = (
                sums(weights * kind) / (2 * (weights * kind).sum()) for kind in (truth, ~truth)
            )
        return one, two

    def shares(weights: Weights) -> Floats:
        one, two = halves(weights)
        with np.errstate(invalid="ignore"):
            share: Floats = one / (one + two)
        return share

    whole = np.ones(len(values))
    kinds = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    mean = sums(kinds * values) / sums(kinds)
    low = high = None
    if members is not None:
        _, low, high = identity_band(
            shares, members, n_resamples=n_resamples, random_state=random_state
        )
    counts = (sums(kind.astype(np.float64)).astype(np.int64) for kind in (truth, ~truth))
    return Reliability(mean, shares(whole), low, high, *counts)
