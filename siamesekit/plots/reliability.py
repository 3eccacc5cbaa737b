"""Whether probabilities mean it: what became of pairs by the probability they were given."""

from typing import Any

import numpy as np

from siamesekit._random import RandomState
from siamesekit._types import ArrayLike
from siamesekit.evaluation import reliability_curve
from siamesekit.evaluation.error_rates import Identities
from siamesekit.plots._canvas import COLOURS, PathLike, bare, finish, new_figure
from siamesekit.plots._curve import percent

__all__ = ["plot_reliability"]


def plot_reliability(
    probability: ArrayLike,
    same: ArrayLike,
    path: PathLike | None = None,
    *,
    identities: Identities | None = None,
    n_bins: int = 10,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> Any:
    """Draw the share of *same* pairs over their probability, and how many pairs there are.

    On the diagonal a probability is what it says; below it is too sure of *same*. Pairs of both
    kinds weigh one half in total; the counts below are those of the pairs themselves.

    Parameters
    ----------
    probability : array-like or Tensor of float in [0, 1], shape (n,)
        Of *same*.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
        Both kinds are needed.
    path : path-like, optional
        Write the picture there.
    identities : pair of array-like, each of shape (n,), optional
        Class of the first and of the second item of each pair; for the intervals.
    n_bins, n_resamples, random_state
        As for `siamesekit.evaluation.reliability_curve`, whose points are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Of two axes, one above the other.

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `siamesekit.evaluation.reliability_curve`.
    """
    bins = reliability_curve(
        probability,
        same,
        identities=identities,
        n_bins=n_bins,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    figure = new_figure((5.6, 5.6))
    grid = figure.add_gridspec(2, 1, height_ratios=[3, 1])
    above = figure.add_subplot(grid[0])
    below = figure.add_subplot(grid[1], sharex=above)
    above.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":", label="as it says")
    if bins.low is None or bins.high is None:
        above.plot(bins.probability, bins.share, "o-", color=COLOURS[0], label="pairs, by bin")
    else:
        reach = np.stack([bins.share - bins.low, bins.high - bins.share])
        above.errorbar(
            bins.probability, bins.share, reach, fmt="o-", color=COLOURS[0], capsize=3,
            label="pairs, by bin (bars: 95 % interval by identity)",
        )  # fmt: skip
    above.set(ylabel="pairs of one class (%)", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.legend(loc="upper left", frameon=False, fontsize="small")
    centre = (np.minimum(bins.probability * n_bins, n_bins - 1).astype(int) + 0.5) / n_bins
    width = 0.4 / n_bins
    style = {"width": width, "edgecolor": "black", "linewidth": 0.5, "log": True}
    below.bar(centre - width / 2, bins.n_same, color=COLOURS[0], hatch="///", label="same", **style)
    below.bar(centre + width / 2, bins.n_different, color=COLOURS[1], label="different", **style)
    # One pair is to be seen, and none is not.
    below.set(xlabel="probability of same (%)", ylabel="number of pairs", ylim=(0.5, None))
    below.legend(loc="best", frameon=False, fontsize="small")
    for axes in (above, below):
        bare(axes)
        percent(axes.xaxis)
    percent(above.yaxis)
    return finish(figure, path)
