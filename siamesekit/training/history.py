"""What happened in training, epoch by epoch."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["EpochMeans", "History"]


class History(dict[str, list[float]]):
    """Numbers of each epoch, as ``{name: [one an epoch]}``; NaN where an epoch has none."""

    def append_epoch(self, numbers: Mapping[str, float]) -> None:
        """Add one epoch's numbers."""
        done = self.epochs
        for name in {**self, **numbers}:
            column = self.setdefault(name, [math.nan] * done)
            column.append(float(numbers.get(name, math.nan)))

    @property
    def epochs(self) -> int:
        """Number of epochs so far."""
        return max((len(column) for column in self.values()), default=0)


class EpochMeans:
    """Means over the batches of an epoch, leaving out NaN; read once, at the epoch's end."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Tensor]] = {}

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        """Add one batch's numbers; they stay on their device until `read`."""
        for name, number in numbers.items():
            self._seen.setdefault(name, []).append(number.detach())

    def read(self) -> dict[str, float]:
        """Return the means."""
        return {name: float(torch.stack(seen).nanmean()) for name, seen in self._seen.items()}
