"""Features of any scale and offset, brought to mean 0 and deviation 1 in float64."""

import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError
from siamesekit.training.items import Items, as_protocol, blocks_of

__all__ = ["Standardizer"]

_ROWS = 4096
# Quantiles beyond which a value may be an outlier, and how many of their distances away it is one.
_QUANTILES = (0.05, 0.95)
_FAR = 10.0
# From so many deviations on, values are drawn in, to twice as many at most.
_LINEAR = 10.0
# An outlier so far out is told of: it is more likely a mark for "missing" than a measurement.
_SUSPECT = 1000.0
_NAMED = 3


class Standardizer(NamedTuple):
    """Offset and scale of each feature, from training items, in float64 on the CPU.

    Attributes
    ----------
    offset, scale : Tensor of float64, shape (f,)
        A feature that is constant in training has scale 1.

    Notes
    -----
    Mean and deviation are those of the values within ten spans of the middle 90 %; what lies
    further out counts as at the border of these. So one row of -9999 or 1e20 among hundreds does
    not flatten all others; `fit` warns of it. Standardised values beyond ±10 are drawn in, in
    their order, to at most ±20.
    """

    offset: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, items: Tensor | Items, name: str = "X") -> Self:
        """Return offset and scale of the features of `items`, shape (n, f).

        Those that are read when needed are read some times over.

        Raises
        ------
        InvalidDataError
            If a number is NaN or infinite.

        Warns
        -----
        UserWarning
            If a value is more than a thousand spans away from the others; it is named.
        """
        if isinstance(items, Tensor):
            _check_finite(items, name)
        # Of rows spread over all of them: quantiles need no more.
        spread = items[:: max(1, len(items) // _ROWS)]
        some = torch.cat(list(_blocks(spread)))
        # Halves, so that the span of the greatest floats is one too.
        low, high = 2 * torch.from_numpy(np.quantile((some / 2).numpy(), _QUANTILES, axis=0))
        # The difference of two floats may be beyond the greatest: halves have one.
        span = 2 * (high / 2 - low / 2)
        usual = _Usual(low, high, torch.where(span > 0, span, torch.inf))
        size = torch.zeros_like(low)
        for block in _blocks(items):
            size = torch.maximum(size, usual.draw_in(block).abs().amax(0))
        size = torch.where(size > 0, size, 1.0)
        mean = torch.zeros_like(low)
        for block in _blocks(items):
            mean += (usual.draw_in(block) / size).sum(0) / len(items)
        variance = torch.zeros_like(low)
        for block in _blocks(items):
            variance += (usual.draw_in(block) / size - mean).square().sum(0) / len(items)
        deviation = variance.sqrt()
        # Rounding alone is no variation.
        varies = deviation > 8 * torch.finfo(torch.float64).eps * mean.abs()
        _warn_of_outliers(items, usual, name)
        return cls(mean * size, torch.where(varies, deviation * size, 1.0))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self | None:
        """Return what was written as ``standardizer.offset`` and ``.scale``, or None."""
        if "standardizer.offset" not in state:
            return None
        return cls(state["standardizer.offset"].cpu(), state["standardizer.scale"].cpu())

    def __call__(self, items: Tensor, name: str = "X") -> Tensor:
        """Return standardised items, float32 on the CPU, shape (n, f).

        Raises
        ------
        InvalidDataError
            If a number is NaN or infinite.
        """
        _check_finite(items, name)
        return torch.cat([self._block(block).float() for block in _blocks(items)])

    def _block(self, block: Tensor) -> Tensor:
        # Halves again: the difference of two floats may be beyond the greatest of them.
        z = ((block / 2 - self.offset / 2) / self.scale * 2).clamp(-1e300, 1e300)
        over = (z.abs() / _LINEAR - 1).clamp_min(0)
        drawn_in = _LINEAR * (1 + over / (1 + over)) * z.sign()
        return torch.where(over > 0, drawn_in, z)


def _blocks(items: Tensor | Items) -> Iterator[Tensor]:
    """Yield rows in float64 on the CPU, never a second copy of all."""
    for block in blocks_of(as_protocol(items), _ROWS):
        yield block.cpu().double()


def _check_finite(items: Tensor, name: str) -> None:
    if not items.is_floating_point():
        return
    finite = torch.isfinite(items).all(1)
    if not bool(finite.all()):
        item = int((~finite).nonzero()[0])
        raise InvalidDataError(f"{name} contains NaN or infinity, in item {item}.")


class _Usual(NamedTuple):
    """Where the middle 90 % of each feature lie: `span` is infinite where they are all one."""

    low: Tensor
    high: Tensor
    span: Tensor

    def is_far(self, block: Tensor, spans: float) -> Tensor:
        """Return which values lie more than so many spans outside."""
        reach = spans * self.span
        return (block < self.low - reach) | (block > self.high + reach)

    def draw_in(self, block: Tensor) -> Tensor:
        """Return the values, those far outside at the border."""
        border = torch.minimum(torch.maximum(block, self.low), self.high)
        return torch.where(self.is_far(block, _FAR), border, block)


def _warn_of_outliers(items: Tensor | Items, usual: _Usual, name: str) -> None:
    found: list[str] = []
    count = 0
    for k, block in enumerate(_blocks(items)):
        far = usual.is_far(block, _SUSPECT)
        count += int(far.any(1).sum())
        for row, feature in far.nonzero()[:_NAMED].tolist():
            found.append(f"{block[row, feature]:g} in item {k * _ROWS + row}, feature {feature}")
    if count:
        warnings.warn(
            f"{name} holds numbers more than {_SUSPECT:g} times as far out as the others, in "
            f"{count} of {len(items)} items: {'; '.join(found[:_NAMED])}. They count as outliers. "
            "If they stand for missing values, remove these items or fill them.",
            UserWarning,
            stacklevel=2,
        )
