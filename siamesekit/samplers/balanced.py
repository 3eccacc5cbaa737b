"""P classes with K items each."""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit.registry import register
from siamesekit.samplers._classes import ClassTable
from siamesekit.samplers.base import Sampler

__all__ = ["BalancedSampler"]


@register("samplers", "balanced")
class BalancedSampler(Sampler):
    """Batches of P classes with K items each, every item once an epoch.

    Nothing is drawn twice to fill a place. The shuffled items of a class are cut into as few
    parts of at most K as possible, of sizes that differ by at most one: 20 items with K = 4 give
    five parts of 4, ten items give 4, 3, 3, and a class smaller than K is one part. A batch takes
    one part of each of P classes, those with most parts left first.

    Parameters
    ----------
    classes : int, default=16
        Classes in a batch (P); all of them where the training set has fewer. The batches of an
        epoch differ by at most one class.
    per_class : int, default=4
        Largest number of items of a class in a batch (K).

    Notes
    -----
    The one exception to "every item once": a class with more parts than there are batches to put
    it in, side by side with P - 1 others, shows as many parts as there are batches, other ones in
    every epoch. This happens only where class sizes differ by much. With P = 2 an odd part, drawn
    at random, has to wait for another epoch too.

    References
    ----------
    A. Hermans, L. Beyer, B. Leibe, *In defense of the triplet loss for person
    re-identification*, arXiv:1703.07737, section 2 (PK batches).
    """

    def __init__(self, classes: int = 16, per_class: int = 4) -> None:
        self.classes = check_integer("classes", classes, low=2)
        self.per_class = check_integer("per_class", per_class, low=2)
        self._table: ClassTable | None = None
        self._parts = torch.empty(0, dtype=torch.int64)
        self._widths: list[int] = []

    def check(self) -> None:
        """Raise `InvalidDataError` if no batch can be made.

        Raises
        ------
        InvalidDataError
            If there is one class, no class has two items, or a class lies in two groups.

        Warns
        -----
        UserWarning
            If an epoch shows less than a quarter of the items.
        """
        assert self.labels is not None
        if self.groups is not None:
            ClassTable(self.labels, self.groups)
        self._table = ClassTable(self.labels)
        self._table.require_two_of_a_class()
        self._parts = -(-self._table.sizes // self.per_class)
        self._widths = _batch_widths(self._parts, min(self.classes, len(self._table)))
        sizes, shown_parts = self._table.sizes, self._parts.clamp(max=len(self._widths))
        shown = int((sizes * shown_parts / self._parts).round().sum())
        if 4 * shown < len(self.labels):
            warnings.warn(
                f"an epoch of balanced batches shows {shown} of {len(self.labels)} items in "
                f"{len(self._widths)} batches, since classes have {int(sizes.min())} to "
                f"{int(sizes.max())} items. Train for more epochs, or use a smaller per_class or "
                "sampler='random'.",
                stacklevel=2,
            )

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield positions, class by class, shape ``(b,)``."""
        table = self._table
        assert table is not None
        order = table.shuffled(generator)
        left = self._parts.clamp(max=len(self._widths))
        used = torch.zeros_like(left)
        for width in self._widths:
            # Most parts left first, or a large class would end up alone; ties at random.
            keys = left + torch.rand(len(left), dtype=torch.float64, generator=generator)
            chosen = keys.topk(width).indices
            sizes, parts = table.sizes[chosen], self._parts[chosen]
            begins = table.starts[chosen] + used[chosen] * sizes // parts
            ends = table.starts[chosen] + (used[chosen] + 1) * sizes // parts
            left[chosen] -= 1
            used[chosen] += 1
            spans = zip(begins.tolist(), ends.tolist(), strict=True)
            yield torch.cat([order[begin:end] for begin, end in spans])

    def __len__(self) -> int:
        self.require_bound()
        return len(self._widths)


def _batch_widths(parts: Tensor, classes: int) -> list[int]:
    """Return how many classes each batch of an epoch holds.

    With T batches a class gives ``min(parts, T)`` of its parts. T is the largest number that
    still needs `classes` in a batch, and leaves two at the least.
    """

    def placed(n_batches: int) -> int:
        return int(parts.clamp(max=n_batches).sum())

    low, high = 1, int(parts.sum())
    # placed() is concave, so the numbers of batches that will do are 1 .. T.
    while low < high:
        middle = (low + high + 1) // 2
        enough = placed(middle) > classes * (middle - 1) and placed(middle) >= 2 * middle
        low, high = (middle, high) if enough else (low, middle - 1)
    # Only pairs of classes can leave a part over: elsewhere placed(T) <= classes * T.
    share, rest = divmod(min(placed(low), classes * low), low)
    return [share + 1] * rest + [share] * (low - rest)
