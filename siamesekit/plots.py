"""Pictures: a one-shot task with its scores, training, a search, embeddings in two dimensions."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, PluginImportError

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
    support : array-like, shape (way, h, w)
    query : array-like, shape (h, w)
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
        If lengths differ or `answer` is no position.
    """
    supports, values = np.asarray(support), np.asarray(scores)
    if len(supports) != len(values) or not 0 <= answer < len(values):
        raise InvalidDataError(
            f"scores and answer must fit {len(supports)} supports; got {len(values)} scores and "
            f"answer {answer}."
        )
    columns = 5
    rows = -(-len(supports) // columns)
    figure = _figure(figsize=(1.25 * (columns + 2.4), 1.45 * rows + 0.3))
    grid = figure.add_gridspec(rows, columns + 2, wspace=0.15, hspace=0.45)
    axes = figure.add_subplot(grid[:, :2])
    _show(axes, np.asarray(query), "query")
    order = np.argsort(-values, kind="stable")
    for place, k in enumerate(order):
        axes = figure.add_subplot(grid[place // columns, 2 + place % columns])
        _show(axes, supports[k], f"{values[k]:.3f}")
        if k == answer or place == 0:
            for spine in axes.spines.values():
                spine.set(color=_RIGHT if k == answer else _WRONG, linewidth=3)
    return _finish(figure, path)


def plot_history(history: Mapping[str, Sequence[float]], path: PathLike | None = None) -> Any:
    """Draw the loss, and the validation score where there is one, by epoch.

    Parameters
    ----------
    history : mapping from name to one number an epoch
        As `siamesekit.training.train` returns it; ``"loss"`` is needed.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = _figure(figsize=(6.4, 4.0))
    axes = figure.add_subplot()
    epochs = np.arange(1, len(history["loss"]) + 1)
    axes.plot(epochs, history["loss"], color=_COLOURS[0], label="training loss")
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    if "validation" in history:
        other = axes.twinx()
        other.plot(epochs, history["validation"], color=_COLOURS[1], label="validation score")
        other.set(ylabel="validation score")
        other.spines["top"].set_visible(False)
    figure.legend(loc="upper right", bbox_to_anchor=(0.88, 0.9), frameon=False)
    return _finish(figure, path)


def plot_embeddings(embeddings: ArrayLike, labels: ArrayLike, path: PathLike | None = None) -> Any:
    """Draw embeddings in two dimensions, their first two principal components.

    Parameters
    ----------
    embeddings : array-like of float, shape (n, d)
    labels : array-like, shape (n,)
        Colours and marks go round from the ninth class on.
    path : path-like, optional
        Write the picture there.

    Returns
    -------
    matplotlib.figure.Figure
    """
    vectors, classes = np.asarray(embeddings), np.asarray(labels)
    if len(vectors) != len(classes):
        raise InvalidDataError(
            f"labels must hold one entry an embedding ({len(vectors)}); got {len(classes)}."
        )
    pca = PCA(n_components=2)
    points = pca.fit_transform(vectors)
    figure = _figure(figsize=(7.6, 4.6))
    axes = figure.add_subplot()
    marks = "os^Dv"
    for k, name in enumerate(np.unique(classes)):
        own = points[classes == name]
        axes.scatter(
            *own.T,
            s=28,
            color=_COLOURS[k % len(_COLOURS)],
            marker=marks[k // len(_COLOURS) % len(marks)],
            alpha=0.8,
            label=str(name).capitalize(),
        )
    first, second = pca.explained_variance_ratio_
    axes.set(
        xlabel=f"first principal component ({first:.0%} of the variance)",
        ylabel=f"second ({second:.0%})",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
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
        If lengths differ.
    """
    values, given_up = np.asarray(scores, dtype=float), np.asarray(pruned, dtype=bool)
    columns = {name: np.asarray(column, dtype=float) for name, column in parameters.items()}
    for name, column in {"pruned": given_up, **columns}.items():
        if len(column) != len(values):
            raise InvalidDataError(
                f"{name} must hold one entry a trial ({len(values)}); got {len(column)}."
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
        wide = len(column) > 0 and 0 < 30 * column.min() < column.max()
        axes.set(xlabel=name, xscale="log" if wide else "linear")
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


def _show(axes: Any, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray_r")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])


def _draw_trials(axes: Any, x: np.ndarray, scores: np.ndarray, pruned: np.ndarray) -> None:
    axes.plot(
        x[~pruned], scores[~pruned], "o", ms=4, color=_COLOURS[0], alpha=0.7, label="complete"
    )
    axes.plot(x[pruned], scores[pruned], "x", ms=5, color=_WRONG, alpha=0.7, label="pruned")
    axes.spines[["top", "right"]].set_visible(False)


def _finish(figure: Any, path: PathLike | None) -> Any:
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
