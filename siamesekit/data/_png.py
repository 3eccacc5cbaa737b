"""Drawings in black and white from PNG files, and from nothing else."""

import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np

from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["LARGEST_DRAWING", "decode_ink"]

LARGEST_DRAWING = 2**16
"""Bytes of the largest file: 105 × 105 pixels of three bytes each, not compressed, and more."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What black and white may be stored as: bits, grey, a palette, or colours; never 16 bits a pixel.
_MODES = ("1", "L", "P", "RGB")


def decode_ink(data: bytes, side: int, name: str) -> np.ndarray:
    """Return where a PNG of `side` × `side` pixels, black or white each, is black.

    Parameters
    ----------
    data : bytes
    side : int
    name : str
        Of the file, for the error.

    Returns
    -------
    ndarray of bool, shape (side, side)

    Raises
    ------
    CorruptDatasetError
        If `data` is no such image.
    DatasetNotFoundError
        If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetNotFoundError(
            'reading PNG files needs Pillow: pip install "siamesekit[data]".'
        ) from error
    size = _size(data, name)
    if size != (side, side):
        raise CorruptDatasetError(
            f"{name} must be {side}×{side} pixels; it is {size[0]}×{size[1]}."
        )
    try:
        # Pillow would hand an EPS to Ghostscript, whatever the file is called.
        with Image.open(BytesIO(data), formats=("PNG",)) as image:
            mode = image.mode
            grey = np.asarray(image.convert("L"))
    except Exception as error:
        raise CorruptDatasetError(f"{name} is no whole image: {error}") from error
    ink: np.ndarray = grey == 0
    if mode not in _MODES or not (ink | (grey == 255)).all():
        raise CorruptDatasetError(f"{name} must be black and white, a byte a colour at most.")
    return ink


def _size(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height as the header says, once all parts are there and unharmed."""
    kinds, header = [], b""
    for kind, content in _parts(data, name):
        kinds.append(kind)
        header = header or content
    # Pillow goes by the last of several headers, whose size nobody has looked at.
    right = kinds[:1] == [b"IHDR"] and kinds.count(b"IHDR") == 1 and kinds[-1] == b"IEND"
    if not right or len(header) != 13:
        raise CorruptDatasetError(f"{name} is no whole PNG image.")
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")


def _parts(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each part; Pillow does not compare the checksums of pixels."""
    if not data.startswith(_SIGNATURE):
        raise CorruptDatasetError(f"{name} is no whole PNG image.")
    at = len(_SIGNATURE)
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : end]
        if data[end : end + 4] != zlib.crc32(kind + content).to_bytes(4, "big"):
            raise CorruptDatasetError(f"{name} is no whole PNG image: a checksum is wrong.")
        yield kind, content
        at = end + 4
