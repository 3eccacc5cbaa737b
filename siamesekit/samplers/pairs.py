"""Pairs of images, half of the same class (Koch 2015)."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_integer, check_number
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register
from siamesekit.samplers._classes import ClassTable, even_share
from siamesekit.samplers.base import Sampler

__all__ = ["PairSampler"]


@register("samplers", "pairs")
class PairSampler(Sampler):
    """Pairs for a two-tower step: half of the same class, half of different ones.

    Same and different pairs alternate, so every batch of even size is exactly half and half. The
    two items of a pair are never the same one. Pairs are drawn anew in every epoch, with
    replacement among pairs.

    Parameters
    ----------
    batch_size : int, default=128
        Pairs in a batch; the last one may be smaller.
    n_pairs : int, optional
        Pairs in an epoch; by default as many as there are items.
    within : float, default=0.5
        Share of the different pairs, in ``[0, 1]``, whose two classes are of one group (two
        characters of one alphabet); the others are of two groups. Exact in every run of pairs to
        less than one pair. Without groups it has no meaning; where the groups allow only one of
        the two kinds, that one is drawn, unless ``within`` is exactly 0 or 1 and asks for the
        other.
    uniform : {"group", "class"}, default="group"
        What is equally frequent in the pairs. Koch has "a uniform number of training examples per
        alphabet" (section 4.1): a group is drawn first, then a class in it. With ``"class"`` every
        class is drawn alike, whatever its group.

    Notes
    -----
    A class of one item takes part in different pairs only. The paper leaves open whether its
    different pairs lie within or across alphabets; judged within an alphabet, a network that
    never saw such pairs is trained on an easier task than its test.

    References
    ----------
    G. Koch, R. Zemel, R. Salakhutdinov, *Siamese neural networks for one-shot image
    recognition*, ICML Deep Learning Workshop 2015, sections 3.2 and 4.1.
    """

    def __init__(
        self,
        batch_size: int = 128,
        n_pairs: int | None = None,
        within: float = 0.5,
        uniform: Literal["group", "class"] = "group",
    ) -> None:
        self.batch_size = check_integer("batch_size", batch_size, low=2)
        self.n_pairs = None if n_pairs is None else check_integer("n_pairs", n_pairs, low=2)
        self.within = check_number("within", within, low=0, high=1)
        check_choice("uniform", uniform, ("group", "class"))
        self.uniform = uniform
        self._table: ClassTable | None = None
        self._share = 0.0

    def check(self) -> None:
        """Raise `InvalidDataError` if either kind of pair cannot be made.

        Raises
        ------
        InvalidDataError
            If there is one class, no class has two items, or the groups cannot give the kind of
            different pair that ``within=0`` or ``within=1`` asks for.
        """
        assert self.labels is not None
        table = ClassTable(self.labels, self.groups)
        table.require_two_of_a_class()
        can_cross = len(table.group_sizes) > 1
        can_stay = int(table.group_sizes.max()) > 1
        if self.groups is not None and self.within == 0 and not can_cross:
            raise InvalidDataError(
                "groups must hold at least two groups for within=0 (different pairs across "
                "groups); there is one."
            )
        if self.within == 1 and not can_stay:
            raise InvalidDataError(
                "groups must hold one with at least two classes for within=1 (different pairs "
                "within a group); each has one."
            )
        self._table = table
        self._share = self.within if can_cross and can_stay else float(can_stay)

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield pairs of positions, shape ``(n, 2)``."""
        table, n_pairs = self._bound(), self._epoch_size()
        order = table.shuffled(generator)
        pairs = torch.empty(n_pairs, 2, dtype=torch.int64)
        pairs[0::2] = self._same(table, order, -(-n_pairs // 2), generator)
        pairs[1::2] = self._different(table, order, n_pairs // 2, generator)
        for start in range(0, n_pairs, self.batch_size):
            yield pairs[start : start + self.batch_size]

    def __len__(self) -> int:
        self.require_bound()
        return -(-self._epoch_size() // self.batch_size)

    def _bound(self) -> ClassTable:
        self.require_bound()
        assert self._table is not None
        return self._table

    def _epoch_size(self) -> int:
        return len(self._bound().class_of) if self.n_pairs is None else self.n_pairs

    def _same(self, table: ClassTable, order: Tensor, n: int, generator: torch.Generator) -> Tensor:
        classes = self._draw_classes(table, table.sizes > 1, n, generator)
        first = _below(table.sizes[classes], generator)
        # A step of 1 .. size - 1 round the class lands on any other item, each alike.
        step = 1 + _below(table.sizes[classes] - 1, generator)
        second = (first + step) % table.sizes[classes]
        return order[table.starts[classes, None] + torch.stack([first, second], dim=1)]

    def _different(
        self, table: ClassTable, order: Tensor, n: int, generator: torch.Generator
    ) -> Tensor:
        stays = even_share(n, self._share, generator)
        first = torch.empty(n, dtype=torch.int64)
        second = torch.empty(n, dtype=torch.int64)
        n_stay = int(stays.sum())
        if n_stay:
            has_partner = table.group_sizes[table.group_of] > 1
            first[stays] = self._draw_classes(table, has_partner, n_stay, generator)
            second[stays] = _another_of_the_group(table, first[stays], generator)
        if n_stay < n:
            anywhere = torch.ones(len(table), dtype=torch.bool)
            first[~stays] = self._draw_classes(table, anywhere, n - n_stay, generator)
            second[~stays] = self._of_another_group(table, first[~stays], generator)
        classes = torch.stack([first, second], dim=1)
        return order[table.starts[classes] + _below(table.sizes[classes], generator)]

    def _draw_classes(
        self, table: ClassTable, allowed: Tensor, n: int, generator: torch.Generator
    ) -> Tensor:
        """Draw `n` classes among the allowed ones, uniformly as `uniform` says."""
        choices = allowed.nonzero().squeeze(1)
        if self.uniform == "class":
            return choices[_below(torch.full((n,), len(choices)), generator)]
        _, sizes = torch.unique_consecutive(table.group_of[choices], return_counts=True)
        groups = _below(torch.full((n,), len(sizes)), generator)
        starts = torch.cumsum(sizes, 0) - sizes
        return choices[starts[groups] + _below(sizes[groups], generator)]

    def _of_another_group(
        self, table: ClassTable, classes: Tensor, generator: torch.Generator
    ) -> Tensor:
        groups = table.group_of[classes]
        n_groups = len(table.group_sizes)
        if self.uniform == "group":
            others = (groups + 1 + _below(torch.full_like(groups, n_groups - 1), generator)) % (
                n_groups
            )
            return table.group_starts[others] + _below(table.group_sizes[others], generator)
        # Past the end of the own group and round: every class outside it, each alike.
        ends = table.group_starts[groups] + table.group_sizes[groups]
        steps = _below(len(table) - table.group_sizes[groups], generator)
        return (ends + steps) % len(table)


def _another_of_the_group(table: ClassTable, classes: Tensor, generator: torch.Generator) -> Tensor:
    groups = table.group_of[classes]
    starts, sizes = table.group_starts[groups], table.group_sizes[groups]
    return starts + (classes - starts + 1 + _below(sizes - 1, generator)) % sizes


def _below(limits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw for each limit a uniform int64 in ``[0, limit)``."""
    uniform = torch.rand(limits.shape, dtype=torch.float64, generator=generator)
    return (uniform * limits).long()
