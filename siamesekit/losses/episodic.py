"""Cross-entropy of an episode, in which each query is classified among the supports."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from siamesekit._checks import check_flag, check_integer, check_number
from siamesekit._types import Tuples
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.rows import RowLoss, Share
from siamesekit.registry import register

__all__ = ["EpisodicLoss"]


@register("losses", "episodic")
class EpisodicLoss(RowLoss):
    """Trains as an episode tests: queries are classified among the classes of the batch.

    Of each class, the first `shot` items in batch order are supports and the others queries. A
    query's logit for a class is its mean score against the supports of that class, divided by
    `temperature`; the loss is the softmax cross-entropy of its own class, averaged over queries.
    It takes no miner.

    Parameters
    ----------
    shot : int or "rest"
        Supports of a class. ``"rest"``: every item is a query, and the supports of a class are
        all of its items but the query.
    temperature : float
        Above 0. 0.1 and less suits scores in a narrow range (head ``cosine``); 1 gives the
        prototypical networks of [1]_ with head ``sqeuclidean``.
    both_ways : bool
        Charge the batch read from its end too, where the last `shot` items of each class are its
        supports, and average. With ``shot`` supports and ``shot`` queries a class, the two change
        places. Without effect on ``"rest"``.
    label_smoothing : float
        In ``[0, 1)``: share of the target that is spread evenly over the classes.
    way : int or None
        With several episodes in a batch (sampler ``episodes``): their number of classes. Each
        query is then charged twice, among all classes of the batch and among the `way` classes,
        in batch order, of its own episode, which are the ones harder to tell apart.

    Notes
    -----
    With one shot, temperature 1 and head ``sqeuclidean`` this is the loss of prototypical networks
    [1]_, eq. 2, and with head ``cosine`` that of matching networks [2]_. With more shots the
    scores are averaged, not the embeddings: the squared distance to a prototype is the mean
    squared distance to its supports less their spread.

    A class with no more items than supports has no queries and only distracts. A batch without
    queries gives a differentiable 0. Of rows, it is the mean over the queries among these; the
    supports are those of the whole batch.

    References
    ----------
    .. [1] J. Snell, K. Swersky, R. Zemel, "Prototypical networks for few-shot learning", NeurIPS
       2017.
    .. [2] O. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016, §2.
    """

    def __init__(
        self,
        shot: int | Literal["rest"] = 1,
        temperature: float = 0.1,
        both_ways: bool = True,
        label_smoothing: float = 0.0,
        way: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(shot, str):
            if shot != "rest":
                raise InvalidParameterError(
                    f"shot must be an integer of at least 1 or 'rest'; got {shot!r}."
                )
        else:
            check_integer("shot", shot, low=1)
        check_number("temperature", temperature, low=0, open_low=True)
        check_flag("both_ways", both_ways)
        check_number("label_smoothing", label_smoothing, low=0, high=1, open_high=True)
        self.shot = shot
        self.temperature = temperature
        self.both_ways = both_ways
        self.label_smoothing = label_smoothing
        if way is not None:
            check_integer("way", way, low=2)
        self.way = way

    def charge_rows(  # noqa: D102
        self, scores: Tensor, labels: Tensor, tuples: Tuples | None, start: int
    ) -> Share:
        if tuples is not None:
            raise InvalidParameterError("loss 'episodic' takes no miner; set miner=None.")
        # Who is query and who support is worked out on the host: their numbers are shapes.
        classes, own = torch.unique(labels.cpu(), return_inverse=True)
        sizes = torch.bincount(own, minlength=len(classes))
        if isinstance(self.shot, str):
            everyone = torch.ones_like(own, dtype=torch.bool)
            ways = [(sizes[own] > 1, everyone)]
        else:
            self._check_sizes(classes, sizes, self.shot)
            before = _earlier_in_class(own, sizes)
            ways = [(before >= self.shot, before < self.shot)]
            if self.both_ways:
                after = sizes[own] - 1 - before
                ways.append((after >= self.shot, after < self.shot))
        # Read from either end a batch has as many queries, so all weigh the same.
        number = sum(int(is_query[start : start + len(scores)].sum()) for is_query, _ in ways)
        total = differentiable_zero(scores)
        for way in ways:
            total = total + self._cross_entropy(scores / self.temperature, own, start, *way)
        return Share(total, labels.new_full((), number))

    def _check_sizes(self, classes: Tensor, sizes: Tensor, shot: int) -> None:
        short = sizes < shot
        if short.any():
            raise InvalidDataError(
                f"loss 'episodic' with shot={shot} needs {shot} supports and a query of a class; "
                f"class {int(classes[short][0])} has {int(sizes[short][0])} items in the batch. "
                f"Use sampler 'episodes' or 'balanced' with at least {shot + 1} items a class."
            )

    def _cross_entropy(
        self, scores: Tensor, own: Tensor, start: int, is_query: Tensor, is_support: Tensor
    ) -> Tensor:
        """Return the sum over the queries among the rows."""
        rows = is_query[start : start + len(scores)].nonzero().squeeze(1)
        if not len(rows):
            return differentiable_zero(scores)
        queries = rows + start
        counts = is_support.expand(len(rows), -1).clone()
        counts[torch.arange(len(rows)), queries] = False
        n_classes, place, answers = int(own.max()) + 1, _appearance(own), own[queries]
        counts, rows, own, place, answers = (
            x.to(scores.device, non_blocking=True) for x in (counts, rows, own, place, answers)
        )
        of_query = scores[rows].masked_fill(~counts, 0)
        empty = scores.new_zeros(len(rows), n_classes)
        sums = empty.index_add(1, own, of_query)
        supports = empty.index_add(1, own, counts.to(scores.dtype))
        logits = sums / supports
        loss = functional.cross_entropy(
            logits, answers, label_smoothing=self.label_smoothing, reduction="sum"
        )
        if self.way is None:
            return loss
        episode = place // self.way
        elsewhere = episode[None, :] != episode[answers][:, None]
        among = logits.masked_fill(elsewhere, -torch.inf)
        # No smoothing here: it would charge for the classes of other episodes, which are out.
        return loss + functional.cross_entropy(among, answers, reduction="sum")


def _appearance(own: Tensor) -> Tensor:
    """Return the place of each class in the order of first appearance, shape (classes,)."""
    n_classes = int(own.max()) + 1
    positions = torch.arange(len(own), device=own.device)
    first = torch.full((n_classes,), len(own), device=own.device)
    return first.scatter_reduce_(0, own, positions, "amin").argsort().argsort()


def _earlier_in_class(own: Tensor, sizes: Tensor) -> Tensor:
    """Return how many items of its own class stand before each item, shape (b,)."""
    order = torch.argsort(own, stable=True)
    starts = sizes.cumsum(0) - sizes
    earlier = torch.empty_like(own)
    earlier[order] = torch.arange(len(own), device=own.device) - starts[own[order]]
    return earlier
