"""What a loss gives where there is nothing to charge."""

from torch import Tensor

from siamesekit._scores import in_float32

__all__ = ["differentiable_zero"]


def differentiable_zero(inputs: Tensor) -> Tensor:
    """Return a 0 whose gradient with respect to `inputs` is 0, whatever they hold."""
    # The sum of nothing: 0 * inputs.sum() would be NaN where an input is not finite.
    return in_float32(inputs).reshape(-1)[:0].sum()
