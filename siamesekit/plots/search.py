"""A search for hyper-parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_array
from siamesekit.plots._canvas import (
    COLOURS,
    WRONG,
    PathLike,
    as_given,
    bare,
    finish,
    floats,
    new_figure,
)

__all__ = ["plot_search"]


def plot_search(
    scores: ArrayLike,
    pruned: ArrayLike,
    parameters: Mapping[str, ArrayLike],
    path: PathLike | None = None,
) -> Any:
    """Draw a search for hyper-parameters: the best score so far, and scores by parameter.

    Parameters
    ----------
    scores : array-like of float, shape (trials,)
        Higher = better, in the order of the trials. NaN for one without a score.
    pruned : array-like of bool, shape (trials,)
        Which trials were given up early. They are drawn as crosses, and are never the best.
    parameters : mapping from name to array-like of float, shape (trials,)
        What to draw the scores against; where all values are positive and the largest is over
        30 times the smallest, the axis is logarithmic.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        If lengths differ, or scores or parameters are no numbers.
    """
    values = floats(scores, "scores")
    given_up = as_array(pruned, "pruned")
    if given_up.dtype.kind not in "bif" or not bool(np.isin(given_up, (0, 1)).all()):
        raise InvalidDataError("pruned must hold True and False.")
    if not isinstance(parameters, Mapping):
        raise InvalidDataError(
            f"parameters must be a mapping from names to numbers; got {type(parameters).__name__}."
        )
    given_up = given_up.astype(bool)
    columns = {name: floats(column, str(name)) for name, column in parameters.items()}
    for name, column in {"scores": values, "pruned": given_up, **columns}.items():
        if column.ndim != 1 or len(column) != len(values):
            raise InvalidDataError(
                f"{name} must hold one entry a trial ({len(values) if values.ndim else 'n'}); "
                f"got {len(column) if column.ndim == 1 else f'shape {column.shape}'}."
            )
    across = 3
    rows = -(-len(columns) // across)
    figure = new_figure(figsize=(8.4, 3.4 + 2.3 * rows))
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[1.5] + [1] * rows)
    axes = figure.add_subplot(grid[0, :])
    trials = np.arange(len(values))
    _draw_trials(axes, trials, values, given_up)
    best = np.fmax.accumulate(np.where(given_up, np.nan, values))
    axes.step(trials, best, where="post", color=COLOURS[0], label="best so far")
    axes.set(xlabel="trial", ylabel="score")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    for place, (name, column) in enumerate(columns.items()):
        axes = figure.add_subplot(grid[1 + place // across, place % across])
        _draw_trials(axes, column, values, given_up)
        wide = np.isfinite(column).all() and len(column) and 0 < 30 * column.min() < column.max()
        axes.set(xscale="log" if wide else "linear")
        as_given(axes.xaxis.label, str(name))
        if place % across == 0:
            axes.set_ylabel("score")
    return finish(figure, path)


def _draw_trials(axes: Any, x: np.ndarray, scores: np.ndarray, pruned: np.ndarray) -> None:
    axes.plot(x[~pruned], scores[~pruned], "o", ms=4, color=COLOURS[0], alpha=0.7, label="complete")
    axes.plot(x[pruned], scores[pruned], "x", ms=5, color=WRONG, alpha=0.7, label="pruned")
    bare(axes)
