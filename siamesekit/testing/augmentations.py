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

    def changed(seed: int) -> Tensor:
        outcome: Tensor = part(batch, torch.Generator().manual_seed(seed))
        return outcome

    first = changed(SEED)
    if not isinstance(first, Tensor):
        found.expect(False, f"it must return a Tensor; got {type(first).__name__}")
        return
    found.expect(torch.equal(batch, given), "it must leave the batch that it is given as it is")
    found.expect(
        first.shape == given.shape and first.dtype == given.dtype,
        f"it must return a batch of the same shape and type; got {first.dtype} of shape "
        f"{tuple(first.shape)} for {given.dtype} of shape {tuple(given.shape)}",
    )
    found.expect(first.isfinite().all(), "what it returns must be finite")
    found.expect(
        torch.equal(changed(SEED), first),
        "equal generators must give equal batches: it must draw from its generator alone",
    )
