"""Easy, semi-hard and hard triplets, and all of them."""

from siamesekit._checks import check_number
from siamesekit._triplets import AnchorRows, Runs
from siamesekit.miners._sorted import SortedNegatives
from siamesekit.registry import register

__all__ = ["AllTriplets", "EasyTriplets", "HardTriplets", "SemihardTriplets"]


@register("miners", "easy")
class EasyTriplets(SortedNegatives):
    """Triplets whose negative is beyond the margin: ``d(a, n) - d(a, p) > margin``.

    Parameters
    ----------
    margin : float
        At least 0, in the unit of the head's distance.
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, margin: float = 0.2, per_pair: int | None = None) -> None:
        super().__init__(per_pair)
        check_number("margin", margin, low=0.0)
        self.margin = margin

    def _runs(self, anchors: AnchorRows) -> Runs:
        return anchors.runs(anchors.up_to_margin(self.margin), anchors.without_end())


@register("miners", "semihard")
class SemihardTriplets(SortedNegatives):
    """Triplets whose negative is beyond the positive, within the margin.

    ``0 < d(a, n) - d(a, p) <= margin``: FaceNet's rule, with the far edge included, where FaceNet
    leaves it out. A result has 24 bytes a triplet, of up to b³ / 4: where that is much, `per_pair`
    bounds it by 24 bytes × `per_pair` for each positive pair.

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
        super().__init__(per_pair)
        check_number("margin", margin, low=0.0)
        self.margin = margin

    def _runs(self, anchors: AnchorRows) -> Runs:
        return anchors.runs(anchors.up_to_positive(), anchors.up_to_margin(self.margin))


@register("miners", "hard")
class HardTriplets(SortedNegatives):
    """Triplets whose negative is no further than the positive: ``d(a, n) - d(a, p) <= 0``.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None = None) -> None:
        super().__init__(per_pair)

    def _runs(self, anchors: AnchorRows) -> Runs:
        return anchors.runs(None, anchors.up_to_positive())


@register("miners", "all-triplets")
class AllTriplets(SortedNegatives):
    """Every triplet of the batch. There can be b³ / 4 of them: loss ``"batch-all"`` needs none.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None = None) -> None:
        super().__init__(per_pair)

    def _runs(self, anchors: AnchorRows) -> Runs:
        return anchors.runs(None, anchors.without_end())
