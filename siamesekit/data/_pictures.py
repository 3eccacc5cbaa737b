"""Pictures of any usual format as bytes of one kind: grey or colour, upright, of one size."""

import os
from io import BytesIO
from typing import Any

import numpy as np

from siamesekit._checks import check_choice, check_flag, check_integer, shown
from siamesekit._files import read_bounded
from siamesekit.data.images import LARGEST_SIDE, resize
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidParameterError

__all__ = ["SUFFIXES", "Pictures", "checked_size"]

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm",
)  # fmt: skip
"""What a picture's name ends with."""

# Pillow would hand an EPS to Ghostscript, whatever the file is called.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_LARGEST_FILE = 2**26
# Grey of two bytes a pixel, as Pillow's versions call it.
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_MOST = 2**16 - 1


class Pictures:
    """Reads pictures as they are wanted.

    Parameters
    ----------
    mode : {"grey", "rgb"}
    size : int, pair of int, or None
        Height and width to which each is averaged down (or up); a number is both. None: as it is.
    invert : bool
        Whether dark is to become bright, as ink on paper.

    Raises
    ------
    InvalidParameterError
        If an argument is not as said.
    DatasetNotFoundError
        If Pillow is not installed.
    """

    def __init__(self, mode: str, size: int | tuple[int, int] | None, invert: bool) -> None:
        self._mode = "L" if check_choice("mode", mode, ("grey", "rgb")) == "grey" else "RGB"
        self._size = None if size is None else checked_size(size)
        self._invert = check_flag("invert", invert)
        try:
            from PIL import Image, ImageOps, UnidentifiedImageError
        except ImportError as error:
            raise DatasetNotFoundError(
                'reading pictures needs Pillow: pip install "siamesekit[data]".'
            ) from error
        self._image, self._ops, self._unknown = Image, ImageOps, UnidentifiedImageError

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return a picture as bytes, shape (h, w) or (3, h, w).

        It is turned as its EXIF orientation says; what is transparent is paper (white); of grey
        of 16 bits the greatest number that fits is white.

        Raises
        ------
        CorruptDatasetError
            If the file cannot be read, is no whole picture of one of the formats, has several
            frames, numbers of 32 bits, or more than 4,096 pixels a side.
        """
        try:
            data = read_bounded(path, _LARGEST_FILE)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CorruptDatasetError(f"{path} cannot be read: {reason}.") from error
        try:
            with self._image.open(BytesIO(data), formats=_FORMATS) as image:
                _check_extent(image, path)
                pixels = self._pixels(image, path)
        except CorruptDatasetError:
            raise
        except Exception as error:  # Pillow and its decoders fail in a dozen ways
            # Pillow's own words name the bytes by their address in memory.
            unknown = isinstance(error, self._unknown)
            why = "it begins as none of them does." if unknown else error
            raise CorruptDatasetError(
                f"{path} is no whole picture (PNG, JPEG, BMP, TIFF, WebP or PNM): {why}"
            ) from error
        if self._invert:
            pixels = 255 - pixels
        return pixels if self._size is None else resize(pixels[None], self._size)[0]

    def _pixels(self, image: Any, path: object) -> np.ndarray:
        upright = self._ops.exif_transpose(image)
        if upright.mode in _SIXTEEN_BITS:
            grey = _bytes_of_wide(np.asarray(upright), path)
            return grey if self._mode == "L" else np.repeat(grey[None], 3, axis=0)
        if upright.mode == "F":
            raise CorruptDatasetError(
                f"{path} must hold numbers of 8 or 16 bits a colour; it holds floats. "
                "Save it as one of these."
            )
        if upright.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in upright.info:
            layer = upright.convert("RGBA")
            paper = self._image.new("RGBA", layer.size, "white")
            upright = self._image.alpha_composite(paper, layer).convert("RGB")
        pixels = np.array(upright.convert(self._mode))  # its own memory, to be written to
        return pixels if self._mode == "L" else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))


def checked_size(size: object) -> tuple[int, int]:
    """Return height and width, of a number both; raise `InvalidParameterError` if it is neither."""
    if isinstance(size, tuple | list):
        if len(size) != 2:
            raise InvalidParameterError(
                f"size must be None, a number of pixels or a pair (h, w); got {shown(size)}."
            )
        height, width = size
    else:
        height = width = size
    return (
        check_integer("size", height, low=1, high=LARGEST_SIDE),
        check_integer("size", width, low=1, high=LARGEST_SIDE),
    )


def _check_extent(image: Any, path: object) -> None:
    # Before anything is unpacked.
    width, height = image.size
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise CorruptDatasetError(
            f"{path} must have {LARGEST_SIDE:,} pixels a side at most; it has {height:,} × "
            f"{width:,}. Save it smaller."
        )
    if getattr(image, "n_frames", 1) > 1:
        raise CorruptDatasetError(
            f"{path} must hold one picture; it holds {image.n_frames}. Save them one by one."
        )


def _bytes_of_wide(values: np.ndarray, path: object) -> np.ndarray:
    if values.size and (values.min() < 0 or values.max() > _MOST):
        raise CorruptDatasetError(
            f"{path} must hold numbers of 8 or 16 bits a colour; it holds {values.min()} to "
            f"{values.max()}. Save it as one of these."
        )
    # 257 = 65535 / 255, rounded to the nearest.
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
