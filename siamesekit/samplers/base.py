"""What every sampler is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._params import Part
from siamesekit.errors import InvalidDataError, NotBuiltError

__all__ = ["Sampler"]


class Sampler(Part, ABC):
    """An iterable of index batches over a training set.

    The constructor takes hyper-parameters only; `bind` ties the sampler to labels and a seed.
    Epoch ``e`` of a sampler bound with seed ``s`` is the same whenever and wherever it is drawn.
    """

    labels: Tensor | None = None
    groups: Tensor | None = None
    seed: int = 0
    epoch: int = 0

    def bind(self, labels: Tensor, groups: Tensor | None = None, *, seed: int = 0) -> Self:
        """Tie the sampler to a training set.

        Parameters
        ----------
        labels : Tensor of int64, shape (n,)
            Class of each item.
        groups : Tensor of int64, shape (n,), optional
            Group of each item (the alphabet of a character); a class lies in one group.
        seed : int

        Returns
        -------
        Sampler
            Itself.

        Raises
        ------
        InvalidDataError
            If labels or groups are no such tensors, or the training set cannot be sampled in this
            way (one class, too few items, …).
        InvalidParameterError
            If `seed` is no integer of at least 0.
        """
        _check_codes("labels", labels)
        if groups is not None:
            _check_codes("groups", groups)
        check_integer("seed", seed, low=0)
        if groups is not None and groups.shape != labels.shape:
            raise InvalidDataError(
                f"groups must have one entry an item ({len(labels)}); got {len(groups)}."
            )
        before = dict(vars(self))
        self.labels, self.groups = labels.cpu(), None if groups is None else groups.cpu()
        self.seed, self.epoch = seed, 0
        try:
            self.check()
        except InvalidDataError:
            self.__dict__ = before
            raise
        return self

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration draw epoch number `epoch`, counted from 0."""
        self.epoch = check_integer("epoch", epoch, low=0)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches of int64 positions: ``(b,)``, or ``(n, 2)`` where items are paired."""
        self.require_bound()
        # A stream per (seed, epoch): the multiplier keeps neighbouring seeds' epochs apart.
        stream = (self.seed * 1_000_003 + self.epoch) % 2**63
        yield from self.batches(torch.Generator().manual_seed(stream))

    def require_bound(self) -> None:
        """Raise `NotBuiltError` before `bind`."""
        if self.labels is None:
            raise NotBuiltError(f"{type(self).__name__}: call bind(labels) first.")

    @abstractmethod
    def check(self) -> None:
        """Raise `InvalidDataError` if the bound training set cannot be sampled in this way."""

    @abstractmethod
    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the batches of one epoch, drawing from `generator` alone."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches in an epoch."""


def _check_codes(name: str, codes: object) -> None:
    if not isinstance(codes, Tensor):
        raise InvalidDataError(
            f"{name} must be a Tensor of int64, shape (n,); got {type(codes).__name__}. "
            "torch.as_tensor makes one of a list or an array."
        )
    if codes.ndim != 1 or codes.is_floating_point() or codes.is_complex():
        raise InvalidDataError(
            f"{name} must be a Tensor of int64, shape (n,); got {codes.dtype}, "
            f"shape {tuple(codes.shape)}."
        )
