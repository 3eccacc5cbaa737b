"""Identification: who is refused where strangers are, and at which rank the right answer stands."""

from typing import Any

from siamesekit._random import RandomState
from siamesekit._types import ArrayLike
from siamesekit.evaluation import cmc_curve, open_set_curve
from siamesekit.plots._canvas import PathLike, axes_of, finish
from siamesekit.plots._curve import draw_curve, draw_legend, percent

__all__ = ["plot_cmc", "plot_open_set"]


def plot_open_set(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    path: PathLike | None = None,
    *,
    rank: int = 1,
    label: str | None = None,
    axes: Any = None,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> Any:
    """Draw FNIR over FPIR: how many enrolled people are missed, by how many strangers get a name.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (m, k)
        Of each search against each enrolled class; higher = more alike.
    classes : array-like, shape (k,)
        The enrolled classes, each once.
    probes : array-like, shape (m,)
        Class of each search; one that is not among `classes` is a stranger's.
    path : path-like, optional
        Write the picture there.
    rank : int
        The right answer counts if it is among so many best.
    label : str, optional
        Name of the curve in the legend.
    axes : matplotlib.axes.Axes, optional
        Draw there, beside the curves that are there already.
    n_resamples, random_state
        As for `siamesekit.evaluation.open_set_curve`, whose points are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        As `siamesekit.evaluation.open_set_curve`.
    InvalidParameterError
        If `rank` is no integer of at least 1, `label` no string or `axes` no axes.
    """
    curve = open_set_curve(
        scores, classes, probes, rank=rank, n_resamples=n_resamples, random_state=random_state
    )
    axes = axes_of(axes)
    draw_curve(axes, curve, label)
    axes.set(
        xlabel="false positive identification rate (% of searches by strangers)",
        ylabel="false negative identification rate\n(% of searches by enrolled people)",
        xscale="log",
        ylim=(0, 1.02),
    )
    percent(axes.xaxis)
    percent(axes.yaxis)
    draw_legend(axes, "best")
    return finish(axes.figure, path)


def plot_cmc(
    scores: ArrayLike,
    classes: ArrayLike,
    probes: ArrayLike,
    path: PathLike | None = None,
    *,
    label: str | None = None,
    axes: Any = None,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> Any:
    """Draw the cumulative match characteristic: how often the right answer is among the best r.

    Parameters
    ----------
    scores, classes, path, label, axes, n_resamples, random_state
        As for `plot_open_set`; the points are those of `siamesekit.evaluation.cmc_curve`.
    probes : array-like, shape (m,)
        Each among `classes`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `siamesekit.evaluation.cmc_curve`, or if `label` is no string or `axes` no axes.
    """
    curve = cmc_curve(scores, classes, probes, n_resamples=n_resamples, random_state=random_state)
    axes = axes_of(axes)
    few = len(curve.x) <= 30
    draw_curve(axes, curve, label, drawstyle="default", marker="o" if few else "", markersize=4)
    axes.set(
        xlabel="rank (candidates that are looked at)",
        ylabel="right answer among them (% of searches)",
        ylim=(None, 1.02),
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    percent(axes.yaxis)
    draw_legend(axes, "lower right")
    return finish(axes.figure, path)
