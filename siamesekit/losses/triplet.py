"""The triplet margin loss, over chosen triplets or over all of a batch."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from siamesekit._checks import check_choice, check_number
from siamesekit._types import Triplets, Tuples
from siamesekit.errors import InvalidParameterError
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.batch_all import sum_over_triplets
from siamesekit.losses.rows import RowLoss, Share
from siamesekit.registry import register

__all__ = ["BatchAllTripletLoss", "TripletLoss"]


@register("losses", "triplet")
class TripletLoss(RowLoss):
    """Wants each negative further from the anchor than the positive is, by a margin.

    ``max(0, d(a, p) - d(a, n) + margin)`` with ``d = -score``. The head says which distance d is:
    ``sqeuclidean`` gives FaceNet's squared Euclidean one (there on the unit sphere), ``euclidean``
    the plain one, ``cosine`` one minus the cosine. The same margin means another thing in each.

    Parameters
    ----------
    margin : float or "soft"
        At least 0, in the unit of d. ``"soft"`` charges ``log(1 + exp(d(a, p) - d(a, n)))``, which
        goes on pulling beyond any margin; it needs a miner.
    reduction : {"mean", "active"}
        Mean over all chosen triplets, or over those that cost something. The second does not fade
        as triplets become easy, and so hovers while training goes well. With ``"soft"`` every
        triplet costs something.

    Notes
    -----
    Without a miner the loss is that of all triplets of the batch, exactly, in O(b²) memory. Of
    rows, it is the mean over the triplets whose anchors these are.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet: a unified embedding for face
       recognition and clustering", CVPR 2015, eq. 2-3. Summed there; the mean here.
    .. [2] A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person
       re-identification", arXiv 1703.07737, 2017, §2: batch-all, soft margin, non-zero mean.
    """

    def __init__(
        self,
        margin: float | Literal["soft"] = 0.2,
        reduction: Literal["mean", "active"] = "mean",
    ) -> None:
        super().__init__()
        if not (isinstance(margin, str) and margin == "soft"):
            if isinstance(margin, str):
                raise InvalidParameterError(
                    f"margin must be a number of at least 0 or 'soft'; got {margin!r}."
                )
            check_number("margin", margin, low=0)
        check_choice("reduction", reduction, ("mean", "active"))
        self.margin = margin
        self.reduction: str = reduction

    def charge_rows(  # noqa: D102
        self, scores: Tensor, labels: Tensor, tuples: Tuples | None, start: int
    ) -> Share:
        if tuples is None:
            return self._of_all(-scores, labels, start)
        if not isinstance(tuples, Triplets):
            raise InvalidParameterError(
                "loss 'triplet' needs triplets; the miner chose pairs. Use a miner of triplets "
                "('semihard', 'hard', …) or loss 'contrastive'."
            )
        if not len(tuples.a):
            return Share(differentiable_zero(scores), labels.new_zeros(()))
        # d(a, p) - d(a, n), a score being minus a distance.
        rows = tuples.a - start
        excess = scores[rows, tuples.n] - scores[rows, tuples.p]
        if self.margin == "soft":
            charges = functional.softplus(excess)
        else:
            charges = (excess + self.margin).clamp(min=0)
        if self.reduction == "active":
            return Share(charges.sum(), (charges > 0).sum())
        return Share(charges.sum(), labels.new_full((), len(charges)))

    def _of_all(self, distances: Tensor, labels: Tensor, start: int) -> Share:
        if isinstance(self.margin, str):
            raise InvalidParameterError(
                "margin 'soft' needs a miner: over all triplets of a batch only a number serves."
            )
        sums = sum_over_triplets(distances, labels, self.margin, start)
        counted = sums.n_active, sums.n_triplets
        return Share(sums.total, counted[0 if self.reduction == "active" else 1], counted)


@register("losses", "batch-all")
class BatchAllTripletLoss(TripletLoss):
    """`TripletLoss` over all triplets of the batch (Hermans et al. 2017, §2), without a miner.

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
        check_number("margin", margin, low=0)
        check_choice("reduction", reduction, ("all", "active"))
        super().__init__(margin)
        self.reduction = reduction

    def charge_rows(  # noqa: D102
        self, scores: Tensor, labels: Tensor, tuples: Tuples | None, start: int
    ) -> Share:
        if tuples is not None:
            raise InvalidParameterError(
                "loss 'batch-all' takes all triplets and no miner; use loss 'triplet' with one."
            )
        return super().charge_rows(scores, labels, tuples, start)
