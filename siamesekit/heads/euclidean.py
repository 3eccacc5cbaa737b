"""The Euclidean distance."""

from torch import Tensor

from siamesekit.heads._exact import pair_squares
from siamesekit.heads._nearest import SumsSquares
from siamesekit.heads._squared_distances import distances
from siamesekit.registry import register

__all__ = ["EuclideanHead"]


@register("heads", "euclidean")
class EuclideanHead(SumsSquares):
    """Minus the Euclidean distance: ``-sqrt(sum_k (a_k - b_k)²)``.

    Between equal embeddings the score is 0 and so is its gradient.
    """

    gives = "distance"
    of_any_length = True

    def export(self) -> tuple[str, dict[str, Tensor]]:
        """Return its name, and no weights."""
        return "euclidean", {}

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return -distances(a, b)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return -pair_squares(a, b, root=True)

    def weights(self, like: Tensor) -> tuple[Tensor, float]:  # noqa: D102
        return like.new_full((like.shape[1],), -1), 0.0
