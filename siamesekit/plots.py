"""Pictures: a one-shot task with its scores, training, a search, embeddings in two dimensions."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from siamesekit._checks import check_path
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, PluginImportError
from siamesekit.evaluation._inputs import as_array, as_labels, as_numbers, label_codes

__all__ = ["plot_embeddings", "plot_history", "plot_one_shot_task", "plot_search"]

# Okabe and Ito's colours, told apart by colour-blind eyes too.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#000000",
)  # fmt: skip
_RIGHT, _WRONG = "#009E73", "#D55E00"

PathLike = str | os.PathLike[str]


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
    figure = _figure(figsize=(1.25 * (columns + 2.4), 1.45 * rows + 0.3))
    grid = figure.add_gridspec(rows, columns + 2, wspace=0.15, hspace=0.45)
    axes = figure.add_subplot(grid[:, :2])
    _show(axes, as_numbers(query, "query"), "query", "query")
    order = np.argsort(-values, kind="stable")
    for place, k in enumerate(order):
        axes = figure.add_subplot(grid[place // columns, 2 + place % columns])
        _show(axes, supports[k], f"{values[k]:.3f}", "support")
        if k == answer or place == 0:
            for spine in axes.spines.values():
                spine.set(color=_RIGHT if k == answer else _WRONG, linewidth=3)
    return _finish(figure, path)


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
    figure = _figure(figsize=(6.4, 4.0))
    axes = figure.add_subplot()
    axes.set(xlabel="epoch")
    axes.spines[["top", "right"]].set_visible(False)
    if "loss" in curves:
        axes.plot(*_points(curves["loss"]), color=_COLOURS[0], label="training loss")
        axes.set(ylabel="loss")
        # A loss that goes below zero (a likelihood, say) is drawn as far as it goes.
        if np.nanmin(curves["loss"], initial=0.0) >= 0:
            axes.set_ylim(bottom=0)
    if "validation" in curves:
        other = axes.twinx() if "loss" in curves else axes
        other.plot(*_points(curves["validation"]), color=_COLOURS[1], label="validation score")
        other.set(ylabel="validation score")
        other.spines["top"].set_visible(False)
    figure.legend(loc="upper right", bbox_to_anchor=(0.88, 0.9), frameon=False)
    return _finish(figure, path)


def plot_embeddings(embeddings: ArrayLike, labels: ArrayLike, path: PathLike | None = None) -> Any:
    """Draw embeddings in two dimensions, their first two principal components.

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
        What has one dimension only is drawn on a line.
    labels : array-like, shape (n,)
        Named in the legend as they are given. Colours and marks go round from the ninth class on.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidDataError
        If lengths differ, there is no embedding, or one is not finite.
    """
    vectors = as_numbers(embeddings, "embeddings")
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise InvalidDataError(f"embeddings must have shape (n, d); got {vectors.shape}.")
    classes = as_labels(labels, len(vectors), "labels", "entry an embedding")
    codes = label_codes(classes)[0]
    points, shares = _principal(vectors)
    figure = _figure(figsize=(7.6, 4.6))
    axes = figure.add_subplot()
    marks = "os^Dv"
    names = []
    for k, place in enumerate(np.unique(codes, return_index=True)[1]):
        axes.scatter(
            *points[codes == codes[place]].T,
            s=28,
            color=_COLOURS[k % len(_COLOURS)],
            marker=marks[k // len(_COLOURS) % len(marks)],
            alpha=0.8,
            label=f"class {k}",
        )
        names.append(str(classes[[place]].tolist()[0]))
    axes.set(
        xlabel=f"first principal component ({shares[0]:.0%} of the variance)",
        ylabel=f"second ({shares[1]:.0%})",
    )
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small"
    )
    # Set afterwards: a label that begins with "_" would be left out.
    for text, name in zip(legend.get_texts(), names, strict=True):
        _as_given(text, name)
    return _finish(figure, path)


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
    values = _floats(scores, "scores")
    given_up = as_array(pruned, "pruned")
    if given_up.dtype.kind not in "bif" or not bool(np.isin(given_up, (0, 1)).all()):
        raise InvalidDataError("pruned must hold True and False.")
    if not isinstance(parameters, Mapping):
        raise InvalidDataError(
            f"parameters must be a mapping from names to numbers; got {type(parameters).__name__}."
        )
    given_up = given_up.astype(bool)
    columns = {name: _floats(column, str(name)) for name, column in parameters.items()}
    for name, column in {"scores": values, "pruned": given_up, **columns}.items():
        if column.ndim != 1 or len(column) != len(values):
            raise InvalidDataError(
                f"{name} must hold one entry a trial ({len(values) if values.ndim else 'n'}); "
                f"got {len(column) if column.ndim == 1 else f'shape {column.shape}'}."
            )
    across = 3
    rows = -(-len(columns) // across)
    figure = _figure(figsize=(8.4, 3.4 + 2.3 * rows))
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[1.5] + [1] * rows)
    axes = figure.add_subplot(grid[0, :])
    trials = np.arange(len(values))
    _draw_trials(axes, trials, values, given_up)
    best = np.fmax.accumulate(np.where(given_up, np.nan, values))
    axes.step(trials, best, where="post", color=_COLOURS[0], label="best so far")
    axes.set(xlabel="trial", ylabel="score")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    for place, (name, column) in enumerate(columns.items()):
        axes = figure.add_subplot(grid[1 + place // across, place % across])
        _draw_trials(axes, column, values, given_up)
        wide = np.isfinite(column).all() and len(column) and 0 < 30 * column.min() < column.max()
        axes.set(xscale="log" if wide else "linear")
        _as_given(axes.xaxis.label, str(name))
        if place % across == 0:
            axes.set_ylabel("score")
    return _finish(figure, path)


def _figure(figsize: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PluginImportError(
            'drawing needs matplotlib: pip install "siamesekit[plot]".'
        ) from error
    # Not through pyplot, whose figures are global.
    return Figure(figsize=figsize, layout="constrained")


def _show(axes: Any, image: np.ndarray, title: str, name: str) -> None:
    shape = image.shape
    if image.ndim == 3 and len(image) == 1:
        image = image[0]
    elif image.ndim == 3 and len(image) == 3:
        # Bytes are colours of 0 to 255, other numbers of 0 to 1.
        image = np.moveaxis(image, 0, 2) / (255 if image.max() > 1 else 1)
    elif image.ndim != 2 or 0 in shape:
        raise InvalidDataError(f"{name} must be an image (h, w) or (c, h, w); got shape {shape}.")
    axes.imshow(image, cmap="gray_r")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])


def _as_given(text: Any, words: str) -> None:
    """Write words as they are: a dollar begins no formula."""
    text.set_text(words)
    text.set_parse_math(False)


def _floats(values: ArrayLike, name: str) -> np.ndarray:
    """Return real numbers as floats; NaN may stand among them."""
    array = as_array(values, name)
    if array.dtype == object:
        array = np.array([np.nan if value is None else value for value in array.ravel().tolist()])
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"{name} must hold numbers; got values of type {array.dtype}.")
    return array.astype(np.float64)


def _by_epoch(history: Mapping[str, Sequence[float]], name: str) -> np.ndarray:
    curve = _floats(history[name], f"history[{name!r}]")
    if curve.ndim != 1:
        raise InvalidDataError(
            f"history[{name!r}] must hold a number an epoch; got shape {curve.shape}."
        )
    return np.where(np.isfinite(curve), curve, np.nan)


def _points(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1, len(curve) + 1), curve


def _principal(vectors: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return the first two principal components, (n, 2), and their shares of the variance."""
    # In units of the largest: squares of very large numbers are no floats.
    centred = vectors / (np.abs(vectors).max() or 1.0)
    centred = centred - centred.mean(0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    found = min(2, len(lengths))
    points[:, :found] = left[:, :found] * lengths[:found]
    variance = np.zeros(2)
    variance[:found] = lengths[:found] ** 2
    total = float((lengths**2).sum())
    return points, (variance / total if total > 0 else variance).tolist()


def _draw_trials(axes: Any, x: np.ndarray, scores: np.ndarray, pruned: np.ndarray) -> None:
    axes.plot(
        x[~pruned], scores[~pruned], "o", ms=4, color=_COLOURS[0], alpha=0.7, label="complete"
    )
    axes.plot(x[pruned], scores[pruned], "x", ms=5, color=_WRONG, alpha=0.7, label="pruned")
    axes.spines[["top", "right"]].set_visible(False)


def _finish(figure: Any, path: PathLike | None) -> Any:
    if path is not None:
        figure.savefig(check_path("path", path), dpi=120)
    return figure
