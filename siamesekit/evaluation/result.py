"""A figure, and all that is needed to believe it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import stats

from siamesekit._checks import check_choice, check_integer, check_kind, check_number, shown
from siamesekit.environment import environment
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._facts import Label, json_of
from siamesekit.evaluation._inputs import as_numbers
from siamesekit.evaluation._protocol import TASKS, sentence

__all__ = ["Result", "mean_interval", "wilson_interval"]

_CONFIDENCE = 0.95
# Trials that are added where nearly all went one way, as in Agresti and Coull's interval.
_PSEUDO_TRIALS = 4
_MOST_TRIALS = 10_000


@dataclass(frozen=True)
class Result:
    """One accuracy, with the facts of how it was made; the sentence is made from them.

    Attributes
    ----------
    name : str
    value : float
        In [0, 1].
    interval : tuple of float
        Lower and upper end of the 95 % confidence interval.
    n_episodes, n_trials : int
        A trial is one query.
    chance : float
        What a constant scorer gets.
    seed : int or None
        None where nothing is random.
    seconds : float
        Wall time of the evaluation, embedding apart.
    task : {"episodes", "runs", "verification"}
    parameters : dict
        What the evaluation was asked for: ``way``, ``shot`` and the like.
    tested_classes : tuple, or None
        Classes that were tested on; None where the caller did not say.
    trained_classes, chosen_classes : tuple, or None
        Classes that the model was trained on, and classes that chose among its epochs; none is
        among those tested. None where no estimator was given, or it does not know.
    model : dict, or None
        Class and parameters of the estimator, and its ``validation_score_`` and ``baselines_``
        where it has them.
    environment : dict
        Commit, machine, the processors that could be used (``affinity``), threads and versions:
        see `siamesekit.environment`.

    Raises
    ------
    InvalidParameterError
        If an attribute is of another kind, or a share lies outside [0, 1].
    """

    name: str
    value: float
    interval: tuple[float, float]
    n_episodes: int
    n_trials: int
    chance: float
    seed: int | None
    seconds: float
    task: str
    parameters: Mapping[str, Any] = field(hash=False)
    tested_classes: tuple[Label, ...] | None = None
    trained_classes: tuple[Label, ...] | None = None
    chosen_classes: tuple[Label, ...] | None = None
    model: Mapping[str, Any] | None = field(default=None, hash=False)
    environment: Mapping[str, Any] = field(default_factory=environment, hash=False)

    def __post_init__(self) -> None:
        check_kind("name", self.name, str)
        check_number("value", self.value, low=0, high=1)
        _check_interval(self.interval)
        check_integer("n_episodes", self.n_episodes, low=0)
        check_integer("n_trials", self.n_trials, low=0)
        check_number("chance", self.chance, low=0, high=1)
        check_number("seconds", self.seconds, low=0)
        check_choice("task", self.task, TASKS)
        check_kind("parameters", self.parameters, Mapping)
        check_kind("model", self.model, Mapping, none=True)
        check_kind("environment", self.environment, Mapping)
        try:
            sentence(self)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidParameterError(
                f"parameters must say how a figure of task {self.task!r} is made; "
                f"got {shown(self.parameters)}, which lacks {error}."
            ) from error

    @property
    def protocol(self) -> str:
        """How trials were made, on which classes, and how the interval was computed: a sentence."""
        return sentence(self)

    @property
    def commit(self) -> str | None:
        """Commit of siamesekit that made the figure; None of an installed one."""
        return self.environment.get("commit")

    @property
    def affinity(self) -> tuple[int, ...] | None:
        """Processors that could be used."""
        cores = self.environment.get("affinity")
        return None if cores is None else tuple(cores)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes, and the protocol, as json can hold them."""
        plain: dict[str, Any] = json_of(vars(self) | {"protocol": self.protocol})
        return plain

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.name}: {self.value:.2%} [{low:.2%}, {high:.2%}] "
            f"({self.n_episodes} episodes, {self.n_trials} trials; chance {self.chance:.2%})"
        )


def _check_interval(interval: object) -> None:
    if not isinstance(interval, tuple) or len(interval) != 2:
        raise InvalidParameterError(f"interval must be (low, high); got {shown(interval)}.")
    low = check_number("interval[0]", interval[0], low=0, high=1)
    check_number("interval[1]", interval[1], low=low, high=1)


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion.

    Parameters
    ----------
    successes : float
        In [0, n]; a tie's share of a success may be a fraction.
    n : int
        Independent trials, at least 1.

    Raises
    ------
    InvalidParameterError
        If `n` is no integer of at least 1, or `successes` lies outside [0, n].

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       J. American Statistical Association 22, 1927.
    """
    trials = check_integer("n", n, low=1)
    return _wilson(check_number("successes", successes, low=0, high=trials) / trials, trials)


def mean_interval(
    values: Sequence[float] | np.ndarray, n_trials: int | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a mean of independent shares, which holds near 0 and 1 too.

    That is Student's t, widened to Wilson's score interval where that reaches further: of as many
    independent trials as the spread of the values is worth (their *effective* number, which
    allows for trials of one value that go right or wrong together). Near 0 and 1, where most
    values are equal, Student's t alone is far too short.

    Parameters
    ----------
    values : array-like of float in [0, 1], shape (n,)
        Accuracies of episodes, say. One value alone has the interval [0, 1].
    n_trials : int, optional
        Trials of which each value is the share that went right. Default: the least number of
        which all of them can be shares.

    Raises
    ------
    InvalidDataError
        If there is no value, or one lies outside [0, 1].
    InvalidParameterError
        If `n_trials` is no integer of at least 1.

    Notes
    -----
    With mean ``p`` and variance ``s²``, a value is worth ``p (1 - p) / s²`` trials; where all are
    equal, no more than it has. To both sides
    of the fraction the work of four pseudo-trials is added, each a ``sqrt(n_trials)``-th of a
    value, in the measure ``(1 - 2p)²``: not at all in the middle, in full at the ends, where there
    are too few errors to tell how they cluster. Simulated with errors that cluster (beta-binomial,
    correlation 0 to 0.3), means of 30 to 400 episodes between 0.5 and 0.999 were covered 93 to
    100 % of the time; by Student's t alone 15 to 95 %.

    References
    ----------
    .. [1] L. D. Brown, T. T. Cai, A. DasGupta, "Interval estimation for a binomial proportion",
       Statistical Science 16, 2001.
    """
    shares = as_numbers(values, "values")
    if shares.ndim != 1 or len(shares) == 0 or bool(((shares < 0) | (shares > 1)).any()):
        raise InvalidDataError(
            f"values must hold at least one number in [0, 1], of shape (n,); got {_shown(shares)}."
        )
    each = _least_trials(shares) if n_trials is None else check_integer("n_trials", n_trials, low=1)
    n, mean = len(shares), float(shares.mean())
    if n < 2:
        return 0.0, 1.0
    variance = float(shares.var(ddof=1))
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1))
    half = quantile * math.sqrt(variance / n)
    low, high = _wilson(mean, n / _share_of_a_trial(mean, variance, n, each))
    return max(0.0, min(mean - half, low)), min(1.0, max(mean + half, high))


def _share_of_a_trial(mean: float, variance: float, n: int, n_trials: int) -> float:
    """Return one over the independent trials that a value is worth, in (0, 1]."""
    pseudo = _PSEUDO_TRIALS / n_trials * (1 - 2 * mean) ** 2
    spread = n * variance + pseudo / math.sqrt(n_trials)
    largest = n * mean * (1 - mean) + pseudo
    # Values that are all equal say nothing of their spread: they are worth the trials they have.
    least = 1e-12 if variance > 1e-24 else 1 / n_trials
    return min(1.0, max(spread / largest, least))


def _wilson(p: float, n: float) -> tuple[float, float]:
    z = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, p * (1 - p)) / n + z * z / (4 * n * n))
    # By hand at the ends, where the last digits of the formula miss them.
    return (0.0 if p <= 0 else max(0.0, centre - half)), (
        1.0 if p >= 1 else min(1.0, centre + half)
    )


def _least_trials(shares: np.ndarray) -> int:
    denominators = {Fraction(v).limit_denominator(1000).denominator for v in shares.tolist()}
    return min(math.lcm(*denominators), _MOST_TRIALS)


def _shown(shares: np.ndarray) -> str:
    if shares.ndim != 1 or len(shares) == 0:
        return f"shape {shares.shape}"
    return f"{shares[(shares < 0) | (shares > 1)][0]!r}"
