"""The triplet margin loss over all triplets of a batch, exactly, without forming them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from siamesekit._checks import check_integer, check_number
from siamesekit._scores import check_embeddings, check_scores, in_float32, is_float_matrix, shown
from siamesekit._triplets import AnchorRows, Classes, Runs, row_blocks
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses._inputs import unless_nan

__all__ = [
    "BatchAllTriplets",
    "TripletSum",
    "batch_all_triplet_loss",
    "batch_all_triplet_loss_from_embeddings",
    "sum_over_triplets",
]


class BatchAllTriplets(NamedTuple):
    """Charges of all triplets of a batch, or of those of some anchors.

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


class TripletSum(NamedTuple):
    """Sum of the charges of the triplets of some anchors, and their numbers."""

    total: Tensor
    n_active: Tensor
    n_triplets: Tensor


def batch_all_triplet_loss(
    distances: Tensor, labels: Tensor, margin: float, start: int = 0
) -> BatchAllTriplets:
    """Return ``max(0, d(a, p) - d(a, n) + margin)`` over all triplets of a batch.

    The active negatives of a positive pair are the nearest of its anchor; only those that are
    active for some pair are sorted. How many a pair has, and how many pairs a negative, is the
    gradient of their distances and gives the sum. O(b² log b) time; memory is that of the gradient,
    b² numbers, beside blocks of anchors.

    Parameters
    ----------
    distances : Tensor of float, shape (r, b)
        From the anchors ``start .. start + r - 1`` to every item; of a whole batch (b, b).
    labels : Tensor of int64, shape (b,)
    margin : float
        At least 0; infinity makes every triplet active.
    start : int
        Position of the first anchor in the batch.

    Returns
    -------
    BatchAllTriplets
        Not-a-number if any distance is.

    Raises
    ------
    InvalidDataError
        If distances or labels are not as said.
    InvalidParameterError
        If `margin` or `start` is not allowed.
    """
    check_integer("start", start, low=0)
    check_scores(distances, labels, start, "distance")
    _check_margin(margin)
    return _means(sum_over_triplets(in_float32(distances), labels, margin, start))


def sum_over_triplets(distances: Tensor, labels: Tensor, margin: float, start: int) -> TripletSum:
    """Return the sum of what `batch_all_triplet_loss` averages, of checked arguments."""
    sums = _SumOverTriplets.apply(  # type: ignore[no-untyped-call]
        distances, labels, float(margin), start
    )
    total, n_active, n_triplets = sums
    return TripletSum(unless_nan(total, distances), n_active, n_triplets)


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
        Not-a-number if any distance is.

    Raises
    ------
    InvalidDataError
        If embeddings, labels or what `distance` gives are not as said.
    InvalidParameterError
        If `margin` or `block` is not allowed.
    """
    check_embeddings(embeddings, labels)
    _check_margin(margin)
    check_integer("block", block, low=1)
    if not callable(distance):
        raise InvalidParameterError(
            f"distance must be a callable from embeddings to distances; got {distance!r}."
        )

    def of_block(start: int) -> TripletSum:
        anchors = embeddings[start : start + block]
        rows = distance(anchors, embeddings)
        if not is_float_matrix(rows) or rows.shape != (len(anchors), len(labels)):
            raise InvalidDataError(
                f"distance must give float distances of shape ({len(anchors)}, {len(labels)}); "
                f"got {shown(rows)}."
            )
        return sum_over_triplets(in_float32(rows), labels, margin, start)

    starts = range(0, max(1, len(labels)), block)
    parts = [
        checkpoint(of_block, start, use_reentrant=False, preserve_rng_state=False)
        for start in starts
    ]
    return _means(TripletSum(*(torch.stack(part).sum(0) for part in zip(*parts, strict=True))))


def _check_margin(margin: object) -> None:
    if not (isinstance(margin, float) and margin == torch.inf):
        check_number("margin", margin, low=0)


def _means(sums: TripletSum) -> BatchAllTriplets:
    total, n_active, n_triplets = sums
    return BatchAllTriplets(
        total / n_triplets.clamp(min=1), total / n_active.clamp(min=1), n_triplets, n_active
    )


class _SumOverTriplets(torch.autograd.Function):
    """Sum of charges of the triplets whose anchors are ``start .. start + r - 1``."""

    @staticmethod
    def forward(
        ctx: Any, distances: Tensor, labels: Tensor, margin: float, start: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        total = distances.new_zeros((), dtype=_wide(distances))
        n_active = labels.new_zeros(())
        n_triplets = labels.new_zeros(())
        gradient = distances.new_zeros(distances.shape) if distances.requires_grad else None
        classes = Classes.of(labels)
        for rows in row_blocks(distances):
            anchors = AnchorRows(distances[rows], classes, start + rows.start)
            runs = anchors.runs(None, anchors.active(margin))
            active = runs.last - runs.first
            weight = -_triplets_of_each_negative(runs)
            total += _charges(anchors.to_positive.to(total.dtype) + margin, active)
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
    return (distances.to(_wide(distances)) * times).masked_fill_(times == 0, 0).sum()


def _wide(distances: Tensor) -> torch.dtype:
    """Return the type to sum in: float64, but on accelerators, of which some have none."""
    return torch.float64 if distances.device.type == "cpu" else distances.dtype
