"""Verification: whether two items are of one class."""

import time

import numpy as np
import numpy.typing as npt

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_array
from siamesekit.evaluation.result import Result, wilson_interval

__all__ = ["best_threshold", "verification_accuracy"]


def best_threshold(scores: ArrayLike, same: ArrayLike) -> float:
    """Return the threshold at which most pairs are told right; choose it on validation pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Whether a pair is of one class.

    Returns
    -------
    float
        Half way between two scores, so that neither falls on it; of equally good thresholds the
        lowest. Pairs with a score above it are to be called *same*.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or pairs of one kind only are given.
    """
    values, truth = checked_pairs(scores, same)
    if truth.all() or not truth.any():
        raise InvalidDataError("same must hold pairs of one class and pairs of two; got one kind.")
    order = np.argsort(values, kind="stable")
    values, truth = values[order], truth[order]
    # Cutting before place k calls the first k different, and the others same.
    right = (
        np.concatenate([[0], np.cumsum(~truth)])
        + np.concatenate([[0], np.cumsum(truth[::-1])])[::-1]
    )
    between = np.concatenate([[True], values[1:] > values[:-1], [True]])
    place = int(np.argmax(np.where(between, right, -1)))
    low = values[place - 1] if place else values[0] - 1.0
    high = values[place] if place < len(values) else values[-1] + 1.0
    return float((low + high) / 2)


def verification_accuracy(
    scores: ArrayLike,
    same: ArrayLike,
    threshold: float,
    *,
    seed: int | None = None,
    name: str = "verification",
) -> Result:
    """Return the share of pairs told right at a threshold that was chosen on other pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    threshold : float
        From `best_threshold` on validation pairs. A score that equals it is worth one half.
    seed : int, optional
        With which the pairs were drawn.
    name : str

    Returns
    -------
    Result
        With Wilson's interval over pairs; pairs that share an image are not quite independent.

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or there is no pair.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015, §4.2.
    """
    start = time.perf_counter()
    values, truth = checked_pairs(scores, same)
    right = np.where(values == threshold, 0.5, (values > threshold) == truth)
    share = float(truth.mean())
    return Result(
        name=name,
        value=float(right.mean()),
        interval=wilson_interval(float(right.sum()), len(right)),
        n_episodes=1,
        n_trials=len(right),
        chance=max(share, 1 - share),
        protocol=(
            f"{len(right)} pairs, {share:.0%} of one class, at a threshold chosen on other pairs; "
            "95 % interval: Wilson's over pairs"
        ),
        seed=seed,
        seconds=time.perf_counter() - start,
    )


def checked_pairs(
    scores: ArrayLike, same: ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values = as_array(scores).astype(np.float64)
    given: np.ndarray = np.asarray(as_array(same))
    if values.ndim != 1 or values.shape != given.shape or len(values) == 0:
        raise InvalidDataError(
            "scores and same must have one shape (n,), n at least 1; "
            f"got {values.shape} and {given.shape}."
        )
    if not np.isfinite(values).all():
        raise InvalidDataError("scores must be finite; NaN or infinity found.")
    if not np.isin(given, (0, 1)).all():
        raise InvalidDataError("same must hold True and False, or 1 and 0.")
    return values, given.astype(bool)
