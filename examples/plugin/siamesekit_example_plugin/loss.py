"""Charge: what is of one class is to score higher than what is not."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from siamesekit.errors import InvalidParameterError
from siamesekit.losses import Loss

__all__ = ["ContrastLoss"]


class ContrastLoss(Loss):
    """``softplus(logsumexp(sharpness · negatives) - logsumexp(sharpness · positives))`` an anchor.

    Parameters
    ----------
    sharpness : float
        Above 0: the larger, the more the best negative and the best positive count alone.
    """

    takes = "scores"

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        if isinstance(sharpness, bool) or not isinstance(sharpness, int | float) or sharpness <= 0:
            raise InvalidParameterError(f"sharpness must be a number above 0; got {sharpness!r}.")
        self.sharpness = sharpness

    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: object = None, start: int = 0
    ) -> Tensor:
        """Return the mean charge of these rows of scores, (r, b); row i is item ``start + i``."""
        if tuples is not None:
            raise InvalidParameterError("example-contrast sees whole rows: give miner=None.")
        # bfloat16 is too coarse to sum in; float64 stays float64.
        scores = self.sharpness * inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        anchors = torch.arange(start, start + len(scores), device=scores.device)
        same = labels[anchors, None] == labels
        others = torch.arange(len(labels), device=scores.device) != anchors[:, None]
        positive, negative = same & others, ~same
        counted = positive.any(1) & negative.any(1)
        pulls = _log_sum(scores, positive)
        charges = softplus(_log_sum(scores, negative) - pulls)
        # Not-a-number goes through, and a batch without an anchor costs a differentiable 0.
        total = torch.where(counted, charges, 0 * scores.sum(1)).sum()
        return total / counted.sum().clamp(min=1)


def _log_sum(scores: Tensor, mask: Tensor) -> Tensor:
    # A finite filling: the gradient of minus infinity alone would be not-a-number.
    low = torch.finfo(scores.dtype).min / 2
    return scores.masked_fill(~mask, low).logsumexp(1)
