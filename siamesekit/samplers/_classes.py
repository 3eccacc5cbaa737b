"""The items of a bound training set, class by class and group by group."""

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["ClassTable", "even_share"]


class ClassTable:
    """Classes numbered so that those of one group stand side by side.

    Parameters
    ----------
    labels : Tensor of int64, shape (n,)
    groups : Tensor of int64, shape (n,), optional
        Without it, all classes form one group.

    Attributes
    ----------
    class_of : Tensor of int64, shape (n,)
        Class number of each item.
    sizes, starts : Tensor of int64, shape (classes,)
        Number of items of a class, and where they begin in `shuffled`.
    group_of : Tensor of int64, shape (classes,)
        Group number of a class, ascending.
    group_sizes, group_starts : Tensor of int64, shape (groups,)
        Number of classes of a group, and its first class.

    Raises
    ------
    InvalidDataError
        If the labels are empty or no vector, all items are of one class, or a class lies in two
        groups.
    """

    def __init__(self, labels: Tensor, groups: Tensor | None = None) -> None:
        if labels.ndim != 1 or len(labels) == 0:
            raise InvalidDataError(
                f"labels must have shape (n,) with n of at least 1; got {tuple(labels.shape)}."
            )
        classes, item_class, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise InvalidDataError(
                "labels must hold at least two classes, or there is nothing to tell apart; "
                f"all {len(labels)} items are of class {int(classes[0])}."
            )
        group = torch.zeros(len(classes), dtype=torch.int64)
        if groups is not None:
            group_names, item_group = torch.unique(groups, return_inverse=True)
            group[item_class] = item_group
            strays = (group[item_class] != item_group).nonzero()
            if len(strays):
                item = int(strays[0])
                other = int(group_names[group[item_class[item]]])
                raise InvalidDataError(
                    f"groups must put a class in one group; class {int(labels[item])} lies in "
                    f"{int(groups[item])} and {other}."
                )
        order = torch.argsort(group, stable=True)
        number = torch.empty_like(order)
        number[order] = torch.arange(len(order))
        self.class_of = number[item_class]
        self.sizes = sizes[order]
        self.starts = _starts(self.sizes)
        self.group_of = group[order]
        self.group_sizes = torch.bincount(self.group_of)
        self.group_starts = _starts(self.group_sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """Return all items class by class, those of a class in random order, shape ``(n,)``."""
        order = torch.randperm(len(self.class_of), generator=generator)
        return order[torch.argsort(self.class_of[order], stable=True)]

    def in_order(self) -> Tensor:
        """Return all items class by class, those of a class as they stand, shape ``(n,)``."""
        return torch.argsort(self.class_of, stable=True)

    def require_two_of_a_class(self) -> None:
        """Raise `InvalidDataError` if no class has two items."""
        if int(self.sizes.max()) < 2:
            raise InvalidDataError(
                "labels must give at least one class two items, or no pair of the same class can "
                f"be made; each of the {len(self)} classes has one."
            )


def even_share(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Return `n` booleans, of which `share` are true and lie evenly spread.

    Any run of ``k`` holds ``k * share`` true ones, give or take less than one. The phase is
    random, so that a short epoch too has that many on average.
    """
    phase = torch.rand((), dtype=torch.float64, generator=generator)
    steps = torch.floor(torch.arange(n + 1, dtype=torch.float64) * share + phase)
    return steps[1:] > steps[:-1]


def _starts(sizes: Tensor) -> Tensor:
    return torch.cumsum(sizes, 0) - sizes
