"""The best pairs of each row: those of all scores, or those that a hurried look leaves."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit.heads._exact import places_of

__all__ = ["BestPairs", "best_of_all", "best_of_near", "is_exact_product", "without"]

BestPairs = tuple[Tensor, Tensor, Tensor]
"""Rows, columns and scores of pairs."""

# Neighbouring scores of which only the best is looked at, where it is not among the best of all.
_CHUNK = 256
# Pairs of a row that are looked at one by one: so many, or this share of its columns. Of more, all
# are.
_CLOSELY, _SHARE = 64, 32
# Numbers in the buffers for pairs that are looked at one by one.
_BUFFER = 2**20


def is_exact_product() -> bool:
    """Return whether products of float32 are computed in float32, as their error bounds say."""
    return torch.get_float32_matmul_precision() == "highest"


def best_of_all(scores: Tensor) -> BestPairs:
    """Return all pairs that are the best of their row; where that is NaN, one pair that is.

    One pass over the scores finds the best of each chunk; only the chunks that hold the best of
    their row are looked at again.

    Parameters
    ----------
    scores : Tensor of float, shape (m, n), n at least 1
    """
    parts = _Chunks(scores)
    rows, columns = parts.at_least(parts.tops)
    lost = parts.tops.isnan().nonzero().flatten()
    if len(lost):
        rows, columns = torch.cat([rows, lost]), torch.cat([columns, torch.zeros_like(lost)])
    return rows, columns, parts.tops[rows]


def best_of_near(
    near: Tensor,
    slack: tuple[Tensor, Tensor],
    of_pairs: Callable[[Tensor, Tensor], Tensor],
    of_rows: Callable[[Tensor], Tensor],
    dim: int,
) -> BestPairs:
    """Return pairs with their scores, among them all that are the best of their row.

    Parameters
    ----------
    near : Tensor of float, shape (m, n)
        Numbers in the order of the scores, but for what they may be wrong by; on a processor.
    slack : tuple of Tensor of float, shapes (m,) and (n,)
        By how much a number may be wrong, at most: so much for its row and so much for its
        column. That of the column was added to `near`. Not finite: not known.
    of_pairs : callable
        From rows and columns of pairs to their scores.
    of_rows : callable
        From rows to the scores of all their pairs: for rows in which very many pairs may be best.
    dim : int
        Numbers that `of_pairs` takes in for a pair.
    """
    m, n = near.shape
    parts = _Chunks(near)
    # What the highest number stands for at least: it need not be the best, but a bound it is.
    least = parts.tops - 2 * slack[0] - 2 * slack[1][parts.first_best()]
    most = max(_CLOSELY, n // _SHARE)
    crowded = (parts.count(least) > most) | ~least.isfinite()
    rows, columns = parts.at_least(least.masked_fill(crowded, torch.inf))
    if len(rows) > most:
        crowded |= torch.bincount(rows, minlength=m) > most
        stays = ~crowded[rows]
        rows, columns = rows[stays], columns[stays]
    size = max(1, _BUFFER // max(1, dim))
    scores = [
        of_pairs(i, j)
        for i, j in zip(torch.split(rows, size), torch.split(columns, size), strict=True)
    ]
    found = [(rows, columns, torch.cat(scores))] if scores else []
    if crowded.any():
        own = crowded.nonzero().flatten()
        places, others, all_scores = best_of_all(of_rows(own))
        found.append((own[places], others, all_scores))
    rows, columns, values = (torch.cat(part) for part in zip(*found, strict=True))
    return rows, columns, values


def without(scores: Tensor, gone: Tensor | None) -> Tensor:
    """Return scores, (m, n), with minus infinity in the columns that are gone; in place."""
    if gone is not None and len(gone):
        scores[:, gone] = -torch.inf
    return scores


class _Chunks:
    """Scores, (m, n), and the best of each chunk of columns and of each row."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores
        n = scores.shape[1]
        self.whole = n - n % _CHUNK
        self.chunks: Tensor | None = None
        if self.whole:
            self.chunks = scores[:, : self.whole].view(len(scores), -1, _CHUNK)
        rest = scores[:, self.whole :]
        best = [] if self.chunks is None else [self.chunks.amax(2)]
        # The last columns are a chunk too, a shorter one.
        self.best = torch.cat([*best, *([rest.amax(1, keepdim=True)] if rest.shape[1] else [])], 1)
        self.tops = self.best.amax(1)

    def first_best(self) -> Tensor:
        """Return a column of each row that holds its best score; any where that is NaN."""
        chunk = self.best.argmax(1)
        last = chunk * _CHUNK >= self.whole
        columns = torch.zeros_like(chunk)
        rows = torch.arange(len(chunk), device=chunk.device)
        if self.chunks is not None:
            own = chunk[~last]
            columns[~last] = own * _CHUNK + self.chunks[rows[~last], own].argmax(1)
        if last.any():
            columns[last] = self.whole + self.scores[rows[last], self.whole :].argmax(1)
        return columns

    def count(self, least: Tensor) -> Tensor:
        """Return how many chunks of each row hold a score of at least so much."""
        return (self.best >= least[:, None]).sum(1)

    def at_least(self, least: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of the scores of at least so much."""
        if self.scores.device.type != "cpu":
            rows, columns = (self.scores >= least[:, None]).nonzero(as_tuple=True)
            return rows, columns
        row, chunk = places_of(self.best >= least[:, None])
        last = chunk * _CHUNK >= self.whole
        found = []
        if self.chunks is not None:
            own, part = row[~last], chunk[~last]
            place, column = places_of(self.chunks[own, part] >= least[own, None])
            found.append((own[place], part[place] * _CHUNK + column))
        if last.any():
            own = row[last]
            place, column = places_of(self.scores[own, self.whole :] >= least[own, None])
            found.append((own[place], self.whole + column))
        if not found:
            return row, chunk
        rows, columns = (torch.cat(part) for part in zip(*found, strict=True))
        return rows, columns
