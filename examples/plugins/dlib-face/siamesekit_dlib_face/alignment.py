"""Faces found in images, cut out and turned upright."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from siamesekit.errors import InvalidDataError, InvalidParameterError, PluginImportError
from siamesekit_dlib_face.files import model_file
from siamesekit_dlib_face.network import SIDE

__all__ = ["AlignedFaces", "align"]

_LARGEST_SIDE = 4096


class AlignedFaces(NamedTuple):
    """The faces of some images, one an image.

    Attributes
    ----------
    faces : ndarray of uint8, shape (n, 150, 150) or (n, 3, 150, 150)
        With as many channels as the images had.
    found : ndarray of bool, shape (n,)
        Where it is False no face was found, and the image as a whole stands in its place.
    """

    faces: np.ndarray
    found: np.ndarray


def align(
    images: Iterable[np.ndarray], *, least_side: int = 276, least_score: float = -0.5
) -> AlignedFaces:
    """Return the clearest face of each image, cut out and turned as dlib's network expects it.

    dlib's detector finds it, five landmarks (corners of the eyes, and the nose) say where it is
    turned to [1]_.

    Parameters
    ----------
    images : array-like of uint8, or an iterable of them
        Each of shape (h, w), (1, h, w) or (3, h, w); all of one size (an array) or not.
    least_side : int
        Pixels. The detector finds faces of about 80 pixels and more, so an image whose shorter
        side is below this is enlarged to it: 92×112 pixels to three times their size.
    least_score : float
        Of a face to the detector, which takes 0 and more for certain; turned or half hidden
        faces have less.

    Raises
    ------
    InvalidDataError
        If an image is no such array.
    InvalidParameterError
        If another argument is not as said.
    PluginImportError
        If dlib or its landmarks are not installed.

    References
    ----------
    .. [1] V. Kazemi, J. Sullivan, "One millisecond face alignment with an ensemble of regression
       trees", CVPR 2014.
    """
    if not isinstance(least_side, int) or not 1 <= least_side <= _LARGEST_SIDE:
        raise InvalidParameterError(
            f"least_side must be an integer in [1, {_LARGEST_SIDE}]; got {least_side!r}."
        )
    if not isinstance(least_score, int | float) or not math.isfinite(least_score):
        raise InvalidParameterError(f"least_score must be a finite number; got {least_score!r}.")
    faces, found = [], []
    for i, image in enumerate(images):
        grey, picture = _picture(image, i)
        face, is_found = _face(picture, least_side, least_score)
        faces.append(face[:, :, 0] if grey else face.transpose(2, 0, 1))
        found.append(is_found)
    if not faces:
        raise InvalidDataError("images must hold one image at least; got none.")
    if len({face.ndim for face in faces}) > 1:
        raise InvalidDataError("images must be all grey or all of three channels; got both.")
    return AlignedFaces(np.stack(faces), np.array(found))


def _picture(image: Any, place: int) -> tuple[bool, np.ndarray]:
    """Return whether an image is grey, and its pixels as dlib takes them, (h, w, 3)."""
    array = np.asarray(image)
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    is_image = array.ndim == 2 or (array.ndim == 3 and len(array) == 3)
    if not is_image or array.dtype != np.uint8 or not array.size:
        raise InvalidDataError(
            "images must be arrays of uint8 of shape (h, w), (1, h, w) or (3, h, w); "
            f"image {place} is of {array.dtype} and of shape {array.shape}."
        )
    if array.ndim == 2:
        return True, np.repeat(array[:, :, None], 3, axis=2)
    return False, np.ascontiguousarray(array.transpose(1, 2, 0))


def _face(picture: np.ndarray, least_side: int, least_score: float) -> tuple[np.ndarray, bool]:
    dlib = _dlib()
    height, width = picture.shape[:2]
    scale = max(1.0, least_side / min(height, width))
    if scale > 1:
        picture = dlib.resize_image(picture, rows=round(height * scale), cols=round(width * scale))
    # The first is the one of the highest score.
    boxes, _, _ = _detector().run(picture, 0, least_score)
    if not len(boxes):
        return dlib.resize_image(picture, rows=SIDE, cols=SIDE), False
    landmarks = _predictor()(picture, boxes[0])
    return dlib.get_face_chip(picture, landmarks, size=SIDE), True


def _dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise PluginImportError(
            f"aligning faces needs dlib (pip install dlib-bin): {error}"
        ) from error
    return dlib


@lru_cache(maxsize=1)
def _detector() -> Any:
    return _dlib().get_frontal_face_detector()


@lru_cache(maxsize=1)
def _predictor() -> Any:
    return _dlib().shape_predictor(str(model_file("shape_predictor_5_face_landmarks.dat")))
