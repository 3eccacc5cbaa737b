"""What can be promised of an error rate after so many trials: the rule of 3, and its kin.

A rate that was seen to be 0 is not 0. After ``n`` independent trials without an error, a rate of
``1 - 0.05^(1/n)``, about ``3 / n``, would have shown none with a probability of 5 %: no less can be
promised (the "rule of 3" of ISO/IEC 19795-1). Nobody may promise by a threshold what stands below.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import special

from siamesekit._checks import check_integer, check_number
from siamesekit.errors import TooFewTrialsError

__all__ = [
    "check_can_promise",
    "drawn_people",
    "least_promise",
    "trials_needed",
    "upper_bound",
]

_CONFIDENCE = 0.95


def upper_bound(errors: int, n: int, confidence: float = _CONFIDENCE) -> float:
    """Return the upper bound of an error rate, of `errors` in `n` independent trials.

    Parameters
    ----------
    errors : int
        In [0, n].
    n : int
        At least 1.
    confidence : float
        One-sided, in (0, 1).

    Returns
    -------
    float
        In (0, 1]: the rate at which so few errors, or fewer, have a probability of
        ``1 - confidence`` (Clopper and Pearson [1]_); without errors, about ``3 / n``.

    Raises
    ------
    InvalidParameterError
        If an argument is out of its range.

    References
    ----------
    .. [1] C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the
       case of the binomial", Biometrika 26, 1934.
    """
    check_integer("n", n, low=1)
    check_integer("errors", errors, low=0, high=n)
    sure = _check_confidence(confidence)
    return 1.0 if errors == n else float(special.betaincinv(errors + 1, n - errors, sure))


def least_promise(n: int, confidence: float = _CONFIDENCE) -> float:
    """Return the least error rate that `n` independent trials can show: the rule of 3.

    Parameters
    ----------
    n : int
        At least 0; without a trial nothing can be shown, and the answer is 1.
    confidence : float
        One-sided, in (0, 1).

    Returns
    -------
    float
        ``1 - (1 - confidence)^(1 / n)``: 3 / n to within 5 % from 30 trials on.

    Raises
    ------
    InvalidParameterError
        If an argument is out of its range.

    Examples
    --------
    >>> round(least_promise(100), 4)
    0.0295
    """
    check_integer("n", n, low=0)
    sure = _check_confidence(confidence)
    # Not 1 - x: a thousand million trials would show a rate of 0.
    return 1.0 if n == 0 else float(-math.expm1(math.log1p(-sure) / n))


def trials_needed(rate: float, confidence: float = _CONFIDENCE) -> int:
    """Return how many independent trials, none of them an error, show that a rate is at most so.

    Parameters
    ----------
    rate : float
        In (0, 1).
    confidence : float
        One-sided, in (0, 1).

    Raises
    ------
    InvalidParameterError
        If an argument is out of its range.

    Examples
    --------
    >>> trials_needed(0.01)
    299
    """
    most = check_number("rate", rate, low=0.0, high=1.0, open_low=True, open_high=True)
    sure = _check_confidence(confidence)
    return math.ceil(math.log1p(-sure) / math.log1p(-most))


def check_can_promise(
    name: str,
    rate: float,
    n: int,
    confidence: float = _CONFIDENCE,
    *,
    trials: str,
    hint: Callable[[int], str] = lambda needed: "",
) -> None:
    """Raise unless `n` independent trials can show that a rate is at most `rate`.

    Parameters
    ----------
    name : str
        What the rate is called by the caller: ``"fmr"``.
    rate : float
        In (0, 1).
    n : int
        Independent trials at hand.
    confidence : float
        One-sided, in (0, 1).
    trials : str
        What the trials are, in the plural, for the error: ``"strangers"``.
    hint : callable
        From the number of trials that are needed to how they can be had, for the error.

    Raises
    ------
    TooFewTrialsError
        Naming what can be promised and how many trials would be needed.
    """
    least = least_promise(n, confidence)
    if rate < least:
        needed = trials_needed(rate, confidence)
        raise TooFewTrialsError(
            f"{name} must be at least {least:.2g} with {n} {trials} at hand: had none of them "
            f"shown an error, more could not be promised at a confidence of {confidence:g} (the "
            f"rule of 3); got {rate:g}, which takes {needed:,} {trials}{hint(needed)}."
        )


def drawn_people(
    n: int, n_resamples: int, generator: np.random.Generator
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield how often each of `n` people is drawn in each bootstrap sample of people.

    Comparisons of one person are not independent, so people are drawn, not comparisons: a
    comparison of two people then weighs the product of their numbers.

    Yields
    ------
    ndarray of float64, shape (n,)
        Its sum is `n`.
    """
    for _ in range(n_resamples):
        yield np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)


def _check_confidence(confidence: float) -> float:
    return check_number("confidence", confidence, low=0.0, high=1.0, open_low=True, open_high=True)
