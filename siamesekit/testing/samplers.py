"""What a sampler must do."""

from itertools import islice

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
    given = labels.clone()

    def drawn(epoch: int, seed: int) -> list[Tensor]:
        sampler: Sampler = clone(part).bind(labels, labels // 10, seed=seed)
        sampler.set_epoch(epoch)
        # One more than it says, in case it never ends.
        return list(islice(sampler, len(sampler) + 1))

    with found.attempt("drawing from 30 classes of 6 items in 3 groups"):
        batches = drawn(0, seed=3)
        found.expect(torch.equal(labels, given), "it must leave the labels as they are")
        n_said = len(clone(part).bind(labels, labels // 10))
        found.expect(len(batches) == n_said, "its len() must be the number of batches in an epoch")
        odd = [type(batch).__name__ for batch in batches if not isinstance(batch, Tensor)]
        if odd:
            found.expect(False, f"batches must be Tensors; got {odd[0]}")
            return
        if _are_positions(batches, len(labels), found):
            _check_pairs(batches, labels, found)
        found.expect(
            are_equal(drawn(0, seed=3), batches), "equal seeds must give equal batches in an epoch"
        )
        found.expect(
            not are_equal(drawn(1, seed=3), batches), "set_epoch must change what is drawn"
        )
        found.expect(
            not are_equal(drawn(0, seed=4), batches), "another seed must change the batches"
        )


def _are_positions(batches: list[Tensor], n_items: int, found: Findings) -> bool:
    """Return whether all are positions; note what is wrong with the first that is not."""
    found.expect(batches, "an epoch must hold at least one batch")
    for batch in batches:
        paired = batch.ndim == 2 and batch.shape[1] == 2
        if batch.dtype != torch.int64 or not (paired or batch.ndim == 1):
            found.expect(
                False,
                "batches must be of int64 and of shape (b,) or (n, 2); "
                f"got {batch.dtype} of shape {tuple(batch.shape)}",
            )
            return False
        if ((batch < 0) | (batch >= n_items)).any():
            found.expect(False, "batches must hold positions in the training set")
            return False
    return bool(batches)


def _check_pairs(batches: list[Tensor], labels: Tensor, found: Findings) -> None:
    """Look for items that meet themselves, and for a batch with both kinds of pair."""
    both = False
    for batch in batches:
        pairs = batch if batch.ndim == 2 else torch.combinations(batch)
        found.expect(
            len(pairs), "a batch must hold two items or more: alone there is no comparison"
        )
        found.expect(
            (pairs[:, 0] != pairs[:, 1]).all(),
            "no item may be twice in a batch, or in a pair with itself: compared with itself it is "
            "a pair of one class that teaches nothing",
        )
        same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
        both |= bool(same.any() and not same.all())
    found.expect(
        both,
        "some batch of an epoch must hold two items of one class, and two of different ones: "
        "nothing else can be compared",
    )
