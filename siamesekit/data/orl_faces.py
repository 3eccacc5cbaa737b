"""The ORL (AT&T) faces: 40 people, ten photographs each."""

import os
import re

import numpy as np

from siamesekit.data._archive import find_source, open_files
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["load_orl_faces"]

_ORIGIN = "att_faces.zip, the AT&T 'Database of Faces' (40 people, PGM files)"
_PEOPLE, _EACH, _HEIGHT, _WIDTH = 40, 10, 112, 92
# One white space stands before the pixels, which may begin with more of its kind.
_HEADER = re.compile(rb"P5\s+%d\s+%d\s+255\s" % (_WIDTH, _HEIGHT))
_LARGEST_HEADER = 256


def load_orl_faces(root: str | os.PathLike[str] | None = None) -> ImageSet:
    """Load the ORL faces; credit Olivetti Research Laboratory where you show them.

    Parameters
    ----------
    root : path-like
        Folder that holds ``att_faces.zip`` or the folder extracted from it. No checked download is
        known, so it must be given.

    Returns
    -------
    ImageSet
        ``X`` (400, 112, 92); ``y`` is ``"s1"`` to ``"s40"``, in this order.

    Raises
    ------
    InvalidParameterError
        If `root` is no path.
    DatasetNotFoundError
        If `root` is not given or the files are not there.
    CorruptDatasetError
        If a file is missing or is no 92 × 112 PGM.

    References
    ----------
    .. [1] F. Samaria, A. Harter, "Parameterisation of a stochastic model for human face
       identification", WACV 1994.
    """
    if root is None:
        raise DatasetNotFoundError(f"root must be given: the folder that holds {_ORIGIN}.")
    source = find_source(root, "att_faces", _ORIGIN)
    names = [f"s{n}/{m}.pgm" for n in range(1, _PEOPLE + 1) for m in range(1, _EACH + 1)]
    most = _HEIGHT * _WIDTH + _LARGEST_HEADER
    with open_files(source) as files:
        images = [_decode_pgm(files.read(name, most), f"{source}: {name}") for name in names]
    return ImageSet(X=np.stack(images), y=np.array([name.split("/")[0] for name in names]))


def _decode_pgm(data: bytes, name: str) -> np.ndarray:
    """Return the pixels of a binary PGM of the data base's one size."""
    header = _HEADER.match(data)
    if header is None or len(data) - header.end() != _HEIGHT * _WIDTH:
        raise CorruptDatasetError(f"{name} must be a {_WIDTH}×{_HEIGHT} PGM of bytes.")
    return np.frombuffer(data, dtype=np.uint8, offset=header.end()).reshape(_HEIGHT, _WIDTH)
