"""Drawings of any size, polarity, place and pen, brought to the form that a network knows."""

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from siamesekit._checks import check_integer, check_number, check_path, shown
from siamesekit._params import Part
from siamesekit.data._lists import as_array
from siamesekit.data._pictures import Pictures
from siamesekit.data.images import LARGEST_SIDE
from siamesekit.errors import CorruptDatasetError, InvalidDataError
from siamesekit.registry import register

__all__ = ["DrawingReader", "DrawnReading"]

# Shares of the range from paper to the strongest ink possible, of pixels, and of sides.
_LEAST_CONTRAST = 0.05
_MOST_INK = 0.6
_LEAST_BOX = 1 / 8
_OF_ONE_PAPER = 0.6
_LEAST_SIDE = 3
_MOST_CHANNELS = 4
_MOST_PIECES = 100
# A pixel this many deviations of the paper from it is no paper.
_DEVIATIONS = 6.0
_MAD_TO_DEVIATION = 1.4826
_WHITE, _BLACK = 1.0, 0.0


class DrawnReading(NamedTuple):
    """A drawing as it was read, and what was done to it.

    Attributes
    ----------
    image : ndarray of uint8, shape (side, side)
        Ink 255 on paper 0.
    as_is : bool
        It was such an image already; nothing was done.
    paper : {"dark", "bright"}
        What it was drawn on.
    box : tuple of four int
        Top, left, height and width of the ink, in pixels of the drawing as it was given.
    zoom : float
        Factor by which it was enlarged, below 1 made smaller.
    transparent : bool
        Whether an alpha channel told ink from paper.
    """

    image: np.ndarray
    as_is: bool
    paper: str
    box: tuple[int, int, int, int]
    zoom: float
    transparent: bool


@register("readers", "drawing")
class DrawingReader(Part):
    """Finds the ink of a drawing, cuts it out, and puts it in the middle at one size.

    What the model in the box (``SiameseClassifier.from_pretrained("omniglot")``) reads with, paths
    and arrays alike: any size up to 4,096 pixels a side, bright on dark or dark on bright, grey,
    RGB, RGBA or grey with alpha, of bytes, bools, 16 bits, or floats in [0, 1] or [0, 255].

    Parameters
    ----------
    side : int
        Of the images returned, in pixels; from 8 to 4,096.
    fill : float
        Share of it, in (0, 1], that the longer side of the ink takes; in Omniglot the median is
        0.66. What is smaller than an eighth of its picture is taken for a mark (a dot, a dash),
        and not enlarged to that.

    Notes
    -----
    Paper is the median colour at the border, if six in ten pixels there are near it, else of the
    whole; ink is how far a pixel is from it in the channel where it is farthest. What is
    transparent is laid on white, or on black if the ink is white. An image of bytes of
    `side` × `side` pixels on black paper is taken as it is, so that data of the form that a model
    was trained on stay as they are, place and size included; among arrays so is one of that size
    whose border is of no one colour. Photographs of paper in uneven light are not evened.

    Examples
    --------
    >>> import numpy as np
    >>> from siamesekit.data import DrawingReader
    >>> paper = np.full((200, 300, 3), 255, np.uint8)
    >>> paper[20:120, 200:205] = (200, 0, 0)
    >>> found = DrawingReader().read(paper)
    >>> found.paper, found.box, found.image.shape
    ('bright', (20, 200, 100, 5), (28, 28))
    """

    def __init__(self, side: int = 28, fill: float = 0.66) -> None:
        check_integer("side", side, low=8, high=LARGEST_SIDE)
        check_number("fill", fill, low=0.0, high=1.0, open_low=True)
        self.side = side
        self.fill = fill
        self._pictures: _Pictures | None = None

    def __call__(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return the drawing in a file, uint8 of shape (side, side).

        Raises
        ------
        InvalidParameterError
            If `path` is no path.
        CorruptDatasetError
            If the file cannot be read, is no picture, or there is no drawing in it; it is named.
        DatasetNotFoundError
            If Pillow is not installed.
        """
        check_path("path", path)
        if self._pictures is None:
            self._pictures = _Pictures()
        pixels = self._pictures.read(path)
        try:
            return self.read(pixels, name="the picture").image
        except InvalidDataError as error:
            raise CorruptDatasetError(f"{os.fspath(path)}: {error}") from error

    def read(self, drawing: Any, name: str = "drawing") -> DrawnReading:
        """Return one drawing as a network takes it, and what was done to it.

        Parameters
        ----------
        drawing : array-like, Tensor or Pillow image, shape (h, w), (h, w, c) or (c, h, w)
            Of 1 to 4 channels: grey, grey with alpha, RGB, RGBA.
        name : str
            How to call it in an error.

        Returns
        -------
        DrawnReading

        Raises
        ------
        InvalidDataError
            If it is no such array, blank, full of ink, or noise.
        """
        pixels = as_array(drawing, name)
        if self._is_read(pixels):
            return DrawnReading(_flat(pixels).copy(), True, "dark", _box_of(pixels), 1.0, False)
        ink, is_bright, transparent = _ink(_layers(pixels, name), name)
        strong = ink > ink.max() / 2
        _check_strokes(strong, name)
        box = _box(strong)
        top, left, height, width = box
        extent = max(height, width, _LEAST_BOX * max(ink.shape))
        length = max(1, round(extent / self.fill))
        cut = _window(ink, top + height / 2, left + width / 2, length)
        image = _scaled(cut, self.side)
        paper = "bright" if is_bright else "dark"
        return DrawnReading(image, False, paper, box, self.side / length, transparent)

    def of_arrays(self, X: Any, name: str = "X") -> Any:
        """Return drawings as an array; items that are read already, and vectors, as they are.

        Parameters
        ----------
        X : array-like, shape (n, h, w), (n, h, w, c) or (n, c, h, w), or a list of drawings
            Those of a list may differ in shape and kind.
        name : str

        Returns
        -------
        ndarray of uint8, shape (n, side, side)
            Or `X` itself where all its items are images as `read` returns them, or it is no array
            of images.

        Raises
        ------
        InvalidDataError
            If there is no drawing in an item, which is named; or `X` is one drawing in colour.
        """
        drawings = self._drawings(X, name)
        if drawings is None:
            return X
        return np.stack([self.read(each, f"{name}[{k}]").image for k, each in enumerate(drawings)])

    def _drawings(self, X: Any, name: str) -> Any:
        """Return the drawings in `X` that must be read, or None where nothing must."""
        if isinstance(X, list | tuple):
            try:
                arrays = [as_array(item, "X") for item in X]
            except InvalidDataError:
                return None  # the door of all data says what is wrong
            images = all(array.ndim in (2, 3) and array.size for array in arrays)
            return arrays if images and not all(map(self._is_left, arrays)) else None
        if not hasattr(X, "ndim") or not hasattr(X, "dtype") or X.ndim not in (3, 4):
            return None
        if X.ndim == 3 and X.shape[2] <= _MOST_CHANNELS:
            raise InvalidDataError(
                f"{name} must hold drawings of shape (n, h, w), (n, h, w, c) or (n, c, h, w); got "
                f"{tuple(X.shape)}. {name}[None] makes a batch of one drawing in colour."
            )
        try:
            array = as_array(X, "X")
        except InvalidDataError:
            return None
        return array if array.size and not all(map(self._is_left, array)) else None

    def _is_left(self, pixels: np.ndarray) -> bool:
        """Return whether an item is for the estimator's own checks: of its size, not on white."""
        if not self._fits(pixels):
            return False
        rim = _rim(_flat(pixels)).astype(np.float64)
        if not np.isfinite(rim).all():
            return True  # a number that is none is the estimator's to name
        paper = float(np.median(rim))
        near = np.abs(rim - paper) <= _LEAST_CONTRAST * max(float(pixels.max()), 0.0)
        return paper <= 0 or float(near.mean()) < _OF_ONE_PAPER

    def _is_read(self, pixels: np.ndarray) -> bool:
        fits = pixels.dtype == np.uint8 and self._fits(pixels)
        return fits and float(np.median(_rim(_flat(pixels)))) == 0 and bool(pixels.any())

    def _fits(self, pixels: np.ndarray) -> bool:
        return pixels.shape in ((self.side, self.side), (1, self.side, self.side))

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_pictures": None}

    def __repr__(self) -> str:
        return f"DrawingReader(side={self.side}, fill={self.fill})"


class _Pictures(Pictures):
    """Pictures with their colours and, where there is one, their alpha."""

    def __init__(self) -> None:
        super().__init__("rgb", None, False)

    def _pixels(self, image: Any, path: object) -> np.ndarray:
        if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
            return np.array(self._ops.exif_transpose(image).convert("RGBA"))
        return super()._pixels(image, path)


def _flat(pixels: np.ndarray) -> np.ndarray:
    return pixels[0] if pixels.ndim == 3 else pixels


def _rim(plane: np.ndarray) -> np.ndarray:
    """Return the pixels at the border, shape (m, …)."""
    return np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])


def _layers(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return channels last, float32 in [0, 1], shape (h, w, c)."""
    wanted = f"{name} must be a drawing of shape (h, w), (h, w, c) or (c, h, w), c from 1 to 4"
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    elif pixels.ndim == 3 and pixels.shape[2] > _MOST_CHANNELS >= pixels.shape[0]:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= _MOST_CHANNELS:
        raise InvalidDataError(f"{wanted}; got {pixels.dtype} of shape {pixels.shape}.")
    if not min(pixels.shape[:2]) >= _LEAST_SIDE or max(pixels.shape[:2]) > LARGEST_SIDE:
        raise InvalidDataError(
            f"{name} must have {_LEAST_SIDE} to {LARGEST_SIDE:,} pixels a side; got "
            f"{pixels.shape[0]:,} × {pixels.shape[1]:,}."
        )
    return (pixels / _range(pixels, name)).astype(np.float32)


def _range(pixels: np.ndarray, name: str) -> float:
    """Return what the strongest light is, by the kind of number."""
    if pixels.dtype == bool:
        return 1.0
    if pixels.dtype.kind not in "uif":
        raise InvalidDataError(f"{name} must hold numbers; got {pixels.dtype}.")
    if not np.isfinite(pixels).all():
        raise InvalidDataError(f"{name} holds NaN or infinity.")
    low, high = float(pixels.min()), float(pixels.max())
    limits = {"f": (1.0, 255.0), "u": (255.0, 65535.0), "i": (255.0, 65535.0)}[pixels.dtype.kind]
    for limit in limits if low >= 0 else ():
        # Sixteen bits are told by their type, however dark.
        if high <= limit and (pixels.dtype != np.uint16 or limit > limits[0]):
            return limit
    raise InvalidDataError(
        f"{name} must hold numbers from 0 to {' or '.join(f'{limit:,.0f}' for limit in limits)} "
        f"({pixels.dtype}); got {shown(low)} to {shown(high)}."
    )


def _ink(layers: np.ndarray, name: str) -> tuple[np.ndarray, bool, bool]:
    """Return the ink, shape (h, w), whether the paper is bright, and whether alpha told them."""
    has_alpha = layers.shape[2] in (2, 4)
    colours = layers[:, :, :-1] if has_alpha else layers
    if has_alpha and layers[:, :, -1].min() < 1:
        alpha = layers[:, :, -1:]
        # White ink is only seen on black.
        for ground in (_WHITE, _BLACK):
            ink, is_bright = _off_paper(colours * alpha + ground * (1 - alpha))
            if ink is not None:
                return ink, is_bright, True
    else:
        ink, is_bright = _off_paper(colours)
        if ink is not None:
            return ink, is_bright, False
    raise InvalidDataError(f"{name} is blank: no ink stands out from the paper.")


def _off_paper(colours: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """Return how far each pixel is from the paper, less the paper's own roughness."""
    rim = _rim(colours)
    paper = np.median(rim, axis=0)
    if (np.abs(rim - paper).max(1) < _LEAST_CONTRAST).mean() < _OF_ONE_PAPER:
        paper = np.median(colours, axis=(0, 1))
    ink = np.abs(colours - paper).max(2)
    # Of a stroke over most of the picture, or of one along the border, the other median tells.
    usual = min(float(np.median(ink)), float(np.median(_rim(ink))))
    rough = _DEVIATIONS * _MAD_TO_DEVIATION * usual
    is_bright = bool(paper.mean() > colours[ink >= ink.max() / 2].mean())
    if ink.max() < max(_LEAST_CONTRAST, rough):
        return None, is_bright
    return np.where(ink < rough, 0, ink), is_bright


def _check_strokes(strong: np.ndarray, name: str) -> None:
    share = float(strong.mean())
    if share > _MOST_INK:
        raise InvalidDataError(
            f"{name} is no drawing: {share:.0%} of it is ink; at most {_MOST_INK:.0%} may be."
        )
    pieces = ndimage.label(strong, np.ones((3, 3)))[1]
    if pieces > _MOST_PIECES:
        raise InvalidDataError(
            f"{name} is no drawing but noise or a page: its ink is in {pieces} pieces; at most "
            f"{_MOST_PIECES} may be."
        )


def _box_of(pixels: np.ndarray) -> tuple[int, int, int, int]:
    plane = _flat(pixels)
    return _box(plane > plane.max() / 2)


def _box(strong: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, height and width of what is ink; all 0 where nothing is."""
    rows, columns = (np.flatnonzero(strong.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _window(ink: np.ndarray, y: float, x: float, length: int) -> np.ndarray:
    """Return the square of a side around a point; outside the drawing there is paper."""
    window = np.zeros((length, length), np.float32)
    top, left = round(y - length / 2), round(x - length / 2)
    rows = slice(max(top, 0), min(top + length, ink.shape[0]))
    columns = slice(max(left, 0), min(left + length, ink.shape[1]))
    placed = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    window[placed] = ink[rows, columns]
    return window


def _scaled(window: np.ndarray, side: int) -> np.ndarray:
    """Return the window at `side` × `side` pixels, its strongest ink 255."""
    x = torch.from_numpy(window)[None, None]
    if len(window) >= side:
        small = F.interpolate(x, size=(side, side), mode="area")
    else:
        small = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return (small * (255 / small.max())).round().to(torch.uint8)[0, 0].numpy()
