"""Normalisations of feature maps, by name."""

import math

from torch import nn

from siamesekit._checks import check_choice

__all__ = ["check_norm", "make_norm"]

_NORMS = ("batch", "group")
_GROUPS = 8


def check_norm(norm: str) -> None:
    """Raise `InvalidParameterError` unless `norm` is ``"batch"`` or ``"group"``."""
    check_choice("norm", norm, _NORMS)


def make_norm(norm: str, width: int) -> nn.Module:
    """Return a normalisation of maps with `width` channels.

    Parameters
    ----------
    norm : {"batch", "group"}
        Over the batch, or over groups of the channels of each image (8 groups, or as many up to 8
        as divide `width`): Y. Wu, K. He, "Group normalization", ECCV 2018.
    width : int
    """
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(math.gcd(_GROUPS, width), width)
