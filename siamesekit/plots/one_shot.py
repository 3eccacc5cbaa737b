"""A one-shot task: a query beside its supports, best score first."""

from typing import Any

import numpy as np

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_numbers
from siamesekit.plots._canvas import RIGHT, WRONG, PathLike, finish, new_figure, show

__all__ = ["plot_one_shot_task"]


def plot_one_shot_task(
    support: ArrayLike,
    query: ArrayLike,
    scores: ArrayLike,
    answer: int,
    path: PathLike | None = None,
) -> Any:
    """Draw a query beside its supports, best score first.

    Parameters
    ----------
    support : array-like or Tensor, shape (way, h, w) or (way, c, h, w)
        Images of one channel or of three.
    query : array-like or Tensor, shape (h, w) or (c, h, w)
    scores : array-like, shape (way,)
        Of the query against each support; higher = more alike.
    answer : int
        Position of the true class among the supports.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure
        The true class has a green frame; a wrong first place has an orange one.

    Raises
    ------
    InvalidDataError
        If lengths differ, there is no support, `answer` is no position, a number is not finite,
        or an image has another shape.
    """
    supports, values = as_numbers(support, "support"), as_numbers(scores, "scores")
    n = len(supports) if supports.ndim > 2 else 0
    whole = isinstance(answer, int | np.integer) and not isinstance(answer, bool)
    if n == 0 or values.shape != (n,) or not whole or not 0 <= answer < n:
        raise InvalidDataError(
            f"scores and answer must fit {n} supports; got {values.size} scores and "
            f"answer {answer!r}."
        )
    columns = 5
    rows = -(-len(supports) // columns)
    figure = new_figure(figsize=(1.25 * (columns + 2.4), 1.45 * rows + 0.3))
    grid = figure.add_gridspec(rows, columns + 2, wspace=0.15, hspace=0.45)
    axes = figure.add_subplot(grid[:, :2])
    show(axes, as_numbers(query, "query"), "query", "query")
    order = np.argsort(-values, kind="stable")
    for place, k in enumerate(order):
        axes = figure.add_subplot(grid[place // columns, 2 + place % columns])
        show(axes, supports[k], f"{values[k]:.3f}", "support")
        if k == answer or place == 0:
            for spine in axes.spines.values():
                spine.set(color=RIGHT if k == answer else WRONG, linewidth=3)
    return finish(figure, path)
