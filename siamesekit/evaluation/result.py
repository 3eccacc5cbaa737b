"""A figure, and all that is needed to believe it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from siamesekit._checks import check_integer

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

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as json can hold them."""
        return asdict(self) | {"interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.name}: {self.value:.2%} [{low:.2%}, {high:.2%}] "
            f"({self.n_episodes} episodes, {self.n_trials} trials; chance {self.chance:.2%})"
        )


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion.

    Parameters
    ----------
    successes : float
        In [0, n]; a tie's share of a success may be a fraction.
    n : int
        Independent trials, at least 1.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       J. American Statistical Association 22, 1927.
    """
    check_integer("n", n, low=1)
    z = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean of independent values, by Student's t.

    Parameters
    ----------
    values : array-like, shape (n,)
        Accuracies of episodes. One value alone has the interval [0, 1].
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return 0.0, 1.0
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, len(array) - 1))
    half = quantile * float(array.std(ddof=1)) / math.sqrt(len(array))
    return max(0.0, float(array.mean()) - half), min(1.0, float(array.mean()) + half)
