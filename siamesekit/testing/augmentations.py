"""What an augmentation must do."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from siamesekit.testing._findings import SEED, Findings

__all__ = ["BASE", "check"]

BASE: Any = Callable

_SHAPES = ((4, 1, 16, 16), (4, 3, 20, 12))


def check(part: Any, found: Findings) -> None:
    """Change batches of images, grey and in colour, square and not.

    Parameters
    ----------
    part : callable
        From a batch and a generator to a batch.
    found : Findings
        Takes what is missing.
    """
    for shape, dtype in itertools.product(_SHAPES, (torch.float32, torch.float64)):
        with found.attempt(f"changing a batch of {dtype} of shape {shape}"):
            _check_batch(part, torch.rand(shape, dtype=dtype), found)


def _check_batch(part: Any, batch: Tensor, found: Findings) -> None:
    given = batch.clone()

    def changed(batch: Tensor) -> Tensor:
        outcome: Tensor = part(batch, torch.Generator().manual_seed(SEED))
        return outcome

    first = changed(batch)
    if not isinstance(first, Tensor):
        found.expect(False, f"it must return a Tensor; got {type(first).__name__}")
        return
    found.expect(torch.equal(batch, given), "it must leave the batch that it is given as it is")
    is_alike = _kind(first) == _kind(given)
    found.expect(
        is_alike,
        "it must return a batch of the same shape and type, on the same device; got "
        f"{_kind(first)} for {_kind(given)}",
    )
    if first.device != given.device:
        return
    found.expect(first.isfinite().all(), "what it returns must be finite")
    found.expect(
        torch.equal(changed(batch), first),
        "equal generators must give equal batches: it must draw from its generator alone",
    )
    found.expect(
        not is_alike or all(_others_stay(changed, batch, first, k) for k in range(len(batch))),
        "each item must stay in its place and be changed by itself, whatever else is in the batch: "
        "its label stays there too",
    )


def _others_stay(changed: Callable[[Tensor], Tensor], batch: Tensor, first: Tensor, k: int) -> bool:
    """Return whether all items but number `k` are changed as before if that one is another."""
    inverted = batch.clone()
    inverted[k] = 1 - inverted[k]
    others = torch.arange(len(batch)) != k
    return torch.equal(changed(inverted)[others], first[others])


def _kind(batch: Tensor) -> str:
    return f"{batch.dtype} of shape {tuple(batch.shape)} on {batch.device}"
