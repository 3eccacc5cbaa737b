"""The checks of an item's shape that backbones make."""

import math
from numbers import Integral

from siamesekit._checks import shown
from siamesekit._types import Shape
from siamesekit.errors import InvalidDataError, InvalidParameterError

__all__ = ["check_image_shape", "check_shape", "flat_size"]


def check_shape(input_shape: object) -> Shape:
    """Return `input_shape` as a tuple of ``int``.

    Raises
    ------
    InvalidParameterError
        If it is no tuple or list of integers of at least 1.
    """
    sizes = tuple(input_shape) if isinstance(input_shape, tuple | list) else ()
    whole = [isinstance(n, Integral) and not isinstance(n, bool) and int(n) >= 1 for n in sizes]
    if not whole or not all(whole):
        raise InvalidParameterError(
            "input_shape must be (f,) or (c, h, w), in integers of at least 1; "
            f"got {shown(input_shape)}."
        )
    return tuple(int(n) for n in sizes)


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
