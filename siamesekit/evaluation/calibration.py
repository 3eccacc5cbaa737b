"""From a head's score to the probability of *same*."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError

__all__ = ["fit_calibration"]


def fit_calibration(scores: ArrayLike, same: ArrayLike) -> tuple[float, float]:
    """Fit ``P(same) = 1 / (1 + exp(-(slope * score + intercept)))`` (Platt scaling).

    Both kinds of pair weigh the same in total, whatever their numbers.

    Parameters
    ----------
    scores : array-like of float, shape (n,)
        Higher = more alike.
    same : array-like of bool, shape (n,)

    Returns
    -------
    slope, intercept : float
        The slope is positive, so that the order of scores is kept. Where only one kind of pair is
        given, or scores tell nothing, the slope is 1 on standardised scores.

    Raises
    ------
    InvalidDataError
        If lengths differ or a score is not finite.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin
       Classifiers, 1999.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(same, dtype=bool)
    if values.shape != truth.shape or values.ndim != 1:
        raise InvalidDataError(
            f"scores and same must have one shape (n,); got {values.shape} and {truth.shape}."
        )
    if not np.isfinite(values).all():
        raise InvalidDataError("scores must be finite.")
    centre = float(values.mean()) if len(values) else 0.0
    scale = float(values.std()) if len(values) else 1.0
    scale = scale if scale > 1e-12 else 1.0
    weight, bias = 1.0, 0.0
    if truth.any() and not truth.all():
        standard = ((values - centre) / scale)[:, None]
        model = LogisticRegression(class_weight="balanced").fit(standard, truth)
        fitted = float(model.coef_[0, 0])
        if fitted > 0:
            weight, bias = fitted, float(model.intercept_[0])
    slope = weight / scale
    return slope, bias - slope * centre
