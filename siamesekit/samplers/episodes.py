"""N-way K-shot episodes."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from siamesekit._checks import check_flag, check_integer, check_number
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register
from siamesekit.samplers._classes import ClassTable, even_share
from siamesekit.samplers.base import Sampler

__all__ = ["EpisodeSampler"]


@register("samplers", "episodes")
class EpisodeSampler(Sampler):
    """A batch is an episode, or several: classes with `shot` supports and `queries` queries each.

    A batch stands class by class, and in each class the supports come first:
    ``labels[batch].view(episodes * way, shot + queries)`` has one class a row. A class occurs
    once in a batch and an item too, so support and query are never the same one.

    Parameters
    ----------
    way : int, default=20
        Classes in an episode.
    shot : int, default=1
        Supports of a class.
    queries : int, default=1
        Queries of a class.
    within : float, default=0.75
        Share of the episodes, in ``[0, 1]``, whose classes are of one group (the characters of
        one alphabet, which is the harder task); the others draw from all classes alike. Exact in
        every epoch to less than one episode. A group of fewer classes than `way` gives all of
        them, and other groups fill the rest, so that every batch has the same shape. Without
        groups it has no meaning.
    n_batches : int, optional
        Batches in an epoch; by default as many as show as many images as there are.
    episodes : int, default=1
        Episodes in a batch, of classes all different. A loss on the whole batch then compares
        across episodes too, and a network runs faster on larger batches.
    aligned : bool, default=False
        The items of every class stand in the same order: drawer 1, drawer 2, … . An episode then
        takes the same places of all its classes, so that its supports are of one drawer and its
        queries of another, as in Lake's runs, and style tells nothing about the class. Every
        class must have as many items.

    Notes
    -----
    Classes with fewer than ``shot + queries`` items take no part. The group of an episode is
    drawn with a chance that grows with its number of classes, so that classes are equally
    frequent. Items of a class are dealt in turn from a shuffled order, so that each is seen about
    equally often; aligned ones are drawn anew for each episode.

    References
    ----------
    O. Vinyals et al., *Matching networks for one shot learning*, NeurIPS 2016, section 4.1.
    """

    def __init__(
        self,
        way: int = 20,
        shot: int = 1,
        queries: int = 1,
        within: float = 0.75,
        n_batches: int | None = None,
        episodes: int = 1,
        aligned: bool = False,
    ) -> None:
        self.way = check_integer("way", way, low=2)
        self.shot = check_integer("shot", shot, low=1)
        self.queries = check_integer("queries", queries, low=1)
        self.within = check_number("within", within, low=0, high=1)
        self.n_batches = None if n_batches is None else check_integer("n_batches", n_batches, low=1)
        self.episodes = check_integer("episodes", episodes, low=1)
        self.aligned = check_flag("aligned", aligned)
        self._table: ClassTable | None = None

    def check(self) -> None:
        """Raise `InvalidDataError` if no episode can be made.

        Raises
        ------
        InvalidDataError
            If fewer than ``episodes * way`` classes have ``shot + queries`` items, or ``within`` is
            1 and no group has `way` of them, or ``aligned`` classes differ in size.
        """
        assert self.labels is not None
        table = ClassTable(self.labels, self.groups)
        each = self.shot + self.queries
        enough = table.sizes >= each
        if int(enough.sum()) < self.episodes * self.way:
            several = f"episodes={self.episodes} times " if self.episodes > 1 else ""
            raise InvalidDataError(
                f"labels must hold at least {several}way={self.way} classes with shot + queries = "
                f"{each} items; {int(enough.sum())} of the {len(table)} classes have so many."
            )
        largest = int(torch.bincount(table.group_of[enough]).max())
        if self.groups is not None and self.within == 1 and largest < self.way:
            raise InvalidDataError(
                f"groups must hold one with at least way={self.way} usable classes for within=1; "
                f"the largest has {largest}."
            )
        if self.aligned and int(table.sizes.min()) < int(table.sizes.max()):
            raise InvalidDataError(
                "aligned=True needs as many items in every class, in the same order; the classes "
                f"have {int(table.sizes.min())} to {int(table.sizes.max())}."
            )
        self._table = table

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield positions, shape ``(episodes * way * (shot + queries),)``, class by class."""
        table, each = self._table, self.shot + self.queries
        assert table is not None
        usable = (table.sizes >= each).nonzero().squeeze(1)
        group_of, sizes, starts = table.group_of[usable], table.sizes[usable], table.starts[usable]
        runs = functional.pad(torch.bincount(group_of).cumsum(0), (1, 0))
        stays = even_share(len(self) * self.episodes, self.within, generator)
        deal = self._batches_a_pass()
        for number, batch_stays in enumerate(stays.view(-1, self.episodes).tolist()):
            if number % deal == 0:
                order = table.in_order() if self.aligned else table.shuffled(generator)
                dealt = torch.zeros_like(sizes)
            classes = self._classes(group_of, runs, batch_stays, generator)
            if self.aligned:
                turns = self._places(int(sizes[0]), generator)
            else:
                turns = (dealt[classes][:, None] + torch.arange(each)) % sizes[classes][:, None]
                dealt[classes] += each
            yield order[starts[classes][:, None] + turns].flatten()

    def _places(self, size: int, generator: torch.Generator) -> Tensor:
        """Return which items of each class an aligned batch takes, the same a whole episode."""
        keys = torch.rand(self.episodes, size, generator=generator)
        places = keys.argsort(1)[:, : self.shot + self.queries]
        return places.repeat_interleave(self.way, 0)

    def _classes(
        self, group_of: Tensor, runs: Tensor, stays: list[bool], generator: torch.Generator
    ) -> Tensor:
        """Return different classes for the episodes of a batch, shape ``(episodes * way,)``.

        Parameters
        ----------
        group_of : Tensor of int64, shape (k,)
            Group of each usable class, ascending.
        runs : Tensor of int64, shape (groups + 1,)
            Where the classes of each group begin, and the last one's end.
        stays : list of bool
            Whether the classes of each episode are of one group.
        generator : torch.Generator
        """
        everything = range(len(group_of))
        taken: set[int] = set()
        episodes = []
        for stay in stays:
            chosen: list[int] = []
            if stay:
                (one,) = _draw(everything, 1, taken, generator)
                group = int(group_of[one])
                own = range(int(runs[group]), int(runs[group + 1]))
                chosen = _draw(own, self.way, taken, generator)
                taken.update(chosen)
            # The others fill up where a group has too few.
            rest = _draw(everything, self.way - len(chosen), taken, generator)
            taken.update(rest)
            classes = torch.tensor(chosen + rest)
            episodes.append(classes[torch.randperm(self.way, generator=generator)])
        return torch.cat(episodes)

    def __len__(self) -> int:
        self.require_bound()
        return self._batches_a_pass() if self.n_batches is None else self.n_batches

    def _batches_a_pass(self) -> int:
        self.require_bound()
        assert self._table is not None
        shown = self.episodes * self.way * (self.shot + self.queries)
        return -(-len(self._table.class_of) // shown)


def _draw(pool: range, n: int, taken: set[int], generator: torch.Generator) -> list[int]:
    """Draw up to `n` different numbers of `pool` that are not taken, in time that grows with `n`.

    Each free one is as likely. There are fewer than `n` only where no more are free.
    """
    if n == 0:
        return []
    if len(pool) <= 4 * (n + len(taken)):
        free = [number for number in pool if number not in taken]
        return [free[k] for k in torch.randperm(len(free), generator=generator)[:n].tolist()]
    drawn: dict[int, None] = {}
    # At least three of four are free, so a few rounds do.
    while len(drawn) < n:
        for k in torch.randint(len(pool), (2 * n,), generator=generator).tolist():
            number = pool[k]
            if number not in taken and len(drawn) < n:
                drawn[number] = None
    return list(drawn)
