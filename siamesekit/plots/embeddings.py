"""Embeddings in two dimensions."""

from typing import Any

import numpy as np

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_labels, as_numbers, label_codes
from siamesekit.plots._canvas import COLOURS, PathLike, as_given, bare, finish, new_figure

__all__ = ["plot_embeddings"]


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
    figure = new_figure(figsize=(7.6, 4.6))
    axes = figure.add_subplot()
    marks = "os^Dv"
    names = []
    for k, place in enumerate(np.unique(codes, return_index=True)[1]):
        axes.scatter(
            *points[codes == codes[place]].T,
            s=28,
            color=COLOURS[k % len(COLOURS)],
            marker=marks[k // len(COLOURS) % len(marks)],
            alpha=0.8,
            label=f"class {k}",
        )
        names.append(str(classes[[place]].tolist()[0]))
    axes.set(
        xlabel=f"first principal component ({shares[0]:.0%} of the variance)",
        ylabel=f"second ({shares[1]:.0%})",
    )
    bare(axes)
    legend = axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small"
    )
    # Set afterwards: a label that begins with "_" would be left out.
    for text, name in zip(legend.get_texts(), names, strict=True):
        as_given(text, name)
    return finish(figure, path)


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
