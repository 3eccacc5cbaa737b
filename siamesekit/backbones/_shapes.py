"""The check that every image backbone makes."""

import math

from siamesekit._types import Shape
from siamesekit.errors import InvalidDataError

__all__ = ["check_image_shape", "flat_size"]


def check_image_shape(name: str, input_shape: Shape) -> tuple[int, int, int]:
    """Return `input_shape` as ``(c, h, w)``, or raise `InvalidDataError` for backbone `name`."""
    if len(input_shape) != 3:
        raise InvalidDataError(
            f"{name} takes images of shape (c, h, w); got items of shape {tuple(input_shape)}."
        )
    channels, height, width = input_shape
    return channels, height, width


def flat_size(input_shape: Shape) -> int:
    """Return how many numbers an item of `input_shape` holds."""
    return math.prod(input_shape)
