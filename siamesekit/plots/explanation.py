"""What made two items alike: each with the map of what its hidden parts cost."""

from typing import Any

import numpy as np

from siamesekit._checks import check_flag
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_numbers
from siamesekit.plots._canvas import COLOURS, PathLike, bare, finish, new_figure, show

__all__ = ["plot_explanation"]

_LABEL = "fall of the score when hidden"


def plot_explanation(
    a: ArrayLike,
    b: ArrayLike,
    map_a: ArrayLike,
    map_b: ArrayLike,
    path: PathLike | None = None,
    *,
    ink: bool = False,
) -> Any:
    """Draw two items, each above the map of how far the score falls when a part is hidden.

    Parameters
    ----------
    a, b : array-like or Tensor, shape (h, w), (c, h, w) or (f,)
        Images of one channel or of three, or vectors.
    map_a, map_b : array-like of float, shape (h, w) or (f,)
        ``a`` and ``b`` of what an estimator's ``explain`` returns.
    path : path-like, optional
        Write the picture there.
    ink : bool
        Whether bright is ink, to be drawn dark.

    Returns
    -------
    matplotlib.figure.Figure
        All maps on one scale, on which 0 is white: dark red made them alike, dark blue kept them
        apart, and contours at half of the greatest fall say so in grey too.

    Raises
    ------
    InvalidDataError
        If shapes do not fit, or a number is not finite.
    InvalidParameterError
        If `ink` is no bool.
    """
    cmap = "gray_r" if check_flag("ink", ink) else "gray"
    items = [as_numbers(a, "a"), as_numbers(b, "b")]
    maps = [as_numbers(map_a, "map_a"), as_numbers(map_b, "map_b")]
    for item, own, name in zip(items, maps, "ab", strict=True):
        if own.ndim not in (1, 2) or own.size == 0 or item.shape[-own.ndim :] != own.shape:
            raise InvalidDataError(
                f"map_{name} must have the height and width of {name}, or its features; "
                f"got shapes {own.shape} and {item.shape}."
            )
    reach = max(float(np.abs(own).max()) for own in maps) or 1.0
    figure = new_figure((7.0, 5.6))
    if maps[0].ndim == 1 or maps[1].ndim == 1:
        return finish(_bars(figure, maps), path)
    axes = figure.subplots(2, 2)
    for column, (item, own, name) in enumerate(zip(items, maps, "ab", strict=True)):
        show(axes[0, column], item, name, name, cmap)
        drawn = axes[1, column].imshow(own, cmap="RdBu_r", vmin=-reach, vmax=reach)
        for level, line in ((reach / 2, "-"), (-reach / 2, ":")):
            if own.min() < level < own.max() and min(own.shape) > 1:
                axes[1, column].contour(own, [level], colors="black", linestyles=line)
        axes[1, column].set(xticks=[], yticks=[])
    bar = figure.colorbar(drawn, ax=axes[1].tolist(), shrink=0.9)
    bar.set_label(f"{_LABEL}\n(> 0: made them alike)")
    return finish(figure, path)


def _bars(figure: Any, maps: list[np.ndarray]) -> Any:
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    for own, name, panel in zip(maps, "ab", axes, strict=True):
        panel.bar(np.arange(own.size), own.ravel(), color=COLOURS[0])
        panel.axhline(0, color="black", linewidth=0.8)
        panel.set_title(name, fontsize=10)
        bare(panel)
    axes[1].set(xlabel="feature (its position)")
    figure.supylabel(f"{_LABEL} (> 0: made them alike)", fontsize=10)
    return figure
