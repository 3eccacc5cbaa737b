"""Training: the loss and the validation score by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from siamesekit.errors import InvalidDataError
from siamesekit.plots._canvas import COLOURS, PathLike, bare, finish, floats, new_figure

__all__ = ["plot_history"]


def plot_history(history: Mapping[str, Sequence[float]], path: PathLike | None = None) -> Any:
    """Draw the loss, and the validation score where there is one, by epoch.

    Parameters
    ----------
    history : mapping from name to one number an epoch
        As `siamesekit.training.train` returns it. Of ``"loss"`` and ``"validation"`` one is
        needed; NaN (an epoch without a finite loss) leaves a gap.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        If there is neither a loss nor a validation score, or one holds no numbers.
    """
    if not isinstance(history, Mapping):
        raise InvalidDataError(
            f"history must be a mapping from names to numbers; got {type(history).__name__}."
        )
    curves = {name: _by_epoch(history, name) for name in ("loss", "validation") if name in history}
    curves = {name: curve for name, curve in curves.items() if len(curve)}
    if not curves:
        raise InvalidDataError(
            f"history must hold 'loss' or 'validation', a number an epoch; got {list(history)}."
        )
    figure = new_figure(figsize=(6.4, 4.0))
    axes = figure.add_subplot()
    axes.set(xlabel="epoch")
    bare(axes)
    if "loss" in curves:
        axes.plot(*_points(curves["loss"]), color=COLOURS[0], label="training loss")
        axes.set(ylabel="loss")
        # A loss that goes below zero (a likelihood, say) is drawn as far as it goes.
        if np.nanmin(curves["loss"], initial=0.0) >= 0:
            axes.set_ylim(bottom=0)
    if "validation" in curves:
        other = axes.twinx() if "loss" in curves else axes
        other.plot(*_points(curves["validation"]), color=COLOURS[1], label="validation score")
        other.set(ylabel="validation score")
        other.spines["top"].set_visible(False)
    figure.legend(loc="upper right", bbox_to_anchor=(0.88, 0.9), frameon=False)
    return finish(figure, path)


def _by_epoch(history: Mapping[str, Sequence[float]], name: str) -> np.ndarray:
    curve = floats(history[name], f"history[{name!r}]")
    if curve.ndim != 1:
        raise InvalidDataError(
            f"history[{name!r}] must hold a number an epoch; got shape {curve.shape}."
        )
    return np.where(np.isfinite(curve), curve, np.nan)


def _points(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1, len(curve) + 1), curve
