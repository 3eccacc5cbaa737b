"""The best pairs of each row: those of all scores, or those that a hurried look leaves."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray

__all__ = [
    "BestPairs",
    "best_few_of_all",
    "best_of_all",
    "best_of_near",
    "is_exact_product",
    "without",
]

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
    if scores.device.type != "cpu":
        tops = scores.amax(1, keepdim=True)
        rows, columns = (scores == tops).nonzero(as_tuple=True)
        lost = tops[:, 0].isnan().nonzero().flatten()
        rows, columns = torch.cat([rows, lost]), torch.cat([columns, torch.zeros_like(lost)])
        return rows, columns, tops[rows, 0]
    parts = _Chunks(scores)
    own, places = parts.at_least(parts.tops)
    nan = np.flatnonzero(np.isnan(parts.tops))
    if len(nan):
        own, places = np.append(own, nan), np.append(places, np.zeros_like(nan))
    return torch.from_numpy(own), torch.from_numpy(places), torch.from_numpy(parts.tops[own])


def best_few_of_all(
    scores: Tensor, k: int, least: np.ndarray
) -> tuple[IntArray, IntArray, np.ndarray]:
    """Return pairs among which are the best `k` of each row, ties with the last of them too.

    One pass over the scores finds the best of each chunk: the k-th of these is a bound below the
    k-th of all, and only chunks that reach it are looked at again.

    Parameters
    ----------
    scores : Tensor of float, shape (m, n), n at least 1
    k : int
        At least 1.
    least : ndarray of float, shape (m,)
        Pairs below it are not asked for.

    Returns
    -------
    rows, columns : ndarray of int64, shape (p,)
    tops : ndarray of float, shape (m,)
        The best score of each row; where that is NaN, nothing is said of its pairs.
    """
    parts = _Chunks(scores.cpu())
    bests = parts.best if parts.best.shape[1] >= k else parts.scores
    if bests.shape[1] >= k:
        least = np.maximum(least, np.partition(bests, -k, axis=1)[:, -k])
    rows, columns = parts.at_least(least)
    return rows, columns, parts.tops


def best_of_near(
    near: Tensor,
    slack: Tensor,
    of_columns: Callable[[Tensor], Tensor],
    of_pairs: Callable[[Tensor, Tensor], Tensor],
    of_rows: Callable[[Tensor], Tensor],
    dim: int,
) -> BestPairs:
    """Return pairs with their scores, among them all that are the best of their row.

    Parameters
    ----------
    near : Tensor of float, shape (m, n)
        Numbers in the order of the scores, but for what they may be wrong by; on a processor.
    slack : Tensor of float, shape (m,)
        By how much a number of a row may be wrong, at most. Not finite: not known.
    of_columns : callable
        From columns to the same of theirs, which was added to `near`.
    of_pairs : callable
        From rows and columns of pairs to their scores.
    of_rows : callable
        From rows to the scores of all their pairs: for rows in which very many pairs may be best.
    dim : int
        Numbers that `of_pairs` takes in for a pair.
    """
    m, n = near.shape
    parts = _Chunks(near)
    with np.errstate(invalid="ignore"):
        # What the highest number stands for at least: it need not be the best, but a bound it is.
        error = slack + of_columns(torch.from_numpy(parts.first_best()))
        least = parts.tops - 2 * error.numpy()
    most = max(_CLOSELY, n // _SHARE)
    crowded = (parts.count(least) > most) | ~np.isfinite(least)
    if crowded.any():
        least[crowded] = np.inf
    own, places = parts.at_least(least)
    if len(own) > most:
        crowded |= np.bincount(own, minlength=m) > most
        stays = ~crowded[own]
        own, places = own[stays], places[stays]
    rows, columns, size = (
        torch.from_numpy(own),
        torch.from_numpy(places),
        max(1, _BUFFER // max(1, dim)),
    )
    pairs = zip(torch.split(rows, size), torch.split(columns, size), strict=True)
    found = [(rows, columns, torch.cat([of_pairs(i, j) for i, j in pairs]))] if len(own) else []
    if crowded.any():
        some = torch.from_numpy(np.flatnonzero(crowded))
        first, others, scores = best_of_all(of_rows(some))
        found.append((some[first], others, scores))
    if len(found) == 1:
        return found[0]
    rows, columns, values = (torch.cat(part) for part in zip(*found, strict=True))
    return rows, columns, values


def without(scores: Tensor, gone: Tensor | None) -> Tensor:
    """Return scores, (m, n), with minus infinity in the columns that are gone; in place."""
    if gone is not None and len(gone):
        scores[:, gone] = -torch.inf
    return scores


class _Chunks:
    """Scores on a processor, (m, n), and the best of each chunk of columns and of each row.

    In NumPy, which takes a fifth of torch's time for little arrays.
    """

    def __init__(self, scores: Tensor) -> None:
        n = scores.shape[1]
        self.scores: np.ndarray = scores.detach().numpy()
        self.whole = n - n % _CHUNK
        self.best: np.ndarray = np.empty((len(scores), -(-n // _CHUNK)), self.scores.dtype)
        chunks = scores.detach()[:, : self.whole].view(len(scores), -1, _CHUNK)
        self.chunks: np.ndarray = chunks.numpy()
        if self.whole:
            self.best[:, : n // _CHUNK] = chunks.amax(2).numpy()
        if self.whole < n:  # the last columns are a chunk too, a shorter one
            self.best[:, -1] = self.scores[:, self.whole :].max(1)
        self.tops: np.ndarray = self.best.max(1)

    def first_best(self) -> IntArray:
        """Return a column of each row that holds its best score; any where that is NaN."""
        chunk: IntArray = self.best.argmax(1)
        columns: IntArray = chunk * _CHUNK
        last = columns >= self.whole
        if not last.all():
            own = np.flatnonzero(~last)
            columns[own] += self.chunks[own, chunk[own]].argmax(1)
        if last.any():
            columns[last] += self.scores[last, self.whole :].argmax(1)
        return columns

    def count(self, least: np.ndarray) -> IntArray:
        """Return how many chunks of each row hold a score of at least so much."""
        count: IntArray = (self.best >= least[:, None]).sum(1)
        return count

    def at_least(self, least: np.ndarray) -> tuple[IntArray, IntArray]:
        """Return rows and columns of the scores of at least so much."""
        row, chunk = _places(self.best >= least[:, None])
        last = chunk * _CHUNK >= self.whole
        found = []
        if not last.all():
            own, part = row[~last], chunk[~last]
            place, column = _places(self.chunks[own, part] >= least[own, None])
            found.append((own[place], part[place] * _CHUNK + column))
        if last.any():
            own = row[last]
            place, column = _places(self.scores[own, self.whole :] >= least[own, None])
            found.append((own[place], self.whole + column))
        if len(found) == 2:
            return np.concatenate([x for x, _ in found]), np.concatenate([x for _, x in found])
        return found[0] if found else (row, chunk)


def _places(mask: np.ndarray) -> tuple[IntArray, IntArray]:
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns
