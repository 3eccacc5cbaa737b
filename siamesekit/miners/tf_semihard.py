"""TensorFlow's semi-hard rule, for parity with what was trained by it."""

import torch
from torch import Tensor

from siamesekit._triplets import AnchorRows
from siamesekit.miners._sorted import SortedNegatives, up_to_positive
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

    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        """Return the one place of each positive pair; none where its anchor has no negative."""
        available = rows.n_negatives[rows.row]
        place = torch.minimum(up_to_positive(rows), available - 1).clamp(min=0)
        return place, available
