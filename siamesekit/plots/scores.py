"""Scores of pairs of one class and of two, and where a threshold cuts them."""

from typing import Any

import numpy as np

from siamesekit._checks import check_integer, check_number
from siamesekit._types import ArrayLike
from siamesekit.evaluation._inputs import check_both_kinds, checked_pairs
from siamesekit.plots._canvas import COLOURS, PathLike, axes_of, finish
from siamesekit.plots._curve import percent

__all__ = ["plot_scores"]

_MOST_BINS = 1000


def plot_scores(
    scores: ArrayLike,
    same: ArrayLike,
    path: PathLike | None = None,
    *,
    threshold: float | None = None,
    bins: int = 40,
    axes: Any = None,
) -> Any:
    """Draw how the scores of *same* and of *different* pairs are distributed.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike; finite.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Both kinds are needed; each is drawn as shares of its own number.
    path : path-like, optional
        Write the picture there.
    threshold : float, optional
        Draw it, with the error rates of these pairs there: a pair *matches* if its score is at
        least the threshold.
    bins : int
        Of one width, 1 to 1,000.
    axes : matplotlib.axes.Axes, optional
        Draw there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, or pairs of one kind only are given.
    InvalidParameterError
        If `threshold` is no finite number, `bins` is out of its range or `axes` are no axes.
    """
    values, truth = checked_pairs(scores, same)
    check_both_kinds(truth)
    check_integer("bins", bins, low=1, high=_MOST_BINS)
    cut = None if threshold is None else check_number("threshold", threshold)
    edges = np.histogram_bin_edges(values, bins)
    axes = axes_of(axes, (6.4, 4.0))
    for kind, name, colour, line, hatch in (
        (truth, "same", COLOURS[0], "-", "///"),
        (~truth, "different", COLOURS[3], "--", None),
    ):
        share = np.histogram(values[kind], edges)[0] / kind.sum()
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.25, linewidth=0)
        axes.stairs(
            share, edges, color=colour, linestyle=line, hatch=hatch, linewidth=1.5,
            label=f"{name} ({kind.sum():,} pairs)",
        )  # fmt: skip
    if cut is not None:
        fmr, fnmr = (values[~truth] >= cut).mean(), (values[truth] < cut).mean()
        axes.axvline(
            cut, color="black", linewidth=1,
            label=f"threshold {cut:.3g}: FMR {fmr:.2%}, FNMR {fnmr:.2%}",
        )  # fmt: skip
    axes.set(xlabel="score (higher = more alike)", ylabel="share of pairs of the kind, by bin (%)")
    percent(axes.yaxis)
    axes.legend(loc="best", frameon=False, fontsize="small")
    return finish(axes.figure, path)
