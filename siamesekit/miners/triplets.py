"""Easy, semi-hard and hard triplets, and all of them."""

from abc import abstractmethod

import torch
from torch import Tensor

from siamesekit._checks import check_integer, check_number
from siamesekit._triplets import AnchorRows, anchor_blocks
from siamesekit._types import Triplets
from siamesekit.miners._inputs import as_distances
from siamesekit.miners.base import Miner
from siamesekit.registry import register

__all__ = ["AllTriplets", "EasyTriplets", "HardTriplets", "SemihardTriplets"]


class _TripletMiner(Miner):
    """Chooses, for each positive pair, a run of the anchor's negatives in order of distance."""

    def __init__(self, margin: float, per_pair: int | None) -> None:
        check_number("margin", margin, low=0.0)
        if per_pair is not None:
            check_integer("per_pair", per_pair, low=1)
        self.margin = margin
        self.per_pair = per_pair

    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        """Return the chosen triplets, grouped by anchor, nearest negatives of a pair first.

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
            first, last = self._run(rows)
            if self.per_pair is not None:
                last = torch.minimum(last, first + self.per_pair)
            chosen.append(Triplets(*rows.pick(first, last)))
        return Triplets(*(torch.cat(column) for column in zip(*chosen, strict=True)))

    @abstractmethod
    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        """Return the first place, and the place after the last, of each positive pair."""

    def _up_to_margin(self, rows: AnchorRows) -> Tensor:
        return rows.count(lambda d_an, d_ap: d_an - d_ap <= self.margin)


def _not_beyond_positive(rows: AnchorRows) -> Tensor:
    return rows.count(lambda d_an, d_ap: d_an - d_ap <= 0)


@register("miners", "easy")
class EasyTriplets(_TripletMiner):
    """Triplets whose negative is beyond the margin: ``d(a, n) - d(a, p) > margin``.

    Parameters
    ----------
    margin : float
        At least 0, in the unit of the head's distance.
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, margin: float = 0.2, per_pair: int | None = None) -> None:
        super().__init__(margin, per_pair)

    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        return self._up_to_margin(rows), rows.n_negatives[rows.row]


@register("miners", "semihard")
class SemihardTriplets(_TripletMiner):
    """Triplets whose negative is beyond the positive, within the margin.

    ``0 < d(a, n) - d(a, p) <= margin``: FaceNet's rule, with the far edge included, where FaceNet
    leaves it out.

    Parameters
    ----------
    margin : float
        At least 0, in the unit of the head's distance.
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet: a unified embedding for face
       recognition and clustering", CVPR 2015, eq. 4.
    """

    def __init__(self, margin: float = 0.2, per_pair: int | None = None) -> None:
        super().__init__(margin, per_pair)

    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        return _not_beyond_positive(rows), self._up_to_margin(rows)


@register("miners", "hard")
class HardTriplets(_TripletMiner):
    """Triplets whose negative is no further than the positive: ``d(a, n) - d(a, p) <= 0``.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None = None) -> None:
        super().__init__(0.0, per_pair)

    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(rows.row), _not_beyond_positive(rows)


@register("miners", "all-triplets")
class AllTriplets(_TripletMiner):
    """Every triplet of the batch. There can be b³ / 4 of them: loss ``"batch-all"`` needs none.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None = None) -> None:
        super().__init__(0.0, per_pair)

    def _run(self, rows: AnchorRows) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(rows.row), rows.n_negatives[rows.row]
