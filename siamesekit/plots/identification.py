"""Answers of a gallery: each query beside its candidates, or "unknown"."""

from typing import Any

import numpy as np

from siamesekit._checks import check_flag
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_array, as_numbers, label_codes
from siamesekit.plots._canvas import RIGHT, WRONG, PathLike, finish, new_figure, show

__all__ = ["plot_identification"]


def plot_identification(
    queries: ArrayLike,
    candidates: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    path: PathLike | None = None,
    *,
    unknown: ArrayLike | None = None,
    truth: ArrayLike | None = None,
    ink: bool = False,
) -> Any:
    """Draw queries, a row each, beside the enrolled candidates in the order given, best first.

    Parameters
    ----------
    queries : array-like or Tensor, shape (m, h, w) or (m, c, h, w)
        Images of one channel or of three.
    candidates : array-like or Tensor, shape (m, k, h, w) or (m, k, c, h, w)
        An enrolled image of each candidate.
    labels : array-like, shape (m, k)
        Who each candidate is.
    scores : array-like of float, shape (m, k)
        Scores or probabilities, as they are to be written.
    path : path-like, optional
        Write the picture there.
    unknown : array-like of bool, shape (m,), optional
        Queries that were answered with "unknown".
    truth : array-like, shape (m,), optional
        Who each query is: the right candidate has a thick green frame, a wrong answer a thick
        dashed orange one. A label that is among none of the candidates is a stranger's.
    ink : bool
        Whether bright is ink, to be drawn dark, as characters and signatures have it.

    Returns
    -------
    matplotlib.figure.Figure
        ``m`` rows of ``1 + k`` axes.

    Raises
    ------
    InvalidDataError
        If shapes do not fit, a number is not finite or `unknown` holds anything but True and False.
    InvalidParameterError
        If `ink` is no bool.
    """
    cmap = "gray_r" if check_flag("ink", ink) else "gray"
    asked, found = as_numbers(queries, "queries"), as_numbers(candidates, "candidates")
    names, values = as_array(labels, "labels"), as_numbers(scores, "scores")
    m = len(asked) if asked.ndim in (3, 4) else 0
    fits = m > 0 and found.ndim == asked.ndim + 1 and found.shape[0] == m and found.shape[1] > 0
    if not fits or names.shape != found.shape[:2] or values.shape != found.shape[:2]:
        raise InvalidDataError(
            "queries, candidates, labels and scores must have the shapes (m, …), (m, k, …), (m, k) "
            f"and (m, k); got {asked.shape}, {found.shape}, {names.shape} and {values.shape}."
        )
    refused = _of_queries(unknown, m, "unknown", np.zeros(m, dtype=bool))
    if not bool(np.isin(refused, (0, 1)).all()):
        raise InvalidDataError("unknown must hold True and False.")
    who = None if truth is None else _of_queries(truth, m, "truth", names[:, 0])
    right = _right(names, who)
    k = found.shape[1]
    figure = new_figure((1.5 * (k + 1) + 0.4, 1.75 * m + 0.2))
    grid = figure.subplots(m, k + 1, squeeze=False)
    for row in range(m):
        title = "unknown" if refused[row] else f"is {names[row, 0]}"
        show(grid[row, 0], asked[row], title, "queries", cmap)
        if who is not None:
            grid[row, 0].set_xlabel(f"(truth: {who[row]})", fontsize=8, parse_math=False)
        if right is not None:
            answered = not refused[row]
            good = right[row, 0] if answered else not right[row].any()
            _frame(grid[row, 0], bool(good))
        for place in range(k):
            axes = grid[row, 1 + place]
            title = f"{place + 1}. {names[row, place]}\n{values[row, place]:.3g}"
            show(axes, found[row, place], title, "candidates", cmap)
            if right is not None and right[row, place]:
                _frame(axes, True)
    return finish(figure, path)


def _right(names: np.ndarray, who: np.ndarray | None) -> np.ndarray | None:
    """Return which candidates are who the query is, shape (m, k)."""
    if who is None:
        return None
    candidates, asked = label_codes(names.ravel(), who)
    same: np.ndarray = candidates.reshape(names.shape) == asked[:, None]
    return same


def _of_queries(values: ArrayLike | None, m: int, name: str, default: np.ndarray) -> np.ndarray:
    given = default if values is None else as_array(values, name)
    if given.shape != (m,):
        raise InvalidDataError(
            f"{name} must hold one entry a query, of shape ({m},); got shape {given.shape}."
        )
    return given


def _frame(axes: Any, right: bool) -> None:
    for spine in axes.spines.values():
        spine.set(
            color=RIGHT if right else WRONG, linewidth=3, linestyle="-" if right else (0, (2, 1))
        )
