"""What every loss does with what it is given."""

import torch
from torch import Tensor

from siamesekit._scores import in_float32

__all__ = ["differentiable_zero", "unless_nan"]


def differentiable_zero(inputs: Tensor) -> Tensor:
    """Return a 0 whose gradient with respect to `inputs` is 0, whatever they hold."""
    # The sum of nothing: 0 * inputs.sum() would be NaN where an input is not finite.
    return in_float32(inputs).reshape(-1)[:0].sum()


def unless_nan(value: Tensor, inputs: Tensor) -> Tensor:
    """Return `value`, or not-a-number (as is its gradient) where any of `inputs` is.

    A charge reads few of the scores: without this, one that is not a number, and makes every
    weight one in the backward pass, could stand beside a finite loss.
    """
    if not inputs.numel():
        return value
    # The largest of some numbers is NaN if one of them is; unlike a mask it takes no memory.
    spoilt = inputs.detach().amax().isnan()
    return value * torch.where(spoilt, torch.nan, 1.0).to(value.dtype)
