"""The squared Euclidean distance."""

from torch import Tensor

from siamesekit.heads._exact import pair_squares
from siamesekit.heads._nearest import SumsSquares
from siamesekit.heads._squared_distances import squared_distances
from siamesekit.registry import register

__all__ = ["SqEuclideanHead"]


@register("heads", "sqeuclidean")
class SqEuclideanHead(SumsSquares):
    """Minus the squared Euclidean distance: ``-sum_k (a_k - b_k)²``.

    The distance of FaceNet's triplet loss and of prototypical networks. Embeddings are taken as
    they are; on the unit sphere it is twice the distance of head ``cosine``.
    """

    gives = "distance"
    of_any_length = True

    def export(self) -> tuple[str, dict[str, Tensor]]:
        """Return its name, and no weights."""
        return "sqeuclidean", {}

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return -squared_distances(a, b)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return -pair_squares(a, b)

    def weights(self, like: Tensor) -> tuple[Tensor, float]:  # noqa: D102
        return like.new_full((like.shape[1],), -1), 0.0
