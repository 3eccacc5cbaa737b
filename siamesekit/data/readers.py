"""Readers: from the path of a file to an item."""

import os
from typing import Any

import numpy as np

from siamesekit._checks import check_choice, check_flag, check_path
from siamesekit._params import Part
from siamesekit.data._pictures import Pictures, checked_size
from siamesekit.registry import register

__all__ = ["ImageReader"]

_MODES = {"L": "grey", "RGB": "rgb"}


@register("readers", "image")
class ImageReader(Part):
    """Reads a picture with Pillow: upright, of one size, grey or in colour.

    What an estimator reads paths with by default. A reader is any callable from a path to an array;
    one that is to be read with in other processes (``n_workers``) must be picklable, as this is.

    Parameters
    ----------
    size : int, pair of int, or None
        Height and width to which each picture is averaged, whatever its shape was; a number is
        both. None: as they are, which must then be all of one size.
    mode : {"L", "RGB"}, default="L"
        One channel of grey, or three.
    invert : bool, default=False
        Whether dark is to become bright: for ink on paper, as the models in the box want it.

    See Also
    --------
    siamesekit.data.load_image_folder : the paths, classes and groups of a folder.

    Notes
    -----
    PNG, JPEG (CMYK too), BMP, TIFF, WebP and PNM, of one frame, up to 4,096 pixels a side and
    64 MB; palettes become colours. A picture is turned as its EXIF orientation says, what is
    transparent is white before it is inverted, and 16 bits become 8.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> from siamesekit.data import ImageReader
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(f"{folder}/a.jpg")
    ...     ImageReader(size=(20, 16), mode="RGB")(f"{folder}/a.jpg").shape
    (3, 20, 16)
    """

    def __init__(
        self, size: int | tuple[int, int] | None = None, mode: str = "L", invert: bool = False
    ) -> None:
        check_choice("mode", mode, tuple(_MODES))
        check_flag("invert", invert)
        if size is not None:
            checked_size(size)
        self.size = size
        self.mode = mode
        self.invert = invert
        self._pictures: Pictures | None = None

    def __call__(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return a picture as bytes, uint8 of shape (h, w) or (3, h, w).

        Raises
        ------
        InvalidParameterError
            If `path` is no path.
        CorruptDatasetError
            If the file cannot be read or is no such picture; it is named.
        DatasetNotFoundError
            If Pillow is not installed.
        """
        check_path("path", path)
        # Made when first needed: Pillow is optional, and modules cannot be pickled.
        if self._pictures is None:
            self._pictures = Pictures(_MODES[self.mode], self.size, self.invert)
        return self._pictures.read(path)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_pictures": None}

    def __repr__(self) -> str:
        return f"ImageReader(size={self.size}, mode={self.mode!r}, invert={self.invert})"
