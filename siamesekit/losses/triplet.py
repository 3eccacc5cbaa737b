"""The triplet margin loss."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from siamesekit._checks import check_choice, check_number
from siamesekit._scores import check_scores, in_float32
from siamesekit._types import Pairs, Tuples
from siamesekit.errors import InvalidParameterError
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.base import Loss
from siamesekit.losses.batch_all import batch_all_triplet_loss
from siamesekit.registry import register

__all__ = ["TripletLoss"]


@register("losses", "triplet")
class TripletLoss(Loss):
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
    Without a miner the loss is that of all triplets of the batch, exactly, in O(b²) memory.

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
        if margin != "soft":
            if isinstance(margin, str):
                raise InvalidParameterError(
                    f"margin must be a number of at least 0 or 'soft'; got {margin!r}."
                )
            check_number("margin", margin, low=0)
        check_choice("reduction", reduction, ("mean", "active"))
        self.margin = margin
        self.reduction = reduction

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        """Return the loss of the chosen triplets.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)
        tuples : Triplets, optional
            All triplets of the batch by default.

        Returns
        -------
        Tensor of float, shape ()

        Raises
        ------
        InvalidDataError
            If the shapes are not as said.
        InvalidParameterError
            If the miner chose pairs, or the margin is ``"soft"`` and there is no miner.
        """
        check_scores(inputs, labels)
        distances = -in_float32(inputs)
        if tuples is None:
            return self._of_all(distances, labels)
        if isinstance(tuples, Pairs):
            raise InvalidParameterError(
                "loss 'triplet' needs triplets; the miner chose pairs. Use a miner of triplets "
                "('semihard', 'hard', …) or loss 'contrastive'."
            )
        if not len(tuples.a):
            return differentiable_zero(inputs)
        excess = distances[tuples.a, tuples.p] - distances[tuples.a, tuples.n]
        if self.margin == "soft":
            return functional.softplus(excess).mean()
        charges = (excess + self.margin).clamp(min=0)
        if self.reduction == "mean":
            return charges.mean()
        return charges.sum() / (charges > 0).sum().clamp(min=1)

    def _of_all(self, distances: Tensor, labels: Tensor) -> Tensor:
        if self.margin == "soft":
            raise InvalidParameterError(
                "margin 'soft' needs a miner: over all triplets of a batch only a number serves."
            )
        charged = batch_all_triplet_loss(distances, labels, self.margin)
        return charged.mean if self.reduction == "mean" else charged.active
