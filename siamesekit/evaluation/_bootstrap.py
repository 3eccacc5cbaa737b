"""Intervals by resampling identities: the comparisons of one person are not independent."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._checks import check_integer
from siamesekit._promise import drawn_people
from siamesekit._random import RandomState, seed_from
from siamesekit._types import IntArray
from siamesekit.training.progress import counted

__all__ = [
    "Band",
    "Estimate",
    "Weights",
    "comparison_weights",
    "identity_band",
    "identity_estimate",
]

Weights = npt.NDArray[np.float64]

_CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A figure and its interval.

    Attributes
    ----------
    value : float
    interval : tuple of float, or None
        Lower and upper end of the 95 % interval by identity; None where no identities were given.
    """

    value: float
    interval: tuple[float, float] | None


class Band(NamedTuple):
    """Several figures and their intervals, each of shape (k,)."""

    value: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def identity_estimate(
    figure: Callable[[Weights], float],
    members: tuple[IntArray, ...],
    *,
    n_resamples: int,
    random_state: RandomState,
) -> Estimate:
    """Return a figure in [0, 1] and its 95 % percentile interval over resampled identities.

    Identities are drawn with replacement; a comparison weighs as often as *each* of its identities
    was drawn, so a pair of two people weighs the product (Bolle, Ratha and Pankanti [1]_ resample
    subsets in the same way). Replicates without a value (NaN) are left out.

    A figure that is the same in every replicate, as an error rate of 0, has no spread to
    resample. Where the figure stands at 0 or 1, the interval therefore reaches as far
    from it as ``n`` independent identities allow: ``1 - 0.025^(1/n)``, the exact (Clopper-Pearson)
    limit.

    Parameters
    ----------
    figure : callable
        From the weights of the comparisons, shape (c,), to the figure.
    members : tuple of ndarray of int64, each of shape (c,)
        Code of each identity that a comparison belongs to, ``0 .. n - 1``; where two are equal the
        identity counts once.
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    References
    ----------
    .. [1] R. Bolle, N. Ratha, S. Pankanti, "Error analysis of pattern recognition systems: the
       subsets bootstrap", Computer Vision and Image Understanding 93, 2004.
    """
    band = identity_band(
        lambda weights: np.array([figure(weights)]),
        members,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    return Estimate(float(band.value[0]), (float(band.low[0]), float(band.high[0])))


def identity_band(
    figures: Callable[[Weights], npt.NDArray[np.float64]],
    members: tuple[IntArray, ...],
    *,
    n_resamples: int,
    random_state: RandomState,
) -> Band:
    """Return several figures in [0, 1], each with its interval as `identity_estimate` has it.

    The intervals are pointwise: each holds for its own figure, and all of them together for less.

    Parameters
    ----------
    figures : callable
        From the weights of the comparisons, shape (c,), to the figures, shape (k,); NaN where one
        has no value.
    members, n_resamples, random_state
        As for `identity_estimate`.
    """
    check_integer("n_resamples", n_resamples, low=100)
    generator = np.random.default_rng(seed_from(random_state))
    n = 1 + max(int(codes.max()) for codes in members)
    draws = drawn_people(n, n_resamples, generator)
    shown = counted(draws, n_resamples, "resampling", " replicates")
    replicates = np.array([figures(comparison_weights(drawn, members)) for drawn in shown])
    value = figures(np.ones(len(members[0])))
    tail = (1 - _CONFIDENCE) / 2
    low, high = value.copy(), value.copy()
    for k, column in enumerate(replicates.T):
        known = column[np.isfinite(column)]
        if len(known):
            low[k], high[k] = np.quantile(known, [tail, 1 - tail])
    low, high = np.fmin(low, value), np.fmax(high, value)
    reach = 1 - tail ** (1 / n)
    high = np.where(value <= 0, np.maximum(high, reach), high)
    low = np.where(value >= 1, np.minimum(low, 1 - reach), low)
    return Band(value, low, high)


def comparison_weights(drawn: Weights, members: tuple[IntArray, ...]) -> Weights:
    """Return how often each comparison counts where each identity was drawn so often."""
    first, *others = members
    weights: Weights = drawn[first]
    for codes in others:
        weights = weights * np.where(codes == first, 1.0, drawn[codes])
    return weights
