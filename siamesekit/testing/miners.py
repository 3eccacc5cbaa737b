"""What a miner must do."""

import torch
from torch import Tensor

from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.miners import Miner
from siamesekit.testing._findings import Findings, batch_of, check_takes

__all__ = ["BASE", "check"]

BASE = Miner


def check(part: Miner, found: Findings) -> None:
    """Choose from a batch, from one of one class, and from one that is not a number.

    Parameters
    ----------
    part : Miner
    found : Findings
        Takes what is missing.
    """
    check_takes(part, found)
    inputs, labels = batch_of(part.takes)
    for what, own in (("a batch", labels), ("a batch of one class", torch.zeros_like(labels))):
        with found.attempt(f"choosing from {what}"):
            given, classes = inputs.clone(), own.clone()
            chosen = part(given, classes)
            found.expect(
                torch.equal(given, inputs) and torch.equal(classes, own),
                "a miner must leave its inputs and labels as they are",
            )
            _check_tuples(chosen, own, what, found)

    spoilt = inputs.clone()
    spoilt[1] = torch.nan
    if part.takes == "scores":
        spoilt[:, 1] = torch.nan
    chosen = found.attempt_in_time(
        "choosing from a batch with an item that is not a number", lambda: part(spoilt, labels)
    )
    if chosen is not None:
        _check_tuples(chosen, labels, "a batch with an item that is not a number", found)


def _check_tuples(chosen: Tuples, labels: Tensor, what: str, found: Findings) -> None:
    if not isinstance(chosen, Pairs | Triplets):
        found.expect(False, f"a miner must return Pairs or Triplets; got {type(chosen).__name__}")
        return
    if not all(isinstance(index, Tensor) for index in chosen):
        got = ", ".join(type(index).__name__ for index in chosen)
        found.expect(False, f"from {what}: positions must be Tensors; got {got}")
        return
    sizes = {tuple(index.shape) for index in chosen}
    if len(sizes) > 1 or len(sizes.pop()) != 1:
        found.expect(False, f"from {what}: index tensors must be vectors of one length")
        return
    if any(index.dtype != torch.int64 for index in chosen):
        got = ", ".join(str(index.dtype) for index in chosen)
        found.expect(False, f"from {what}: index tensors must be of int64; got {got}")
        return
    if any(((index < 0) | (index >= len(labels))).any() for index in chosen):
        found.expect(False, f"from {what}: positions must lie in the batch")
        return
    first, second = chosen[:2]
    found.expect((first != second).all(), f"from {what}: no item may be paired with itself")
    if isinstance(chosen, Triplets):
        found.expect(
            (labels[chosen.a] == labels[chosen.p]).all(),
            f"from {what}: a positive must be of its anchor's class",
        )
        found.expect(
            (labels[chosen.a] != labels[chosen.n]).all(),
            f"from {what}: a negative must be of another class than its anchor",
        )
