"""What is trained on: one protocol for items in memory and items that are read when needed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from siamesekit._checks import check_kind, shown
from siamesekit._types import Shape
from siamesekit.errors import InvalidDataError

__all__ = [
    "Augment",
    "Items",
    "TensorItems",
    "as_float",
    "as_protocol",
    "blocks_of",
    "finish_batch",
    "own_float",
]

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Takes a float batch and a generator on the same device; returns the changed batch."""


class Items(ABC):
    """Items of one shape, wherever they are: samplers give positions, and batches come out.

    What trains, embeds, validates and calibrates knows nothing else of its items, so it never
    holds all of them.

    Attributes
    ----------
    shape : tuple of int
        ``(n, c, h, w)`` or ``(n, f)``.
    device : torch.device
        Where batches come out.
    """

    shape: Shape
    device: torch.device

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """2 of vectors, 4 of images."""
        return len(self.shape)

    @abstractmethod
    def take(self, index: Tensor) -> Tensor:
        """Return the items at some positions, (b, …), of uint8, bool or float.

        Parameters
        ----------
        index : Tensor of int64, shape (b,)
        """

    @abstractmethod
    def __getitem__(self, index: Any) -> "Items":
        """Return some of the items: an array or tensor of positions or bool, or a slice."""

    @abstractmethod
    def batches(self, indexes: Iterable[Tensor], seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each of some batches of positions with its items, in their order.

        Parameters
        ----------
        indexes : iterable of Tensor of int64
            Of any shape; the items are those of ``index.flatten()``.
        seed : int
            Of a data set that draws as it is read.
        """

    @abstractmethod
    def to(self, device: torch.device) -> "Items":
        """Return the items where `device` has them at hand, if they can be held there."""

    @abstractmethod
    def content(self) -> Any:
        """Return what tells these items from others, for `siamesekit.training.fingerprint`."""


class TensorItems(Items):
    """Items in a tensor.

    Parameters
    ----------
    tensor : Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.shape = tuple(tensor.shape)
        self.device = tensor.device

    def take(self, index: Tensor) -> Tensor:  # noqa: D102
        return self.tensor[index.to(self.device)]

    def __getitem__(self, index: Any) -> "TensorItems":
        return TensorItems(self.tensor[index])

    def batches(  # noqa: D102
        self, indexes: Iterable[Tensor], seed: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for index in indexes:
            yield index, self.take(index.flatten())

    def to(self, device: torch.device) -> "TensorItems":  # noqa: D102
        return TensorItems(self.tensor.to(device))

    def content(self) -> Tensor:  # noqa: D102
        return self.tensor


def as_protocol(items: object) -> Items:
    """Return items as `Items`; a tensor is wrapped.

    Raises
    ------
    InvalidDataError
        If they are neither, or a tensor of which a backbone takes no batches.
    """
    if isinstance(items, Items):
        return items
    known = isinstance(items, Tensor) and items.ndim >= 2 and items.layout == torch.strided
    if not known or len(items) == 0 or items.is_complex():  # type: ignore[arg-type, attr-defined]
        raise InvalidDataError(
            f"items must be a dense tensor of shape (n, c, h, w) or (n, f); got {shown(items)}."
        )
    return TensorItems(items)  # type: ignore[arg-type]


def blocks_of(items: Items, size: int) -> Iterator[Tensor]:
    """Yield all items in order, in blocks of `size`."""
    if isinstance(items, TensorItems):
        yield from torch.split(items.tensor, size)  # views: nothing is copied
        return
    for _, block in items.batches(torch.split(torch.arange(len(items)), size)):
        yield block


def as_float(items: Tensor) -> Tensor:
    """Return items as float32: uint8 divided by 255, bool as 0 and 1, floats as they are.

    Raises
    ------
    InvalidParameterError
        If `items` is no tensor.
    """
    check_kind("items", items, Tensor)
    if items.dtype == torch.uint8:
        return items.float().div_(255)
    return items.float()


def own_float(items: Tensor, device: torch.device) -> Tensor:
    """Return items as float32 on `device`, in memory that no one else reads."""
    floats = as_float(items.to(device))
    # A network may work in place (``nn.ReLU(inplace=True)`` first), and `items` are the caller's.
    return floats.clone() if floats.data_ptr() == items.data_ptr() else floats


def finish_batch(
    batch: Tensor, augment: Augment | None, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Return a batch that `Items` gave as a float batch on `device`, augmented if asked.

    Parameters
    ----------
    batch : Tensor of uint8, bool or float, shape (b, c, h, w) or (b, f)
        A copy of its own.
    augment : callable, optional
    generator : torch.Generator
        On `device`.
    device : torch.device

    Raises
    ------
    InvalidDataError
        If `augment` returns anything but a float batch of as many items.
    """
    # Bytes cross to the device, not floats: a quarter of the traffic.
    floats = as_float(batch.to(device))
    return floats if augment is None else _augmented(floats, augment, generator)


def _augmented(batch: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    n = len(batch)
    changed: object = augment(batch, generator)
    if not isinstance(changed, Tensor):
        found = shown(changed)
    elif changed.ndim == 0 or len(changed) != n or not changed.is_floating_point():
        found = f"{changed.dtype} of shape {tuple(changed.shape)}"
    else:
        return changed
    raise InvalidDataError(f"augment must return a float batch of {n} items; got {found}.")
