"""The best pairs of heads that sum over differences, found by a product or by a plain pass.

Each number of the hurried look has a bound of its error; what the bound leaves is compared as the
head does it.
"""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from siamesekit.heads._best_pairs import BestPairs, best_of_near, is_exact_product, without
from siamesekit.heads._checked import CheckedHead
from siamesekit.heads._exact import has_wider

__all__ = ["SumsAbsolutes", "SumsDifferences", "SumsSquares"]

# Operations that round beside those of the sum itself, with room.
_OTHERS = 24
# Numbers in the buffer of differences: they stay in a core's cache.
_BUFFER = 2**17


class SumsDifferences(CheckedHead):
    """A head that weighs the differences of two embeddings and sums them up.

    Subclasses say what the weights are, and how to find the order of the scores in a hurry.
    """

    @abstractmethod
    def weights(self, like: Tensor) -> tuple[Tensor, float]:
        """Return the weight of each difference, (d,), and what is added to their sum."""

    @abstractmethod
    def known(self, b: Tensor, weight: Tensor) -> Tensor:
        """Return what `near` needs to know of b, (n, 1): its `slack`, and more."""

    @abstractmethod
    def near(self, a: Tensor, b: Tensor, known: Tensor, weight: Tensor) -> Tensor:
        """Return numbers in the order of the scores, (m, n), with the slack of b added."""

    @abstractmethod
    def size(self, z: Tensor, weight: Tensor) -> Tensor:
        """Return the size of what an embedding adds to a sum before it cancels, (n,)."""

    def metric(self, z: Tensor) -> tuple[Literal["euclidean"], Tensor]:
        """Return the Euclidean distance of embeddings, each number as far as it tells apart."""
        weight = self.weights(z)[0]
        # A number whose differences count for likeness cannot take part in a distance.
        apart = (-weight).clamp(min=0)
        return "euclidean", z * self.stretch(apart if bool(apart.any()) else weight.abs())

    @abstractmethod
    def stretch(self, weight: Tensor) -> Tensor:
        """Return by what each number is multiplied to weigh so much in a Euclidean distance."""

    def slack(self, z: Tensor, weight: Tensor, bias: float = 0.0) -> Tensor:
        """Return how far an embedding lets a sum be wrong, (n,)."""
        # A large bias swallows digits; numbers near 0 have fewer of them.
        limits = torch.finfo(z.dtype)
        size = self.size(z, weight) + abs(bias)
        return (z.shape[1] + _OTHERS) * (limits.eps * size + limits.tiny)

    @torch.no_grad()
    def for_best(self, b: Tensor) -> Tensor | None:
        return self.known(b, self.weights(b)[0]) if has_wider(b) else None

    @torch.no_grad()
    def best_pairs(
        self, a: Tensor, b: Tensor, known: Tensor, gone: Tensor | None = None
    ) -> BestPairs:
        if not is_exact_product():
            return super().best_pairs(a, b, known, gone)
        weight, bias = self.weights(a)
        return best_of_near(
            without(self.near(a, b, known, weight), gone),
            self.slack(a, weight, bias),
            lambda j: self.slack(b[j], weight),
            lambda i, j: self.aligned(a[i], b[j]),
            lambda i: without(self.compare(a[i], b), gone),
            a.shape[1],
        )


class SumsSquares(SumsDifferences):
    """In the order of ``sum_k weight_k (a_k - b_k)²``: one product, and squared lengths."""

    def stretch(self, weight: Tensor) -> Tensor:
        """Return the roots: the order by distance is that of the scores."""
        return weight.sqrt()

    def size(self, z: Tensor, weight: Tensor) -> Tensor:
        """Return twice ``sum_k |weight_k| z_jk²``: no product is larger than half of both."""
        return 2 * (z.square() @ weight.abs())

    def known(self, b: Tensor, weight: Tensor) -> Tensor:
        """Return ``sum_k weight_k b_jk²`` with the slack, (n, 1)."""
        return (b.square() @ weight).add_(self.slack(b, weight))[:, None]

    def near(self, a: Tensor, b: Tensor, known: Tensor, weight: Tensor) -> Tensor:
        return torch.addmm(known[:, 0], a * (-2 * weight), b.T)


class SumsAbsolutes(SumsDifferences):
    """In the order of ``sum_k weight_k |a_k - b_k|``: row by row, in the cache."""

    def stretch(self, weight: Tensor) -> Tensor:
        """Return the weights: of one number alone the distance is then what it adds to the sum."""
        return weight

    def size(self, z: Tensor, weight: Tensor) -> Tensor:
        """Return ``sum_k |weight_k z_jk|``."""
        return z.abs() @ weight.abs()

    def known(self, b: Tensor, weight: Tensor) -> Tensor:
        """Return the slack, (n, 1)."""
        return self.slack(b, weight)[:, None]

    def near(self, a: Tensor, b: Tensor, known: Tensor, weight: Tensor) -> Tensor:
        near = a.new_empty(len(a), len(b))
        height = max(1, min(len(b), _BUFFER // max(1, b.shape[1])))
        buffer = a.new_empty(height, b.shape[1])
        for start in range(0, len(b), height):
            part = b[start : start + height]
            differences = buffer[: len(part)]
            for row, own in zip(near, a, strict=True):
                torch.sub(part, own, out=differences).abs_()
                torch.mv(differences, weight, out=row[start : start + len(part)])
        return near.add_(known[:, 0])
