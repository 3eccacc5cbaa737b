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
        by at most one, so that none is a small leftover. Pairs of an odd number of items are the
        exception: a batch of three then takes in the one that would be left.
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
        # Batch normalisation and losses have no use for a batch of one.
        return n_batches if self._n_items >= 2 * n_batches else n_batches - 1
