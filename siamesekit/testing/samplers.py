"""What a sampler must do."""

import random
from itertools import islice

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from siamesekit.samplers import Sampler
from siamesekit.testing._findings import Findings, are_equal

__all__ = ["BASE", "check"]

BASE = Sampler


def check(part: Sampler, found: Findings) -> None:
    """Draw epochs of batches from 30 classes in 3 groups.

    Parameters
    ----------
    part : Sampler
    found : Findings
        Takes what is missing.
    """
    labels = torch.arange(30).repeat_interleave(6)

    def drawn(epoch: int, seed: int) -> list[Tensor]:
        sampler: Sampler = clone(part).bind(labels, labels // 10, seed=seed)
        sampler.set_epoch(epoch)
        # One more than it says, in case it never ends.
        return list(islice(sampler, len(sampler) + 1))

    with found.attempt("drawing from 30 classes of 6 items in 3 groups"):
        before = _global_generators()
        batches = drawn(0, seed=3)
        found.expect(
            _global_generators() == before,
            "it must draw from the generator that it is given, and leave the global ones of "
            "torch, numpy and random alone",
        )
        n_said = len(clone(part).bind(labels, labels // 10))
        found.expect(len(batches) == n_said, "its len() must be the number of batches in an epoch")
        _check_batches(batches, len(labels), found)
        found.expect(
            are_equal(drawn(0, seed=3), batches), "equal seeds must give equal batches in an epoch"
        )
        found.expect(
            not are_equal(drawn(1, seed=3), batches), "set_epoch must change what is drawn"
        )
        found.expect(
            not are_equal(drawn(0, seed=4), batches), "another seed must change the batches"
        )


def _check_batches(batches: list[Tensor], n_items: int, found: Findings) -> None:
    found.expect(batches, "an epoch must hold at least one batch")
    for batch in batches:
        paired = batch.ndim == 2 and batch.shape[1] == 2
        if batch.dtype != torch.int64 or not (paired or batch.ndim == 1):
            found.expect(
                False,
                "batches must be of int64 and of shape (b,) or (n, 2); "
                f"got {batch.dtype} of shape {tuple(batch.shape)}",
            )
            return
        if ((batch < 0) | (batch >= n_items)).any():
            found.expect(False, "batches must hold positions in the training set")
            return


def _global_generators() -> tuple[str, ...]:
    of_numpy = np.random.get_state(legacy=False)  # noqa: NPY002 -- read to see that none drew from it
    return repr(torch.get_rng_state().tolist()), repr(of_numpy), repr(random.getstate())
