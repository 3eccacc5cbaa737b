"""What all pictures share: figures without pyplot, colours, marks and words as they are given."""

import os
from typing import Any

import numpy as np

from siamesekit._checks import check_path, shown
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, InvalidParameterError, PluginImportError
from siamesekit.evaluation._inputs import as_array

__all__ = [
    "COLOURS",
    "RIGHT",
    "WRONG",
    "PathLike",
    "as_given",
    "axes_of",
    "bare",
    "finish",
    "floats",
    "new_figure",
    "show",
]

# Okabe and Ito's colours, told apart by colour-blind eyes too.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D00", "#000000",
)  # fmt: skip
RIGHT, WRONG = "#009E73", "#D55E00"

PathLike = str | os.PathLike[str]


def new_figure(figsize: tuple[float, float]) -> Any:
    """Return an empty figure of so many inches, which nothing global knows of.

    Raises
    ------
    PluginImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PluginImportError(
            'drawing needs matplotlib: pip install "siamesekit[plot]".'
        ) from error
    # Not through pyplot, whose figures are global.
    return Figure(figsize=figsize, layout="constrained")


def finish(figure: Any, path: PathLike | None) -> Any:
    """Write the figure where a path is given, and return it."""
    if path is not None:
        figure.savefig(check_path("path", path), dpi=120)
    return figure


def bare(axes: Any) -> None:
    """Take away the lines that no scale stands on."""
    axes.spines[["top", "right"]].set_visible(False)


def axes_of(axes: Any, figsize: tuple[float, float] = (5.6, 4.6)) -> Any:
    """Return the axes that were given, or those of a new figure.

    Raises
    ------
    InvalidParameterError
        If what was given are no axes of matplotlib.
    """
    if axes is None:
        axes = new_figure(figsize).add_subplot()
    elif not callable(getattr(axes, "fill_between", None)):
        raise InvalidParameterError(f"axes must be matplotlib's Axes; got {shown(axes)}.")
    bare(axes)
    return axes


def show(axes: Any, image: np.ndarray, title: str, name: str, cmap: str = "gray_r") -> None:
    """Draw an image of one channel or of three; ink is bright in the data and dark on paper."""
    shape = image.shape
    if image.ndim == 3 and len(image) == 1:
        image = image[0]
    elif image.ndim == 3 and len(image) == 3:
        # Bytes are colours of 0 to 255, other numbers of 0 to 1.
        image = np.moveaxis(image, 0, 2) / (255 if image.max() > 1 else 1)
    elif image.ndim != 2 or 0 in shape:
        raise InvalidDataError(f"{name} must be an image (h, w) or (c, h, w); got shape {shape}.")
    axes.imshow(image, cmap=cmap)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set(xticks=[], yticks=[])


def as_given(text: Any, words: str) -> None:
    """Write words as they are: a dollar begins no formula."""
    text.set_text(words)
    text.set_parse_math(False)


def floats(values: ArrayLike, name: str) -> np.ndarray:
    """Return real numbers as floats; NaN may stand among them."""
    array = as_array(values, name)
    if array.dtype == object:
        array = np.array([np.nan if value is None else value for value in array.ravel().tolist()])
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"{name} must hold numbers; got values of type {array.dtype}.")
    return array.astype(np.float64)
