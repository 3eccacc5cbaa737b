"""Drawings redrawn with a pen of one width."""

import numpy as np
from scipy import ndimage

from siamesekit._checks import check_integer, check_number
from siamesekit.data.images import LARGEST_SIDE, check_images, resize
from siamesekit.errors import InvalidDataError

__all__ = ["redraw"]

_RESOLUTION = 105
_BLOCK = 64
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def redraw(images: np.ndarray, side: int = 28, pen: int = 3, threshold: float = 0.5) -> np.ndarray:
    """Thin the strokes of drawings to their middle line, and draw that with a pen of one width.

    A metric learnt from thin strokes takes thick ones for another symbol. Redrawn, digits of a
    felt-tip look as if they came from the pen of Omniglot: 3 pixels of 105.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, h, w)
        Square; ink 255, paper 0.
    side : int
        Of the images returned, in pixels; from 1 to 4,096.
    pen : int
        Width of the stroke in pixels of a canvas of 105 × 105; from 1 to 105.
    threshold : float
        Share of full ink, in (0, 1), from which a pixel is ink.

    Returns
    -------
    ndarray of uint8, shape (n, side, side)

    Raises
    ------
    InvalidParameterError
        If a number is not allowed.
    InvalidDataError
        If `images` has another shape or type.

    References
    ----------
    .. [1] T. Y. Zhang, C. Y. Suen, "A fast parallel algorithm for thinning digital patterns",
       Communications of the ACM 27, 1984.
    """
    check_integer("side", side, low=1, high=LARGEST_SIDE)
    check_integer("pen", pen, low=1, high=_RESOLUTION)
    check_number("threshold", threshold, low=0.0, high=1.0, open_low=True, open_high=True)
    check_images("images", images, ranks=(3,), empty=True)
    if images.shape[1] != images.shape[2]:
        raise InvalidDataError(f"images must have shape (n, side, side); got {images.shape}.")
    reach = np.arange(pen) - (pen - 1) / 2
    nib = np.hypot(*np.meshgrid(reach, reach)) <= pen / 2
    redrawn = np.empty((len(images), side, side), dtype=np.uint8)
    # In blocks: images that are done do not wait for the thickest stroke of all.
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        lines = _thinned(_enlarged(images[block]) >= 255 * threshold)
        drawn = ndimage.binary_dilation(lines, structure=nib[None])
        redrawn[block] = resize(drawn.astype(np.uint8) * 255, side)
    return redrawn


def _enlarged(images: np.ndarray) -> np.ndarray:
    zoom = _RESOLUTION / images.shape[1]
    return np.stack([ndimage.zoom(image.astype(np.float32), zoom, order=1) for image in images])


def _thinned(ink: np.ndarray) -> np.ndarray:
    """Return lines one pixel wide in place of strokes, bool, shape (n, h, w)."""
    ink = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            removable = ink & _on_the_rim(ink, first)
            changed |= bool(removable.any())
            ink &= ~removable
    return ink[:, 1:-1, 1:-1]


def _on_the_rim(ink: np.ndarray, first: bool) -> np.ndarray:
    """Return which pixels one half-step of Zhang and Suen's takes away."""
    around = [np.roll(ink, (-dy, -dx), axis=(1, 2)) for dy, dx in _NEIGHBOURS]
    count = np.sum(around, axis=0, dtype=np.uint8)
    # Turns from paper to ink on the way round: one, or the line would break.
    pairs = zip(around, [*around[1:], around[0]], strict=True)
    turns = np.sum([~a & b for a, b in pairs], axis=0, dtype=np.uint8)
    north, _, east, _, south, _, west, _ = around
    if first:
        free = ~(north & east & south) & ~(east & south & west)
    else:
        free = ~(north & east & west) & ~(north & south & west)
    kept: np.ndarray = (count >= 2) & (count <= 6) & (turns == 1) & free
    return kept
