"""The learned head over squared differences, differences of squares and the cosine."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from siamesekit._checks import check_integer, check_number
from siamesekit._eager import is_eager
from siamesekit._random import Seeds
from siamesekit.heads._exact import centre, has_wider, unit
from siamesekit.heads._learned import LearnedHead
from siamesekit.registry import register

__all__ = ["CosineConcatHead"]

# Numbers in the largest tensor of one tile of the cross form.
_TILE = 2**22


@register("heads", "cosine-concat")
class CosineConcatHead(LearnedHead):
    """Logit of *same* from a small network over three ways to compare.

    The features of a pair are ``(a - b)²``, ``a² - b²`` and the cosine, ``2 dim + 1`` numbers in
    this order; on them stand a dense layer, ReLU, dropout and a dense layer of one unit.
    ``a² - b²`` changes its sign with the order of the pair. The hidden units are therefore
    averaged over both orders, ``(relu(u(a, b)) + relu(u(b, a))) / 2``, which is symmetric.

    Parameters
    ----------
    hidden : int
        Units of the dense layer, at least 1.
    dropout : float
        Share of hidden units set to 0 in training, in ``[0, 1)``; drawn for each pair from
        torch's default generator, so that the head is symmetric in ``eval()`` only.

    Attributes
    ----------
    dense : Linear from ``2 dim + 1`` to `hidden`
    logit : Linear from `hidden` to 1

    Notes
    -----
    All against all costs an ``(m, d) × (d, n)`` product for each hidden unit. It runs in tiles
    whose largest tensor holds 4 Mi numbers, or one row's ``hidden * dim`` where that is more.
    Where there are several tiles, each is computed again in the backward pass, so that no
    ``(m, n, hidden)`` activations are kept. On a processor ``eval()`` mode computes float32
    embeddings in float64.

    References
    ----------
    .. [1] The pair network of entries to "Recognizing Faces in the Wild" (Kaggle, 2019). Theirs
       takes one order only, and minus the cosine divided by ``dim``.
    """

    dense: nn.Linear
    logit: nn.Linear

    def __init__(self, hidden: int = 100, dropout: float = 0.01) -> None:
        super().__init__()
        check_integer("hidden", hidden, low=1)
        check_number("dropout", dropout, low=0, high=1, open_high=True)
        self.hidden = hidden
        self.dropout = dropout
        self._seeds = Seeds()

    def make(self, dim: int) -> None:  # noqa: D102
        self.dense = nn.Linear(2 * dim + 1, self.hidden)
        self.logit = nn.Linear(self.hidden, 1)

    def metric(self, z: Tensor) -> tuple[Literal["cosine"], Tensor]:
        """Return the cosine of the embeddings, which is one of the features."""
        return "cosine", z

    def cross(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return self._in_wide(self._cross, a, b)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        return self._in_wide(self._aligned, a, b)

    def _in_wide(self, compare: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
        """Return float32 of what float64 gives, in which the company's last digits are lost."""
        # Training draws what to drop for each pair anyway, and is twice as fast without.
        if self.training or not has_wider(a):
            return compare(a, b)
        return compare(a.double(), b.double()).float()

    def _cross(self, a: Tensor, b: Tensor) -> Tensor:
        of_squares, of_difference, of_cosine, bias = self._dense_parts(a)
        centred_a, centred_b = _around(a, b)
        even_a, even_b = centred_a.square() @ of_squares.T + bias, centred_b.square() @ of_squares.T
        odd_a, odd_b = a.square() @ of_difference.T, b.square() @ of_difference.T
        unit_a, unit_b = unit(a), unit(b)

        def tile(i: slice, j: slice, seed: int) -> Tensor:
            weighted = centred_a[i, None] * of_squares
            products = weighted @ centred_b[j].T
            cosines = (unit_a[i] @ unit_b[j].T)[:, None] * of_cosine
            even = even_a[i, :, None] + even_b[j].T - 2 * products + cosines
            return self._logits(even, odd_a[i, :, None] - odd_b[j].T, seed)

        if not is_eager(a, b):  # how many rows there are may be open
            return tile(slice(None), slice(None), self._seed())
        return self._by_tiles(tile, len(a), len(b))

    def _aligned(self, a: Tensor, b: Tensor) -> Tensor:
        of_squares, of_difference, of_cosine, bias = self._dense_parts(a)
        cosines = (unit(a) * unit(b)).sum(1)
        even = of_squares @ (a - b).square().T + of_cosine * cosines + bias[:, None]
        odd = of_difference @ (a.square() - b.square()).T
        return self._logits(even[None], odd[None], self._seed())[0]

    def _dense_parts(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights of the three features, each (hidden, length), and the bias."""
        dim = like.shape[1]
        of_squares, of_difference, of_cosine = torch.split(
            self.dense.weight.to(like.dtype), [dim, dim, 1], dim=1
        )
        return of_squares, of_difference, of_cosine, self.dense.bias.to(like.dtype)

    def _seed(self) -> int:
        seed: int = self._seeds() if self.training and self.dropout else 0
        return seed

    def _logits(self, even: Tensor, odd: Tensor, seed: int) -> Tensor:
        """Return the logits, (m, n), from hidden units before ReLU, both (m, hidden, n).

        ``even`` is the part that both orders of a pair share; ``odd`` changes its sign.
        """
        units = (functional.relu(even + odd) + functional.relu(even - odd)) / 2
        if self.training and self.dropout:
            # Of a seed, so that a tile computed again in backward drops the same units.
            generator = torch.Generator(units.device).manual_seed(seed)
            kept = torch.empty_like(units).bernoulli_(1 - self.dropout, generator=generator)
            units = units * kept / (1 - self.dropout)
        weight, bias = self.logit.weight.to(units.dtype), self.logit.bias.to(units.dtype)
        return (weight @ units).squeeze(1) + bias

    def _by_tiles(self, tile: Callable[[slice, slice, int], Tensor], m: int, n: int) -> Tensor:
        width = max(1, min(n, _TILE // self.hidden))
        height = max(1, _TILE // (self.hidden * max(self.dim or 1, width)))
        columns = [slice(j, j + width) for j in range(0, max(n, 1), width)]
        rows = [slice(i, i + height) for i in range(0, max(m, 1), height)]
        if len(rows) * len(columns) == 1:
            return tile(rows[0], columns[0], self._seed())

        def again_in_backward(i: slice, j: slice) -> Tensor:
            scores: Tensor = checkpoint(
                tile, i, j, self._seed(), use_reentrant=False, preserve_rng_state=False
            )
            return scores

        return torch.cat([torch.cat([again_in_backward(i, j) for j in columns], 1) for i in rows])


def _around(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return both less one of their rows, so that what cancels in float32 is small."""
    if a.dtype == torch.float64:
        # Digits enough without; and what is taken off would depend on the company.
        return a, b
    origin = centre(a.detach(), b.detach())
    return a - origin, b - origin
