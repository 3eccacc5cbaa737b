"""Identification: searches of a gallery, by people who are enrolled and by people who are not.

The words are those of ISO/IEC 19795-1: a *mated* search is by somebody who is enrolled. At
threshold ``t`` and rank ``r`` the false positive identification rate (FPIR) is the share of
searches *without* a mate that return anybody at all, and the false negative identification rate
(FNIR) the share of mated searches whose right answer is not returned among the best ``r`` at or
above ``t``. The detection and identification rate (DIR) is 1 minus FNIR.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._checks import check_integer, check_number
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._bootstrap import Estimate, Weights, identity_estimate
from siamesekit.evaluation._inputs import as_labels, as_vectors, label_codes
from siamesekit.evaluation.error_rates import last_within

__all__ = [
    "IdentificationRates",
    "RankedSearches",
    "cmc",
    "dir_at_fpir",
    "fnir_at_fpir",
    "found_by_rank",
    "identification_rates",
]

_RESAMPLES = 1000


class IdentificationRates(NamedTuple):
    """Error rates of open-set identification at every threshold that tells the scores apart.

    Attributes
    ----------
    thresholds : ndarray of float64, shape (k,)
        Falling; the first is infinite (nobody is ever returned).
    fpir : ndarray of float64, shape (k,)
        Rising from 0 to 1.
    fnir : ndarray of float64, shape (k,)
        Falling from 1 to the share of mated searches that miss the rank.
    """

    thresholds: npt.NDArray[np.float64]
    fpir: npt.NDArray[np.float64]
    fnir: npt.NDArray[np.float64]


def identification_rates(
    scores: ArrayLike, classes: ArrayLike, probes: ArrayLike, *, rank: int = 1
) -> IdentificationRates:
    """Return FPIR and FNIR at every threshold.

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
        The right answer counts if it is among so many best. Where scores tie across that border,
        it counts for the share of the tied that fit.

    Returns
    -------
    IdentificationRates

    Raises
    ------
    InvalidDataError
        If shapes do not fit, a score is not finite, a class is enrolled twice, or there are
        searches of one kind only.
    InvalidParameterError
        If `rank` is no integer of at least 1.
    """
    searches = RankedSearches(scores, classes, probes, check_integer("rank", rank, low=1))
    return searches.rates(np.ones(searches.n))


def fnir_at_fpir(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    fpir: float = 0.05,
    *,
    rank: int = 1,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the least FNIR of the thresholds whose FPIR is at most `fpir`.

    Parameters
    ----------
    scores, classes, probes, rank
        As for `identification_rates`.
    fpir : float
        In [0, 1].
    n_resamples : int
        For the interval, which resamples the classes of the searches (the gallery stays); at least
        100.
    random_state : int, Generator or None

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError
        As `identification_rates`.
    InvalidParameterError
        If `fpir`, `rank` or `n_resamples` is out of its range.

    See Also
    --------
    dir_at_fpir : the same, seen from its other side.
    """
    return _at_fpir(
        lambda fnir: fnir, scores, classes, probes, fpir, rank, n_resamples, random_state
    )


def dir_at_fpir(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    fpir: float = 0.05,
    *,
    rank: int = 1,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Estimate:
    """Return the detection and identification rate at an FPIR: 1 minus `fnir_at_fpir`.

    Parameters
    ----------
    scores, classes, probes, fpir, rank, n_resamples, random_state
        As for `fnir_at_fpir`.

    Returns
    -------
    Estimate
        In [0, 1].

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `fnir_at_fpir`.
    """
    return _at_fpir(
        lambda fnir: 1 - fnir, scores, classes, probes, fpir, rank, n_resamples, random_state
    )


def cmc(scores: ArrayLike, classes: ArrayLike, probes: ArrayLike) -> npt.NDArray[np.float64]:
    """Return the cumulative match characteristic of closed-set identification.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (m, k)
    classes : array-like, shape (k,)
    probes : array-like, shape (m,)
        Each among `classes`.

    Returns
    -------
    ndarray of float64, shape (k,)
        Share of searches whose right answer is among the best 1, 2, … k. A tie is shared, so that
        a constant scorer has exactly ``r / k`` at rank ``r``.

    Raises
    ------
    InvalidDataError
        If shapes do not fit, a score is not finite, a class is enrolled twice, or a search has no
        mate.
    """
    curve: npt.NDArray[np.float64] = found_by_rank(scores, classes, probes)[0].mean(0)
    return curve


def found_by_rank(
    scores: ArrayLike, classes: ArrayLike, probes: ArrayLike
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Return how surely each search has its mate among the best, and whose search it is.

    Parameters
    ----------
    scores, classes, probes
        As for `cmc`.

    Returns
    -------
    found : ndarray of float64, shape (m, k)
        In [0, 1]: among the best 1, 2, … k.
    people : ndarray of int64, shape (m,)
        Code of the class of each search, from 0 on.
    """
    values, mate = _checked(scores, classes, probes)
    if (mate < 0).any():
        raise InvalidDataError(
            f"probes must be of enrolled classes; number {np.flatnonzero(mate < 0)[0]} is not. "
            "Strangers belong in identification_rates."
        )
    ranks = np.arange(1, values.shape[1] + 1)
    better, tied = _standing(values, mate)
    found = np.clip((ranks[None, :] - better[:, None]) / tied[:, None], 0.0, 1.0)
    return found, np.unique(mate, return_inverse=True)[1].astype(np.int64)


class RankedSearches:
    """Searches in falling order of what they return, so that a resampling is two sums along it."""

    def __init__(self, scores: ArrayLike, classes: ArrayLike, probes: ArrayLike, rank: int) -> None:
        values, mate = _checked(scores, classes, probes)
        mated = mate >= 0
        if mated.all() or not mated.any():
            raise InvalidDataError(
                "probes must hold enrolled classes and strangers; got "
                f"{'no stranger' if mated.all() else 'nobody who is enrolled'}."
            )
        self.n, self.n_strangers = len(mate), int((~mated).sum())
        self.people = label_codes(as_labels(probes, self.n, "probes"))[0]
        better, tied = _standing(values[mated], mate[mated])
        # What decides a search: the mate's score, or the best that a stranger gets.
        deciding = values.max(1)
        deciding[mated] = values[mated, mate[mated]]
        self._worth = np.zeros(self.n)
        self._worth[mated] = np.clip((rank - better) / tied, 0.0, 1.0)
        self._order = np.argsort(-deciding, kind="stable")
        self._mated = mated[self._order]
        ranked = deciding[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self._thresholds = np.concatenate([[np.inf], ranked[self._ends]])

    def rates(self, weights: Weights) -> IdentificationRates:
        """Return the rates of weighted searches; NaN where a kind of search weighs nothing."""
        ranked = weights[self._order]
        strangers = np.where(self._mated, 0.0, ranked)
        mates = np.where(self._mated, ranked, 0.0)
        with np.errstate(invalid="ignore"):
            fpir = np.cumsum(strangers)[self._ends] / strangers.sum()
            found = np.cumsum(mates * self._worth[self._order])[self._ends] / mates.sum()
        return IdentificationRates(
            self._thresholds, np.concatenate([[0.0], fpir]), 1 - np.concatenate([[0.0], found])
        )


def _at_fpir(
    side: Callable[[float], float],
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    fpir: float,
    rank: int,
    n_resamples: int,
    random_state: RandomState,
) -> Estimate:
    most = check_number("fpir", fpir, low=0.0, high=1.0)
    searches = RankedSearches(scores, classes, probes, check_integer("rank", rank, low=1))

    def figure(weights: Weights) -> float:
        rates = searches.rates(weights)
        if not (np.isfinite(rates.fpir[-1]) and np.isfinite(rates.fnir[-1])):
            return float("nan")
        return side(float(rates.fnir[last_within(rates.fpir, most)]))

    return identity_estimate(
        figure, (searches.people,), n_resamples=n_resamples, random_state=random_state
    )


def _checked(
    scores: ArrayLike, classes: ArrayLike, probes: ArrayLike
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Return scores, and the column of each search's own class (-1 of a stranger)."""
    values = as_vectors(scores, "scores").cpu().double().numpy()
    m, k = values.shape
    enrolled, searched = label_codes(
        as_labels(classes, k, "classes"), as_labels(probes, m, "probes")
    )
    known, column = np.unique(enrolled, return_index=True)
    if len(known) < k:
        raise InvalidDataError("classes must hold each enrolled class once; one is there twice.")
    place = np.minimum(np.searchsorted(known, searched), k - 1)
    mate: IntArray = np.where(known[place] == searched, column[place], -1)
    return values, mate


def _standing(
    values: npt.NDArray[np.float64], mate: IntArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many classes score better than the mate, and how many as well, itself too."""
    own = np.take_along_axis(values, mate[:, None], 1)
    return (values > own).sum(1), (values == own).sum(1)
