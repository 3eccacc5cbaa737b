"""Plain shuffled batches."""

from collections.abc import Iterator

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit.registry import register
from siamesekit.samplers._classes import ClassTable
from siamesekit.samplers.base import Sampler

__all__ = ["RandomSampler"]


@register("samplers", "random")
class RandomSampler(Sampler):
    """Every item once an epoch, in random order, whatever its class.

    Right where a batch holds many items of each of few classes anyway (ten digits); with many
    classes most items of such a batch have no partner of their own class.

    Parameters
    ----------
    batch_size : int, default=256
        Largest batch. The epoch is cut into as few batches as that allows, of sizes that differ
        by at most one. Where that would leave a batch of one item, or of two with a `batch_size`
        above two, there is one batch less, and batches are larger.
    """

    def __init__(self, batch_size: int = 256) -> None:
        self.batch_size = check_integer("batch_size", batch_size, low=2)
        self._n_items = 0

    def check(self) -> None:
        """Raise `InvalidDataError` if there are fewer than two classes, or one in two groups."""
        assert self.labels is not None
        self._n_items = len(ClassTable(self.labels, self.groups).class_of)

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield positions, shape ``(b,)``."""
        order = torch.randperm(self._n_items, generator=generator)
        yield from order.tensor_split(len(self))

    def __len__(self) -> int:
        self.require_bound()
        n_batches = -(-self._n_items // self.batch_size)
        too_small = self._n_items // n_batches < min(self.batch_size, 3)
        return max(1, self._n_items // self.batch_size) if too_small else n_batches
