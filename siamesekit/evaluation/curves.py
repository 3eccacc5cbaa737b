"""Curves of error rates, with a band that resamples identities: what pictures of them draw."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._checks import check_integer
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._bootstrap import Weights, identity_band
from siamesekit.evaluation._inputs import as_array, as_numbers
from siamesekit.evaluation.error_rates import Identities, RankedPairs, last_within
from siamesekit.evaluation.identification import RankedSearches, found_by_rank

__all__ = ["Curve", "cmc_curve", "det_curve", "open_set_curve", "roc_curve"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1000
# Of a scale by shares of ten, from one error upwards, and of a plain one.
_LOGARITHMIC, _LINEAR = 64, 65


class Curve(NamedTuple):
    """Points of a curve, and the interval of each.

    Attributes
    ----------
    x : ndarray of float64, shape (k,)
        Rising: the false match rate, the false positive identification rate or the rank.
    y : ndarray of float64, shape (k,)
        In [0, 1].
    low, high : ndarray of float64, shape (k,), or None
        Ends of the pointwise 95 % interval of `y` by identity; None where no identities were
        given.
    """

    x: Floats
    y: Floats
    low: Floats | None
    high: Floats | None


def roc_curve(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    at: ArrayLike | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Curve:
    """Return the true accept rate at false match rates: 1 minus `det_curve`.

    Parameters
    ----------
    scores, same, identities, at, n_resamples, random_state
        As for `det_curve`.

    Returns
    -------
    Curve
        ``y`` is `siamesekit.evaluation.tar_at_far` at each ``x``.

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `det_curve`.
    """
    x, y, low, high = det_curve(
        scores,
        same,
        identities=identities,
        at=at,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    if low is None or high is None:
        return Curve(x, 1 - y, None, None)
    return Curve(x, 1 - y, 1 - high, 1 - low)


def det_curve(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities | None = None,
    at: ArrayLike | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Curve:
    """Return the false non-match rate at false match rates.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike; finite.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Whether a pair is of one class.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair, from which `same` must follow; for
        the band, which resamples them.
    at : array-like of float, shape (k,), optional
        Rising false match rates in [0, 1]. By default about 130, close together near 0, where the
        least one is that of one false match.
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    Curve
        ``y`` is `siamesekit.evaluation.fnmr_at_fmr` at each ``x``, and its band is that figure's
        interval.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, pairs of one kind only are given, `identities`
        contradict `same`, or `at` holds no rising rates.
    InvalidParameterError
        If `n_resamples` is no integer of at least 100.
    """
    pairs = RankedPairs(scores, same, identities)
    x = _grid(pairs.n_different) if at is None else _rates(at)

    def figures(weights: Weights) -> Floats:
        rates = pairs.rates(weights)
        return _at(rates.fmr, rates.fnmr, x)

    return _curve(x, figures, pairs.members, pairs.n, n_resamples, random_state)


def open_set_curve(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    *,
    rank: int = 1,
    at: ArrayLike | None = None,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Curve:
    """Return the false negative identification rate at false positive identification rates.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (m, k)
        Of each search against each enrolled class; higher = more alike.
    classes : array-like, shape (k,)
        The enrolled classes, each once.
    probes : array-like, shape (m,)
        Class of each search; one that is not among `classes` is a stranger's. Both kinds are
        needed.
    rank : int
        The right answer counts if it is among so many best.
    at : array-like of float, shape (k,), optional
        Rising false positive identification rates in [0, 1]; by default as for `det_curve`.
    n_resamples : int
        For the band, which resamples the classes of the searches (the gallery stays); at least
        100.
    random_state : int, Generator or None

    Returns
    -------
    Curve
        ``y`` is `siamesekit.evaluation.fnir_at_fpir` at each ``x``.

    Raises
    ------
    InvalidDataError
        As `siamesekit.evaluation.identification_rates`, or if `at` holds no rising rates.
    InvalidParameterError
        If `rank` or `n_resamples` is out of its range.
    """
    searches = RankedSearches(scores, classes, probes, check_integer("rank", rank, low=1))
    x = _grid(searches.n_strangers) if at is None else _rates(at)

    def figures(weights: Weights) -> Floats:
        rates = searches.rates(weights)
        return _at(rates.fpir, rates.fnir, x)

    return _curve(x, figures, (searches.people,), searches.n, n_resamples, random_state)


def cmc_curve(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    *,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Curve:
    """Return the cumulative match characteristic of closed-set identification.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (m, k)
    classes : array-like, shape (k,)
    probes : array-like, shape (m,)
        Each among `classes`.
    n_resamples : int
        For the band, which resamples the classes of the searches; at least 100.
    random_state : int, Generator or None

    Returns
    -------
    Curve
        ``x`` is the rank, 1 to k; ``y`` is `siamesekit.evaluation.cmc`.

    Raises
    ------
    InvalidDataError
        As `siamesekit.evaluation.cmc`.
    InvalidParameterError
        If `n_resamples` is no integer of at least 100.
    """
    found, people = found_by_rank(scores, classes, probes)

    def figures(weights: Weights) -> Floats:
        share: Floats = np.average(found, axis=0, weights=weights)
        return share

    x = np.arange(1.0, found.shape[1] + 1)
    return _curve(x, figures, (people,), len(found), n_resamples, random_state)


def _curve(
    x: Floats,
    figures: Callable[[Weights], Floats],
    members: tuple[IntArray, ...] | None,
    n: int,
    n_resamples: int,
    random_state: RandomState,
) -> Curve:
    if members is None:
        return Curve(x, figures(np.ones(n)), None, None)
    return Curve(
        x, *identity_band(figures, members, n_resamples=n_resamples, random_state=random_state)
    )


def _at(rising: Floats, falling: Floats, x: Floats) -> Floats:
    """Return the least of the second rate of the thresholds whose first is at most each `x`."""
    if not (np.isfinite(rising[-1]) and np.isfinite(falling[-1])):
        return np.full(len(x), np.nan)
    values: Floats = falling[last_within(rising, x)]
    return values


def _grid(n: int) -> Floats:
    """Return rates of 0 to 1, close together from ``1 / n`` on."""
    grid: Floats = np.unique(
        np.concatenate([np.geomspace(1 / n, 1.0, _LOGARITHMIC), np.linspace(0.0, 1.0, _LINEAR)])
    )
    return np.minimum(grid, 1.0)


def _rates(at: ArrayLike) -> Floats:
    if as_array(at, "at").ndim != 1:
        raise InvalidDataError(f"at must hold rates, shape (k,); got {as_array(at, 'at').shape}.")
    rates = as_numbers(at, "at")
    if len(rates) == 0 or rates[0] < 0 or rates[-1] > 1 or (np.diff(rates) <= 0).any():
        raise InvalidDataError("at must hold one rate or more in [0, 1], rising.")
    return rates
