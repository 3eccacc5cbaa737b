"""Loss scaling, so that small gradients are not lost in float16."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["LossScaler"]

_FIRST = 2.0**16
_LARGEST = 2.0**24
_DOWN, _UP = 0.25, 2.0
# Steps without an overflow after which a larger scale is tried.
_PATIENCE = 2000


class LossScaler:
    """Multiplies the loss by as much as float16 bears, and divides the gradients by it.

    Numbers of float16 end at 65,504 and at 6e-8, below which many gradients lie. So the loss is
    scaled up for the backward pass [1]_. Where gradients overflow, the step is taken again at a
    quarter of the scale: no batch is lost. After 2,000 steps without, the scale is doubled.

    Attributes
    ----------
    scale : float
        A power of two, from 1 to 2**24.
    overflows : int
        How often a step was taken again, since this was last set to 0.

    References
    ----------
    .. [1] P. Micikevicius et al., "Mixed precision training", ICLR 2018, §3.2.
    """

    def __init__(self) -> None:
        self.scale = _FIRST
        self.overflows = 0
        self._since = 0
        self._before = self.scale

    def unscale(self, weights: Iterable[nn.Parameter]) -> None:
        """Divide the gradients of some weights by the scale."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        torch._foreach_mul_(gradients, 1.0 / self.scale)

    def shrink(self) -> bool:
        """Make the scale smaller; return False where it is 1 and gradients overflow by themselves.

        The scale is then what it was before the batch: it is not to blame.
        """
        if self.scale <= 1.0:
            self.scale = self._before
            return False
        self.overflows += 1
        self.scale, self._since = max(1.0, self.scale * _DOWN), 0
        return True

    def begin(self) -> None:
        """Remember the scale before a batch."""
        self._before = self.scale

    def grow(self) -> None:
        """Count a step that was taken, and try a larger scale when it is time."""
        self._since += 1
        if self._since >= _PATIENCE:
            self.scale, self._since = min(_LARGEST, self.scale * _UP), 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"scale": self.scale, "since": self._since}

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        ValueError
            If it is none.
        """
        scale, since = state["scale"], state["since"]
        if not 1.0 <= scale <= _LARGEST or not math.log2(scale).is_integer():
            raise ValueError(f"its loss scale cannot be {scale!r}")
        if type(since) is not int or not 0 <= since < _PATIENCE:
            raise ValueError(f"its loss scale cannot be {since!r} steps old")
        self.scale, self._since = float(scale), since
