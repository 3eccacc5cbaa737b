"""TensorFlow's semi-hard rule, for parity with what was trained by it."""

import torch
from torch import Tensor

from siamesekit._triplets import anchor_blocks
from siamesekit._types import Triplets
from siamesekit.miners._inputs import as_distances
from siamesekit.miners.base import Miner
from siamesekit.registry import register

__all__ = ["TensorFlowSemihard"]


@register("miners", "tf-semihard")
class TensorFlowSemihard(Miner):
    """One triplet for each positive pair: the nearest negative beyond the positive, else the last.

    The negative is the one of smallest ``d(a, n) > d(a, p)``, however far beyond; where there is
    none, the one of largest ``d(a, n)``. This is what ``triplet_semihard_loss`` of TensorFlow
    (contrib, Addons) computes; it knows no margin.
    """

    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        """Return one triplet for each pair of an anchor that has a negative.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Triplets
        """
        chosen = [Triplets.empty(inputs.device)]
        for rows in anchor_blocks(as_distances(inputs, labels), labels):
            beyond = rows.count(lambda d_an, d_ap: d_an - d_ap <= 0)
            available = rows.n_negatives[rows.row]
            place = torch.minimum(beyond, available - 1).clamp(min=0)
            chosen.append(Triplets(*rows.pick(place, torch.minimum(place + 1, available))))
        return Triplets(*(torch.cat(column) for column in zip(*chosen, strict=True)))
