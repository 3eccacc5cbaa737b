"""The score from which on somebody is recognised, by what is promised to strangers.

What is asked of a threshold is that strangers are seldom taken for somebody: that the false
positive identification rate (FPIR, ISO/IEC 19795-1) of *this* gallery is at most so much. How
strangers fare is seen from searches by people who are not enrolled. Searches of one person are
alike, so they tell less than as many searches of others: a design effect, the usual one of samples
in clusters, says how many independent ones they are worth. The promise is kept by the upper bound
of Clopper and Pearson at that number (Korn and Graubard [1]_), not by the share itself.

References
----------
.. [1] E. Korn, B. Graubard, "Confidence intervals for proportions with small expected number of
   positive counts estimated from survey data", Survey Methodology 24, 1998, pp. 193-201.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, gammaln

from siamesekit._types import IntArray

__all__ = ["Searches", "Threshold", "above", "confidence_of", "lowest_that_keeps"]

Floats = npt.NDArray[np.float64]

# Where how alike the searches of one person are is looked at: low enough to see hits by many.
_SHARE_OF_HITS = 0.2


class Threshold(float):
    """A score, and what is promised of it: usable wherever a number is.

    A search whose best score is below it is a stranger's.

    Attributes
    ----------
    value : float
        The score.
    promised : float
        The FPIR asked for.
    estimate : float
        The FPIR seen at this threshold.
    upper : float
        Its upper bound at `confidence`, at most `promised`.
    confidence : float
        One-sided.
    gallery_size : int
        Number of classes in the gallery that the promise is for.
    n_people : int
        People whose searches say so.
    n_independent : float
        Independent searches that theirs are worth.
    shift : float
        By how much the threshold that was rehearsed among the people of the background was raised,
        because those enrolled are more alike than these, and not by chance; 0 where they are not.
    """

    promised: float
    estimate: float
    upper: float
    confidence: float
    gallery_size: int
    n_people: int
    n_independent: float
    shift: float

    def __new__(cls, value: float, **facts: Any) -> Self:
        """Return the score with its facts."""
        made = super().__new__(cls, value)
        made.__dict__.update(facts)
        return made

    def __getnewargs__(self) -> tuple[float]:
        return (float(self),)

    @property
    def value(self) -> float:
        """The score itself."""
        return float(self)

    @property
    def least(self) -> float:
        """The least FPIR that so many searches can show: the rule of 3."""
        return _least(self.n_independent, self.confidence)

    def __repr__(self) -> str:
        return (
            f"Threshold({float(self):.6g}, promised={self.promised:g}, "
            f"estimate={self.estimate:.3g}, upper={self.upper:.3g}, "
            f"confidence={self.confidence:.3g}, gallery_size={self.gallery_size}, "
            f"n_people={self.n_people})"
        )


@dataclass(frozen=True, eq=False)
class Searches:
    """Searches of a gallery by strangers to it, at hand as scores.

    Part of the gallery may be drawn at random: rates are then the mean over all galleries that can
    be drawn, worked out in closed form (the hypergeometric law) in place of a simulation.

    Attributes
    ----------
    people : ndarray of int64, shape (m,)
        Who searches, ``0 .. p - 1``.
    fixed : ndarray of float64, shape (m,)
        Best score against the classes that are always there; -infinity where there are none.
    others : ndarray of float64, shape (m, c)
        Scores against the classes that are drawn from; -infinity against one's own.
    n_others : ndarray of int64, shape (m,)
        From how many classes each draws: those of `others` without one's own.
    n_drawn : ndarray of int64, shape (m,)
        How many of them are drawn; at most `n_others`.
    factor : ndarray of float64, shape (m,)
        By which the rate of each is multiplied, at least 1, as where it searched fewer classes
        than the gallery has: of ``S`` classes and ``n`` of them the rates are at most as
        ``S / n``, whoever they are.
    """

    people: IntArray
    fixed: Floats
    others: Floats
    n_others: IntArray
    n_drawn: IntArray
    factor: Floats

    @property
    def n_people(self) -> int:
        """How many people search."""
        return len(np.unique(self.people))

    def scores(self) -> Floats:
        """Return the scores at which a rate changes, rising."""
        return self._scores

    @cached_property
    def _scores(self) -> Floats:
        # Of millions of scores, sorted: worked out once.
        every = np.concatenate([self.fixed, self.others.ravel()])
        return np.unique(every[np.isfinite(every)])

    def hits(self, threshold: float) -> Floats:
        """Return the probability that each search returns anybody, shape (m,)."""
        hit = (self.fixed >= threshold).astype(np.float64)
        if self.others.shape[1]:
            n, drawn = self.n_others, self.n_drawn
            free = n - (self.others >= threshold).sum(1)
            able = free >= drawn
            left = np.where(able, free, drawn)
            none = np.exp(_log_choose(left, drawn) - _log_choose(n, drawn)) * able
            hit = 1 - (1 - hit) * none
        return np.minimum(1.0, hit * self.factor)

    def n_independent(self) -> float:
        """Return how many independent searches these are worth: people at least.

        The design effect is the variance of the rate over people beside that of as many
        independent searches, where a fifth of them hit. Closer to the tail the searches of one
        person are less alike, if anything, so that it is on the safe side there.
        """
        scores = self.scores()
        place = _first(scores, lambda t: self.hits(t).mean() <= _SHARE_OF_HITS)
        hits = self.hits(scores[min(place, len(scores) - 1)])
        rate, n = hits.mean(), len(hits)
        _, own, sizes = np.unique(self.people, return_inverse=True, return_counts=True)
        p = len(sizes)
        if p < 2 or not 0 < rate < 1:
            return float(p)
        spread = np.square(np.bincount(own, hits - rate)).sum() * p / (p - 1)
        effect = np.clip(spread / (rate * (1 - rate) * n), 1.0, n / p)
        return float(n / effect)


@dataclass(frozen=True)
class Kept:
    """A threshold that keeps a promise, and what is known of it."""

    value: float
    estimate: float
    upper: float


def lowest_that_keeps(searches: Searches, most: float, confidence: float) -> Kept | None:
    """Return the lowest threshold at which the upper bound of the FPIR is at most `most`.

    Parameters
    ----------
    searches : Searches
    most : float
        In (0, 1).
    confidence : float
        Of the bound, one-sided, in (0, 1).

    Returns
    -------
    Kept or None
        None where even a threshold above all scores could not be said to keep it.
    """
    n = searches.n_independent()
    # The smallest rounding above whatever is searched for as least.
    if most * (1 + 1e-9) < _least(n, confidence):
        return None

    def upper(threshold: float) -> float:
        errors = searches.hits(threshold).mean() * n
        return float(betaincinv(errors + 1, n - errors, confidence)) if errors < n else 1.0

    scores = searches.scores()
    place = _first(scores, lambda score: upper(above(score)) <= most * (1 + 1e-9))
    value = above(scores[min(place, len(scores) - 1)])
    return Kept(value, float(searches.hits(value).mean()), upper(value))


def confidence_of(searches: Searches, most: float, wanted: float) -> float:
    """Return the highest confidence, up to `wanted`, at which these searches can show `most`."""
    n = searches.n_independent()
    return min(wanted, -math.expm1(n * math.log1p(-most)))


def _least(n: float, confidence: float) -> float:
    """Return the rule of 3 of a number of trials that need not be whole."""
    return 1.0 if n <= 0 else float(-math.expm1(math.log1p(-confidence) / n))


def above(score: float) -> float:
    """Return the next number above a score, as scores are: in float32."""
    return float(np.nextafter(np.float32(score), np.float32(np.inf)))


def _first(scores: Floats, holds: Any) -> int:
    """Return the position of the first score for which `holds`; their number if there is none."""
    low, high = 0, len(scores)
    while low < high:
        middle = (low + high) // 2
        if holds(float(scores[middle])):
            high = middle
        else:
            low = middle + 1
    return low


def _log_choose(n: npt.NDArray[Any], k: npt.NDArray[Any]) -> Floats:
    chosen: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return chosen
