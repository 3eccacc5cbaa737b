"""The triplet margin loss over all triplets of a batch, exactly, without forming them."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from siamesekit._checks import check_choice, check_integer, check_number
from siamesekit._scores import check_scores, in_float32
from siamesekit._triplets import AnchorRows, Classes, Runs, row_blocks
from siamesekit._types import Tuples
from siamesekit.errors import InvalidParameterError
from siamesekit.losses.base import Loss
from siamesekit.registry import register

__all__ = [
    "BatchAllTripletLoss",
    "BatchAllTriplets",
    "batch_all_triplet_loss",
    "batch_all_triplet_loss_from_embeddings",
]


class BatchAllTriplets(NamedTuple):
    """Charges of all triplets of a batch.

    Attributes
    ----------
    mean : Tensor of float, shape ()
        Mean over all triplets; a 0 that can be differentiated where there are none.
    active : Tensor of float, shape ()
        Mean over those that cost something.
    n_triplets, n_active : Tensor of int64, shape ()
    """

    mean: Tensor
    active: Tensor
    n_triplets: Tensor
    n_active: Tensor


def batch_all_triplet_loss(distances: Tensor, labels: Tensor, margin: float) -> BatchAllTriplets:
    """Return ``max(0, d(a, p) - d(a, n) + margin)`` over all triplets of a batch.

    The active negatives of a positive pair are the nearest of its anchor; only those that are
    active for some pair are sorted. How many a pair has, and how many pairs a negative, is the
    gradient of their distances and gives the sum. O(b² log b) time; memory is that of the gradient,
    b² numbers, beside blocks of anchors.

    Parameters
    ----------
    distances : Tensor of float, shape (b, b)
    labels : Tensor of int64, shape (b,)
    margin : float
        At least 0.

    Returns
    -------
    BatchAllTriplets
    """
    wide = in_float32(distances)
    sums = _SumOverTriplets.apply(wide, labels, float(margin), 0)  # type: ignore[no-untyped-call]
    total, n_active, n_triplets = sums
    return _means(total, n_active, n_triplets)


def batch_all_triplet_loss_from_embeddings(
    embeddings: Tensor,
    labels: Tensor,
    margin: float,
    distance: Callable[[Tensor, Tensor], Tensor],
    block: int = 1024,
) -> BatchAllTriplets:
    """Return what `batch_all_triplet_loss` does, where even the b × b distances are too large.

    Anchors go in blocks, whose distances are computed again for the gradient: memory is O(block ×
    b), time twice that of one pass over the distances.

    Parameters
    ----------
    embeddings : Tensor of float, shape (b, d)
    labels : Tensor of int64, shape (b,)
    margin : float
        At least 0.
    distance : callable
        From ``(m, d)`` and ``(n, d)`` to ``(m, n)``; minus a fixed head is one.
    block : int
        Anchors at a time.

    Returns
    -------
    BatchAllTriplets
    """
    check_integer("block", block, low=1)

    def of_block(start: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = distance(embeddings[start : start + block], embeddings)
        sums: tuple[Tensor, Tensor, Tensor] = _SumOverTriplets.apply(  # type: ignore[no-untyped-call]
            in_float32(rows), labels, float(margin), start
        )
        return sums

    parts = [
        checkpoint(of_block, start, use_reentrant=False, preserve_rng_state=False)
        for start in range(0, len(labels), block)
    ]
    total, n_active, n_triplets = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
    return _means(total, n_active, n_triplets)


@register("losses", "batch-all")
class BatchAllTripletLoss(Loss):
    """The triplet margin loss over all triplets of the batch (Hermans et al. 2017, §2).

    Parameters
    ----------
    margin : float
        At least 0, in the unit of the head's distance.
    reduction : {"all", "active"}
        Mean over all triplets, or over those that cost something.

    References
    ----------
    .. [1] A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person
       re-identification", arXiv 1703.07737, 2017.
    """

    def __init__(self, margin: float = 0.2, reduction: Literal["all", "active"] = "active") -> None:
        super().__init__()
        check_number("margin", margin, low=0.0)
        check_choice("reduction", reduction, ("all", "active"))
        self.margin = margin
        self.reduction = reduction

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)
        tuples : None

        Returns
        -------
        Tensor of float, shape ()

        Raises
        ------
        InvalidParameterError
            If there is a miner.
        """
        if tuples is not None:
            raise InvalidParameterError(
                "loss 'batch-all' takes all triplets and no miner; use loss 'triplet' with one."
            )
        check_scores(inputs, labels)
        result = batch_all_triplet_loss(-in_float32(inputs), labels, self.margin)
        return result.mean if self.reduction == "all" else result.active


def _means(total: Tensor, n_active: Tensor, n_triplets: Tensor) -> BatchAllTriplets:
    return BatchAllTriplets(
        total / n_triplets.clamp(min=1), total / n_active.clamp(min=1), n_triplets, n_active
    )


class _SumOverTriplets(torch.autograd.Function):
    """Sum of charges of the triplets whose anchors are ``start .. start + r - 1``."""

    @staticmethod
    def forward(
        ctx: Any, distances: Tensor, labels: Tensor, margin: float, start: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        total = distances.new_zeros((), dtype=torch.float64)
        n_active = labels.new_zeros(())
        n_triplets = labels.new_zeros(())
        gradient = distances.new_zeros(distances.shape) if distances.requires_grad else None
        classes = Classes.of(labels)
        for rows in row_blocks(distances):
            anchors = AnchorRows(distances[rows], classes, start + rows.start)
            runs = anchors.runs(None, anchors.active(margin))
            active = runs.last - runs.first
            weight = -_triplets_of_each_negative(runs)
            total += _charges(anchors.to_positive.double() + margin, active)
            negative = runs.row * distances.shape[1] + runs.negative
            total += _charges(anchors.distances.take(negative), weight)
            n_active += active.sum()
            n_triplets += anchors.n_triplets
            if gradient is not None:
                flat = gradient[rows].view(-1)
                flat[anchors.place] = active.to(flat.dtype)
                flat[negative] = weight.to(flat.dtype)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(n_active, n_triplets)
        return total.to(distances.dtype), n_active, n_triplets

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None, None


def _triplets_of_each_negative(runs: Runs) -> Tensor:
    """Return in how many runs each negative is, int64, shape (m,)."""
    size = len(runs.row) + 1
    begun = torch.bincount(runs.first, minlength=size).cumsum(0)
    ended = torch.bincount(runs.last, minlength=size).cumsum(0)
    return (begun - ended)[:-1]


def _charges(distances: Tensor, times: Tensor) -> Tensor:
    """Return the sum of distances, each so many times; one that counts 0 times may be infinite."""
    return (distances.double() * times).masked_fill_(times == 0, 0).sum()
