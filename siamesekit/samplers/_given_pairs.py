"""Pairs that were given, in a new order every epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit.errors import InvalidDataError
from siamesekit.samplers.base import Sampler

__all__ = ["GivenPairs"]


class GivenPairs(Sampler):
    """Items ``2k`` and ``2k + 1`` as a pair, each once an epoch, and no other.

    For pairs of which nothing is known but whether each is of one class: no two items meet that
    were not said to be the same, or different. Labels are equal where a pair is the same.

    Parameters
    ----------
    batch_size : int
        Pairs in a batch; the last one may be smaller.
    """

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = check_integer("batch_size", batch_size, low=1)

    def check(self) -> None:
        """Raise `InvalidDataError` if an item is left alone."""
        assert self.labels is not None
        if len(self.labels) == 0 or len(self.labels) % 2:
            raise InvalidDataError(
                f"labels must be of pairs, an even number of items; got {len(self.labels)}."
            )

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield pairs of positions, shape ``(n, 2)``."""
        order = torch.randperm(self._n_pairs(), generator=generator)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield torch.stack([2 * chosen, 2 * chosen + 1], dim=1)

    def __len__(self) -> int:
        return -(-self._n_pairs() // self.batch_size)

    def _n_pairs(self) -> int:
        self.require_bound()
        assert self.labels is not None
        return len(self.labels) // 2
