"""The cosine distance."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function

from siamesekit._eager import is_eager, plain_gradients
from siamesekit.heads._best_pairs import BestPairs, best_of_near, is_exact_product, without
from siamesekit.heads._checked import CheckedHead
from siamesekit.heads._exact import all_squares, has_wider, pair_squares, unit
from siamesekit.registry import register

__all__ = ["CosineHead"]


@register("heads", "cosine")
class CosineHead(CheckedHead):
    """Cosine of the angle less one, in ``[-2, 0]``: the distance is ``1 - cos(a, b)``.

    An embedding of zeros has no direction; its cosine with anything, itself too, is 0. Lengths of
    any scale that float32 holds are taken off first.

    Notes
    -----
    Between directions u and v this is ``-|u - v|² / 2``, which stays exact where they are close.
    """

    gives = "distance"
    of_any_length = True

    def prepare(self, z: Tensor) -> Tensor:
        """Return embeddings with length 1, shape (n, d): only their direction counts."""
        return unit(z)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores, (m, n), of embeddings that have length 1 already."""
        if not is_eager(a, b):
            return _plain(a, b)
        scores: Tensor = _Compared.apply(a, b)  # type: ignore[no-untyped-call]
        return scores

    def metric(self, z: Tensor) -> tuple[Literal["cosine"], Tensor]:
        """Return the cosine of the embeddings: what is nearest by it scores highest."""
        return "cosine", z

    def for_best(self, b: Tensor) -> Tensor | None:
        """Return that all is known of directions, (n, 0); None where there is no wider type."""
        return b.new_empty(len(b), 0) if has_wider(b) else None

    @torch.no_grad()
    def best_pairs(  # noqa: D102
        self, a: Tensor, b: Tensor, known: Tensor, gone: Tensor | None = None
    ) -> BestPairs:
        if not is_exact_product():
            return super().best_pairs(a, b, known, gone)
        # As far as the product, and lengths that are 1 but for rounding, can be wrong.
        error = (a.shape[1] + 16) * torch.finfo(a.dtype).eps
        return best_of_near(
            without(a @ b.T, gone),
            a.new_full((len(a),), error),
            lambda j: a.new_zeros(len(j)),
            lambda i, j: self._compared_pairs(a[i], b[j]),
            lambda i: without(self.compare(a[i], b), gone),
            a.shape[1],
        )

    def export(self) -> tuple[str, dict[str, Tensor]]:
        """Return its name, and no weights."""
        return "cosine", {}

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return self.compare(self.prepare(a), self.prepare(b))

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return self._compared_pairs(self.prepare(a), self.prepare(b))

    def _compared_pairs(self, a: Tensor, b: Tensor) -> Tensor:
        # Against zeros the product is 0, and leaves the other its gradient.
        blank = _is_zero(a) | _is_zero(b)
        return torch.where(blank, (a * b).sum(1) - 1, _scores(pair_squares(a, b)))


class _Compared(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        blank = _is_zero(a)[:, None] | _is_zero(b)
        return _scores(all_squares(a, b)).masked_fill_(blank, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # That of the products: what else the distance has along a direction changes no direction.
        a, b = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return plain_gradients(_plain, (a, b), grad)
        return grad @ b, grad.T @ a


def _plain(a: Tensor, b: Tensor) -> Tensor:
    return a @ b.T - 1


def _scores(squares: Tensor) -> Tensor:
    """Return scores of squared distances on the unit sphere, of which 4 is the largest."""
    return (squares / -2).clamp(min=-2)


def _is_zero(x: Tensor) -> Tensor:
    return (x == 0).all(1)
