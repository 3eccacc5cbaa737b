"""The backbone for data of a given shape."""

from siamesekit._types import Shape
from siamesekit.backbones._shapes import check_shape
from siamesekit.backbones.base import Backbone
from siamesekit.backbones.residual import ResidualNet
from siamesekit.backbones.residual_mlp import ResidualMLP

__all__ = ["choose_backbone"]

_SMALLEST_IMAGE = 8


def choose_backbone(input_shape: Shape) -> Backbone:
    """Return a new backbone that suits items of `input_shape`.

    Parameters
    ----------
    input_shape : tuple of int
        ``(f,)`` or ``(c, h, w)``.

    Returns
    -------
    Backbone
        `ResidualNet` for images of 8×8 pixels or more, else `ResidualMLP`.

    Raises
    ------
    InvalidParameterError
        If `input_shape` is no shape.
    """
    shape = check_shape(input_shape)
    is_image = len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE
    return ResidualNet() if is_image else ResidualMLP()
