"""Verification over all thresholds: ROC and DET, with a band by identity."""

from typing import Any

from siamesekit._checks import check_choice
from siamesekit._random import RandomState
from siamesekit._types import ArrayLike
from siamesekit.evaluation import det_curve, roc_curve
from siamesekit.evaluation.error_rates import Identities
from siamesekit.plots._canvas import PathLike, axes_of, finish
from siamesekit.plots._curve import draw_curve, draw_legend, normal_deviates, percent

__all__ = ["plot_det", "plot_roc"]

_GREY = {"color": "0.6", "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 0}


def plot_roc(
    scores: ArrayLike,
    same: ArrayLike,
    path: PathLike | None = None,
    *,
    identities: Identities | None = None,
    label: str | None = None,
    scale: str = "linear",
    axes: Any = None,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> Any:
    """Draw the ROC curve: the true accept rate over the false match rate.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike; finite.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    path : path-like, optional
        Write the picture there.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair; for the band, the 95 % interval by
        identity at each false match rate.
    label : str, optional
        Name of the curve in the legend.
    scale : {"linear", "log"}
        Of the false match rate.
    axes : matplotlib.axes.Axes, optional
        Draw there, beside the curves that are there already.
    n_resamples, random_state
        As for `siamesekit.evaluation.roc_curve`, whose points are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        As `siamesekit.evaluation.roc_curve`.
    InvalidParameterError
        If `scale` is another, `label` no string or `axes` no axes.
    """
    check_choice("scale", scale, ("linear", "log"))
    curve = roc_curve(
        scores, same, identities=identities, n_resamples=n_resamples, random_state=random_state
    )
    axes = axes_of(axes)
    draw_curve(axes, curve, label)
    axes.plot(curve.x, curve.x, **_GREY)
    axes.set(
        xlabel="false match rate (% of pairs of two classes)",
        ylabel="true accept rate (% of pairs of one class)",
        xscale=scale,
        ylim=(0, 1.02),
    )
    percent(axes.xaxis)
    percent(axes.yaxis)
    draw_legend(axes, "lower right" if scale == "linear" else "best")
    return finish(axes.figure, path)


def plot_det(
    scores: ArrayLike,
    same: ArrayLike,
    path: PathLike | None = None,
    *,
    identities: Identities | None = None,
    label: str | None = None,
    axes: Any = None,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> Any:
    """Draw the DET curve: false non-match over false match rate, both as normal deviates.

    Low and left is better. Where the dotted line crosses is the equal error rate.

    Parameters
    ----------
    scores, same, path, identities, label, axes, n_resamples, random_state
        As for `plot_roc`; the points are those of `siamesekit.evaluation.det_curve`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `plot_roc`.
    """
    curve = det_curve(
        scores, same, identities=identities, n_resamples=n_resamples, random_state=random_state
    )
    axes = axes_of(axes)
    draw_curve(axes, curve, label)
    axes.plot(curve.x, curve.x, **_GREY)
    normal_deviates(axes, curve.x, curve.y)
    axes.set(
        xlabel="false match rate (% of pairs of two classes, normal deviates)",
        ylabel="false non-match rate (% of pairs of one class)",
    )
    draw_legend(axes, "best")
    return finish(axes.figure, path)
