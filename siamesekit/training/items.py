"""Items in memory, and the float batches made of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit._checks import check_kind, shown
from siamesekit.errors import InvalidDataError

__all__ = ["Augment", "as_float", "check_items", "draw_batch", "own_float"]

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Takes a float batch and a generator on the same device; returns the changed batch."""


def check_items(items: object) -> None:
    """Raise `InvalidDataError` unless `items` are a tensor of which a backbone takes batches."""
    known = isinstance(items, Tensor) and items.ndim >= 2 and items.layout == torch.strided
    if not known or len(items) == 0 or items.is_complex():  # type: ignore[arg-type, attr-defined]
        raise InvalidDataError(
            f"items must be a dense tensor of shape (n, c, h, w) or (n, f); got {shown(items)}."
        )


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


def draw_batch(
    items: Tensor,
    index: Tensor,
    augment: Augment | None,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Return the items at `index` as a float batch on `device`, augmented if asked.

    Parameters
    ----------
    items : Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
    index : Tensor of int64, shape (b,)
        On the CPU, as samplers draw it.
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
    batch = as_float(items[index.to(items.device)].to(device))
    return batch if augment is None else _augmented(batch, augment, generator)


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
