"""Files of photographs, read as aligned faces."""

import os

import numpy as np

from siamesekit.errors import DatasetNotFoundError, InvalidDataError
from siamesekit_dlib_face.alignment import align

__all__ = ["FaceReader"]


class FaceReader:
    """Reads an image file as the clearest face in it, (3, 150, 150) uint8; see `align`."""

    def __call__(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return the face in a file.

        Parameters
        ----------
        path : path-like
            Whatever Pillow reads.

        Raises
        ------
        DatasetNotFoundError
            If there is no such file.
        InvalidDataError
            If it is no image.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with Image.open(path) as image:
                # Photographs of telephones lie on their side and say so.
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except FileNotFoundError as error:
            raise DatasetNotFoundError(f"{path} is not there.") from error
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise InvalidDataError(f"{path} is no image that Pillow reads: {error}.") from error
        face: np.ndarray = align([pixels.transpose(2, 0, 1)]).faces[0]
        return face
