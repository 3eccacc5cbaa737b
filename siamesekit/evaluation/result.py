"""A figure, and all that is needed to believe it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from siamesekit._checks import check_integer, check_number

__all__ = ["Result", "mean_interval", "wilson_interval"]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """One accuracy with its protocol.

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
    protocol : str
        How trials were made and how the interval was computed, in a sentence.
    seed : int or None
        None where nothing is random.
    seconds : float
        Wall time of the evaluation, embedding apart.
    per_episode : tuple of float
        Accuracy of each episode (run), to compare scorers on the same ones; `to_dict` leaves it
        out.
    """

    name: str
    value: float
    interval: tuple[float, float]
    n_episodes: int
    n_trials: int
    chance: float
    protocol: str
    seed: int | None
    seconds: float
    per_episode: tuple[float, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes, `per_episode` apart, as json can hold them."""
        kept = {key: value for key, value in asdict(self).items() if key != "per_episode"}
        return kept | {"interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        episodes = f"{self.n_episodes:,} episodes, " if self.n_episodes > 1 else ""
        return (
            f"{self.name}: {self.value:.2%} [{100 * low:.1f}, {100 * high:.1f}] "
            f"({episodes}{self.n_trials:,} trials; chance {self.chance:.1%})"
        )


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion.

    Used where the trials are given and each counts once: Lake's 400, the queries of a retrieval.

    Parameters
    ----------
    successes : float
        In [0, n]; a tie's share of a success may be a fraction.
    n : int
        Independent trials, at least 1.

    Raises
    ------
    InvalidParameterError
        If a number lies outside its range.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       J. American Statistical Association 22, 1927.
    """
    check_integer("n", n, low=1)
    check_number("successes", successes, low=0, high=n)
    z = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # The interval holds p; at 0 and 1 rounding may say otherwise.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def mean_interval(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a mean of independent values in [0, 1], by Student's t.

    Used where an episode (or a query's average precision) gives one value: the spread between
    episodes is what tells how far the mean may be off.

    Parameters
    ----------
    values : array-like, shape (n,)
        One value alone has the interval [0, 1]. Equal values show no spread, which does not mean
        that there is none: they have Wilson's interval, the widest that values in [0, 1] can need.
    """
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n < 2:
        return 0.0, 1.0
    mean = float(array.mean())
    error = float(array.std(ddof=1)) / math.sqrt(n)
    if error < 1e-12:
        return wilson_interval(min(n * mean, n), n)
    half = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1)) * error
    return max(0.0, mean - half), min(1.0, mean + half)
