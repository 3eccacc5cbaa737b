"""TensorFlow's semi-hard rule, for parity with what was trained by it."""

import torch

from siamesekit._triplets import AnchorRows, Runs
from siamesekit.miners._sorted import SortedNegatives
from siamesekit.registry import register

__all__ = ["TensorFlowSemihard"]


@register("miners", "tf-semihard")
class TensorFlowSemihard(SortedNegatives):
    """One triplet for each positive pair: the nearest negative beyond the positive, else the last.

    The negative is the one of smallest ``d(a, n) > d(a, p)``, however far beyond; where there is
    none, the one of largest ``d(a, n)``. This is what ``triplet_semihard_loss`` of TensorFlow
    (contrib, Addons) computes; it knows no margin.
    """

    def __init__(self) -> None:
        super().__init__(per_pair=1)

    def _runs(self, anchors: AnchorRows) -> Runs:
        """Return runs of the negatives beyond the positive, or of the last one where none is."""
        runs = anchors.runs(anchors.up_to_positive(), anchors.up_to_next())
        last_one = torch.maximum(runs.begin, runs.last - 1)
        return runs._replace(first=torch.minimum(runs.first, last_one))
