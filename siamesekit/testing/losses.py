"""What a loss must do."""

import copy

import torch
from torch import Tensor

from siamesekit._random import drawing_from
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.losses import Loss
from siamesekit.losses.rows import RowLoss
from siamesekit.testing._distributed import check_with_ddp
from siamesekit.testing._findings import (
    CLASSES,
    DIM,
    EACH,
    SEED,
    Findings,
    batch_of,
    check_takes,
    is_close,
    is_finite,
)
from siamesekit.testing._precision import check_precision_of_loss

__all__ = ["BASE", "check"]

BASE = Loss


def check(part: Loss, found: Findings) -> None:
    """Charge a batch, rows of it, one that is not a number, and empty choices.

    Parameters
    ----------
    part : Loss
    found : Findings
        Takes what is missing.
    """
    check_takes(part, found)
    found.expect(
        part.wants in ("logit", "distance", None),
        f"wants must be 'logit', 'distance' or None; got {part.wants!r}",
    )
    with found.attempt("build(dim, n_classes)"):
        part.build(DIM, CLASSES)
    inputs, labels = batch_of(part.takes)
    check_precision_of_loss(part, inputs, labels, found)
    with found.attempt("charging a batch"):
        _check_charge(part, inputs, labels, found)
    with found.attempt("charging a batch of other classes"):
        _check_labels_tell(part, inputs, labels, found)
    with found.attempt("charging a batch that is in order"):
        _check_direction(part, labels, found)
    with found.attempt("charging rows of a batch"):
        _check_rows(part, inputs, labels, found)
    _check_not_a_number(part, inputs, labels, found)
    empty: tuple[Tuples, ...] = (Pairs.empty(), Triplets.empty())
    for tuples in empty:
        what = f"an empty choice of {type(tuples).__name__.lower()}"
        with found.attempt(f"charging {what}"):
            _check_empty_choice(part, inputs, labels, tuples, what, found)
    check_with_ddp(found, loss=part)


def _check_charge(part: Loss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    leaf, classes = inputs.clone().requires_grad_(), labels.clone()
    value = part(leaf, classes)
    if not found.expect_tensor(value, "forward"):
        return
    found.expect(
        value.shape == () and value.is_floating_point(),
        f"forward must return a float scalar; got {value.dtype} of shape {tuple(value.shape)}",
    )
    found.expect(value.isfinite().all(), f"the loss of a random batch must be finite; got {value}")
    if not value.requires_grad:
        found.expect(False, "the loss must be differentiable with respect to its inputs")
        return
    value.sum().backward()
    found.expect(is_finite(leaf.grad), "the gradient must reach the inputs and be finite")
    found.expect(
        leaf.grad is None or leaf.grad.any(), "the gradient of a random batch must not be all zero"
    )
    found.expect(
        torch.equal(leaf, inputs) and torch.equal(classes, labels),
        "forward must leave its inputs and labels as they are",
    )


def _check_labels_tell(part: Loss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    def gradient(classes: Tensor) -> Tensor | None:
        leaf = inputs.clone().requires_grad_()
        with drawing_from(SEED):
            # What a loss remembers of one call must not tell in the next.
            value = copy.deepcopy(part)(leaf, classes)
        if found.expect_tensor(value, "forward") and value.requires_grad:
            value.sum().backward()
        return leaf.grad

    as_given = gradient(labels)
    # Half of each class goes to the next one.
    otherwise = gradient(labels.roll(EACH // 2))
    if as_given is not None and otherwise is not None:
        found.expect(
            not torch.equal(as_given, otherwise),
            "the labels must tell: where other items are of one class, the gradient is the same",
        )


def _check_direction(part: Loss, labels: Tensor, found: Findings) -> None:
    """Charge scores that are as they should be, and such that are the other way round."""
    if part.takes != "scores":
        return  # Some have weights, by which embeddings lie well or badly.
    apart = -4.0 * (labels[:, None] != labels)
    right, wrong = (
        torch.as_tensor(copy.deepcopy(part)(scores, labels)).sum() for scores in (apart, -4 - apart)
    )
    found.expect(
        right < wrong,
        "higher scores mean more alike: scores of 0 within classes and -4 between them must cost "
        f"less than the other way round; they cost {float(right):g} and {float(wrong):g}",
    )


def _check_rows(part: Loss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    if part.takes != "scores":
        # Embeddings come whole to every rank, whatever rows are its own.
        value = part(inputs, labels, start=0)
        if found.expect_tensor(value, "forward"):
            finite = value.isfinite().all()
            found.expect(finite, f"with start=0 the loss must be finite; got {value}")
        return
    rows = inputs[EACH : 2 * EACH]
    leaf = rows.clone().requires_grad_()
    value = part(leaf, labels, start=EACH)
    if not found.expect_tensor(value, "forward"):
        return
    found.expect(
        value.shape == () and value.isfinite(),
        f"of rows of scores, (r, b) with start, the loss must be a finite scalar; got {value}",
    )
    value.backward()
    found.expect(is_finite(leaf.grad), "the gradient must reach rows of scores and be finite")
    # The same items in another order of the batch, in which these rows come first.
    first = part(rows.roll(-EACH, dims=1), labels.roll(-EACH), start=0)
    found.expect(
        is_close(value.detach(), first.detach()),
        "row i of scores must be item start + i of the batch: rows from the middle cost "
        f"{value.item():g}, and {first.item():g} where the batch begins with them",
    )
    if isinstance(part, RowLoss):
        _check_shares(part, inputs, labels, found)


def _check_shares(part: RowLoss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    shares = [
        part.share(inputs[i : i + EACH], labels, None, i) for i in range(0, len(labels), EACH)
    ]
    parted = sum(s.total.detach() for s in shares) / sum(s.weight.detach() for s in shares)
    whole = part(inputs, labels).detach()
    found.expect(
        is_close(torch.as_tensor(parted), whole),
        "what processes charge with some rows each must make up the loss of the batch: totals over "
        f"weights are {float(parted):g}, and the batch costs {whole.item():g}; charge_rows must "
        "return sums, not means",
    )


def _check_not_a_number(part: Loss, inputs: Tensor, labels: Tensor, found: Findings) -> None:
    spoilt = inputs.clone()
    spoilt[1] = torch.nan
    if part.takes == "scores":
        spoilt[:, 1] = torch.nan
    value = found.attempt_in_time(
        "charging a batch with an item that is not a number",
        lambda: torch.as_tensor(part(spoilt.requires_grad_(), labels)).detach(),
    )
    found.expect(
        value is None or value.isnan().all(),
        f"a batch with an item that is not a number must cost not-a-number; got {value}",
    )


def _check_empty_choice(
    part: Loss, inputs: Tensor, labels: Tensor, tuples: Tuples, what: str, found: Findings
) -> None:
    leaf = inputs.clone().requires_grad_()
    try:
        value = part(leaf, labels, tuples)
    except ValueError:
        return  # A loss may refuse pairs, triplets or any miner, and then there is no choice.
    if not found.expect_tensor(value, "forward"):
        return
    found.expect(
        value.shape == () and value.requires_grad and float(value.detach()) == 0,
        f"{what} must give a 0 that can be differentiated; got {value}",
    )
