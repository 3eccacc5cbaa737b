"""Thresholds of verification: chosen by a rule, or promised not to let more than so many in.

The rules other than a promise are those of metric-learn's ``calibrate_threshold``, by its names.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import stats

from siamesekit._checks import check_choice, check_integer, check_number, shown
from siamesekit._promise import check_can_promise, least_promise
from siamesekit._random import RandomState, seed_from
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidParameterError
from siamesekit.evaluation.error_rates import ErrorRates, Identities, RankedPairs, last_within
from siamesekit.evaluation.verification import value_below, value_between

__all__ = ["STRATEGIES", "Threshold", "choose_threshold"]

STRATEGIES = ("accuracy", "eer", "f_beta", "max_tpr", "max_tnr")
"""How a threshold may be chosen where nothing is promised."""

_RESAMPLES = 1000
_TRIALS = "pairs of people"
# What rounding may do to a rate.
_HAIR = 1e-12

Floats = npt.NDArray[np.float64]


class Threshold(float):
    """A threshold, which can be used as the number it is, and what is known of it.

    Two items are called *same* if their score is at least so high.

    Attributes
    ----------
    strategy : str
        How it was chosen: ``"fmr"`` (a promise) or one of `STRATEGIES`.
    promised : float or None
        The false match rate that was asked for; None where nothing was promised.
    fmr, fnmr : float
        False match and false non-match rate of the pairs that it was chosen on.
    fmr_bound, fnmr_bound : float
        Their upper bounds at `confidence`, by a bootstrap over people; that of the false match
        rate is never below what so many people can show (the rule of 3).
    confidence : float or None
        One-sided; None where no people were named, and so no bound is known.
    n_people : int
        People that the pairs are of; 0 where none were named.
    """

    strategy: str
    promised: float | None
    fmr: float
    fnmr: float
    fmr_bound: float
    fnmr_bound: float
    confidence: float | None
    n_people: int

    def __new__(cls, value: float, **facts: Any) -> Self:
        """Return a threshold of this value; `facts` are the attributes, all of them."""
        own = super().__new__(cls, value)
        own.__dict__.update(facts)
        return own

    def __getnewargs_ex__(self) -> tuple[tuple[float], dict[str, Any]]:
        return (float(self),), dict(vars(self))

    @property
    def value(self) -> float:
        """The threshold itself."""
        return float(self)

    @property
    def estimate(self) -> float:
        """The rate that a promise is about, ``fmr``, as `Gallery.threshold` calls its own."""
        return self.fmr

    @property
    def upper(self) -> float:
        """Its upper bound, ``fmr_bound``."""
        return self.fmr_bound

    def __repr__(self) -> str:
        what = self.strategy if self.promised is None else f"{self.strategy} <= {self.promised:g}"
        text = f"Threshold({float(self):.6g}; {what}; FMR {self.fmr:.3g}, FNMR {self.fnmr:.3g}"
        if self.confidence is None:
            return f"{text})"
        return (
            f"{text}; at {self.confidence:g} confidence at most {self.fmr_bound:.3g} and "
            f"{self.fnmr_bound:.3g}, from {self.n_people} people)"
        )


def choose_threshold(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    fmr: float | None = None,
    strategy: str | None = None,
    beta: float = 1.0,
    min_rate: float = 0.95,
    p_same: float | None = None,
    identities: Identities | None = None,
    confidence: float | None = 0.95,
    n_resamples: int = _RESAMPLES,
    random_state: RandomState = 0,
) -> Threshold:
    r"""Return the threshold that a rule chooses on pairs, which training must not have seen.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    fmr : float, optional
        A promise, in (0, 1): the lowest threshold whose false match rate is at most this, by the
        upper bound at `confidence` of a bootstrap over people. With ``confidence=None`` the rate of
        the pairs themselves must be at most this, and nothing is promised of others.
    strategy : {"accuracy", "eer", "f_beta", "max_tpr", "max_tnr"}, optional
        In place of `fmr`: most pairs told right; FMR and FNMR as equal as can be; the greatest
        :math:`F_\beta`; the greatest share of same pairs that match, of thresholds at which at
        least `min_rate` of the different pairs do not; or the other way round.
    beta : float
        For ``"f_beta"``, above 0: recall counts so many times as much as precision.
    min_rate : float
        For ``"max_tpr"`` and ``"max_tnr"``, in [0, 1]: that of the other kind of pair.
    p_same : float, optional
        For ``"accuracy"`` and ``"f_beta"``: how often pairs are of one class where the threshold
        is used, in (0, 1). By default as often as in these pairs.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair, for bounds; a promise needs it.
    confidence : float or None
        Of the bounds, one-sided, in (0, 1).
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    Threshold
        A finite float. That of a promise is the least score that is let in; any other lies half
        way between two scores. Of equally good thresholds the highest.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, pairs of one kind only are given, or `identities`
        contradict `same`.
    TooFewTrialsError
        If so many people could not show what is to be promised, whatever their scores.
    InvalidParameterError
        If not one of `fmr` and `strategy` is given, or an argument is out of its range.

    Notes
    -----
    People are drawn, not pairs: all that one person was compared in is drawn with them. The
    quantile of the bootstrap is widened for few people (Hesterberg's expanded percentile [2]_).
    A bootstrap cannot see what did not happen, so the bound of the false match rate is never below
    ``least_promise(k)``, the rule of 3, where ``k`` is the number of pairs of two people that were
    compared: several photographs of the same two people are one trial.

    References
    ----------
    .. [1] W. de Vazelhes et al., "metric-learn: metric learning algorithms in Python", JMLR 21,
       2020.
    .. [2] T. Hesterberg, "What teachers should know about the bootstrap", The American
       Statistician 69, 2015, §5.3.
    """
    rule = _Rule.of(fmr, strategy, beta, min_rate, p_same)
    sure = None if confidence is None else _check_share("confidence", confidence)
    check_integer("n_resamples", n_resamples, low=100)
    pairs = RankedPairs(scores, same, identities)
    rates = pairs.rates(np.ones(pairs.n))
    if pairs.members is None or sure is None:
        if rule.fmr is not None and sure is not None:
            raise InvalidParameterError(
                "identities must be given where fmr is promised, which people show and not pairs; "
                "got None. confidence=None promises nothing."
            )
        own = rule.place(rates, pairs.share_same)
        return _threshold(rates, own, rule, None, 0, (float("nan"), float("nan")))
    n_people = len(np.unique(np.concatenate(pairs.members)))
    level = _expanded(sure, n_people)
    seed = seed_from(random_state)
    if rule.fmr is not None:
        check_can_promise("fmr", rule.fmr, pairs.n_trials, sure, trials=_TRIALS, hint=_people)
        places = [int(last_within(r.fmr, rule.fmr)) for r in pairs.resampled(n_resamples, seed)]
        own = int(np.quantile(places, 1 - level, method="lower"))
        own = min(own, rule.place(rates, pairs.share_same))
    else:
        own = rule.place(rates, pairs.share_same)
    both = np.array([(r.fmr[own], r.fnmr[own]) for r in pairs.resampled(n_resamples, seed)])
    high = np.quantile(both, level, axis=0)
    # What did not happen cannot be drawn, so no bound is lower than the rule of 3.
    bounds = (
        max(float(high[0]), float(rates.fmr[own]), least_promise(pairs.n_trials, sure)),
        max(float(high[1]), float(rates.fnmr[own]), least_promise(n_people, sure)),
    )
    return _threshold(rates, own, rule, sure, n_people, bounds)


def _people(pairs: int) -> str:
    """Return how many people make so many pairs, for an error."""
    return f" ({math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2):,} people, each with each)"


def _expanded(confidence: float, n_people: int) -> float:
    """Return the level of a bootstrap quantile that bounds at `confidence` with few people.

    The plain quantile is too narrow by as much as a normal one is beside Student's, and as the
    spread of a sample is beside that of all: Hesterberg's "expanded percentile".
    """
    if n_people < 2:
        return 1.0
    wide = stats.t.ppf(confidence, n_people - 1) * math.sqrt(n_people / (n_people - 1))
    return float(stats.norm.cdf(wide))


class _Rule(NamedTuple):
    """How a threshold is chosen; its arguments are those of `choose_threshold`."""

    strategy: str
    fmr: float | None
    beta: float
    min_rate: float
    p_same: float | None

    @classmethod
    def of(
        cls, fmr: object, strategy: object, beta: object, min_rate: object, p_same: object
    ) -> Self:
        if (fmr is None) == (strategy is None):
            raise InvalidParameterError(
                "fmr or strategy must be given, and not both; "
                f"got fmr={shown(fmr)} and strategy={shown(strategy)}."
            )
        most = None if fmr is None else _check_share("fmr", fmr)
        name = "fmr" if strategy is None else check_choice("strategy", strategy, STRATEGIES)
        return cls(
            name,
            most,
            check_number("beta", beta, low=0.0, open_low=True),
            check_number("min_rate", min_rate, low=0.0, high=1.0),
            None if p_same is None else _check_share("p_same", p_same),
        )

    def place(self, rates: ErrorRates, share_same: float) -> int:
        """Return the place, in the rates of all thresholds, of the one that is chosen."""
        fmr, tpr = rates.fmr, 1 - rates.fnmr
        if self.fmr is not None:
            return int(last_within(fmr, self.fmr))
        if self.strategy == "eer":
            return int(np.argmin(np.abs(fmr - rates.fnmr)))
        # A hair lower, so that 1 - (1 - x) is x.
        least = self.min_rate - _HAIR
        if self.strategy == "max_tpr":
            return _first_best(tpr, 1 - fmr >= least)
        if self.strategy == "max_tnr":
            return _first_best(1 - fmr, tpr >= least)
        prior = share_same if self.p_same is None else self.p_same
        right, wrong = prior * tpr, (1 - prior) * fmr
        if self.strategy == "accuracy":
            return _first_best(right - wrong)
        weight = self.beta**2
        return _first_best((1 + weight) * right / (right + wrong + weight * prior))


def _first_best(values: Floats, allowed: npt.NDArray[np.bool_] | None = None) -> int:
    """Return the first place of the greatest value, but for rounding, of those allowed."""
    usable = values if allowed is None else np.where(allowed, values, -np.inf)
    return int(np.argmax(usable >= usable.max() - _HAIR))


def _threshold(
    rates: ErrorRates,
    place: int,
    rule: _Rule,
    confidence: float | None,
    n_people: int,
    bounds: tuple[float, float],
) -> Threshold:
    cuts = rates.thresholds
    if place == 0:
        value = -value_below(-float(cuts[1]))
    elif rule.fmr is not None:
        value = float(cuts[place])
    elif place == len(cuts) - 1:
        value = value_below(float(cuts[-1]))
    else:
        value = _upper_half(float(cuts[place + 1]), float(cuts[place]))
    return Threshold(
        value,
        strategy=rule.strategy,
        promised=None if confidence is None else rule.fmr,
        fmr=float(rates.fmr[place]),
        fnmr=float(rates.fnmr[place]),
        fmr_bound=bounds[0],
        fnmr_bound=bounds[1],
        confidence=confidence,
        n_people=n_people,
    )


def _upper_half(low: float, high: float) -> float:
    """Return the number half way, or `high` where none lies between: `low` is not let in."""
    middle = value_between(low, high)
    return middle if middle > low else high


def _check_share(name: str, value: object) -> float:
    return check_number(name, value, low=0.0, high=1.0, open_low=True, open_high=True)
