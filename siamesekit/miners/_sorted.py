"""Miners that take a run of an anchor's negatives in order of distance."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._scores import in_float32
from siamesekit._triplets import AnchorRows, Classes, Runs, row_blocks
from siamesekit._types import Triplets
from siamesekit.miners.rows import RowMiner

__all__ = ["SortedNegatives"]


class SortedNegatives(RowMiner[Triplets]):
    """Chooses, for each positive pair, a run of the anchor's sorted negatives.

    Parameters
    ----------
    per_pair : int or None
        Keep at most so many negatives of each positive pair, the nearest first; None keeps all.
    """

    def __init__(self, per_pair: int | None) -> None:
        if per_pair is not None:
            check_integer("per_pair", per_pair, low=1)
        self.per_pair = per_pair

    def choose(self, scores: Tensor, labels: Tensor, start: int) -> Triplets:
        """Return the triplets grouped by anchor, nearest negatives of a pair first.

        See `RowMiner.choose`.
        """
        classes = Classes.of(labels)
        chosen = []
        for rows in row_blocks(scores):
            # Negated block by block: a matrix of distances would be as large as that of scores.
            distances = -in_float32(scores[rows])
            anchors = AnchorRows(distances, classes, start + rows.start)
            chosen.append(self._grouped(anchors, self._runs(anchors)))
        return _triplets(chosen, labels.device)

    @abstractmethod
    def _runs(self, anchors: AnchorRows) -> Runs:
        """Return the run of negatives of each positive pair."""

    def _grouped(self, anchors: AnchorRows, runs: Runs) -> "_Grouped":
        counts = (runs.last - runs.first).clamp(min=0, max=self.per_pair)
        pair = torch.repeat_interleave(counts)
        before = counts.cumsum(0) - counts
        place = torch.arange(len(pair), device=pair.device) + (runs.first - before)[pair]
        return _Grouped(
            (anchors.row + anchors.start).int(),
            anchors.positive.int(),
            counts.int(),
            runs.negative[place].int(),
        )


class _Grouped(NamedTuple):
    """Triplets in few bytes: positive pairs, how many negatives each has, and these in turn."""

    anchor: Tensor
    positive: Tensor
    counts: Tensor
    negative: Tensor


def _triplets(chosen: list[_Grouped], device: torch.device) -> Triplets:
    """Return the triplets, and empty the list as they are written, for they may be many."""
    size = sum(len(group.negative) for group in chosen)
    a, p, n = (torch.empty(size, dtype=torch.int64, device=device) for _ in range(3))
    end = size
    while chosen:
        group = chosen.pop()
        some = slice(end - len(group.negative), end)
        a[some] = group.anchor.repeat_interleave(group.counts)
        p[some] = group.positive.repeat_interleave(group.counts)
        n[some] = group.negative
        end = some.start
    return Triplets(a, p, n)
