"""The cosine distance."""

from torch import Tensor

from siamesekit.heads._checked import CheckedHead
from siamesekit.heads._unit import unit
from siamesekit.registry import register

__all__ = ["CosineHead"]


@register("heads", "cosine")
class CosineHead(CheckedHead):
    """Cosine of the angle less one, in ``[-2, 0]``: the distance is ``1 - cos(a, b)``.

    An embedding of zeros has no direction; its cosine with anything, itself too, is 0.
    """

    gives = "distance"

    def prepare(self, z: Tensor) -> Tensor:
        """Return embeddings with length 1, shape (n, d): only their direction counts."""
        return unit(z)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores, (m, n), of embeddings that have length 1 already."""
        return (a @ b.T - 1).clamp(max=0)

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return self.compare(self.prepare(a), self.prepare(b))

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return ((unit(a) * unit(b)).sum(1) - 1).clamp(max=0)
