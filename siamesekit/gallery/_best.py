"""The best class of each query, and what a tie is worth."""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.training.items import Items, blocks_of

__all__ = ["Best", "check_scores", "digest", "mixed"]

# Items that are read at once to break ties.
_BLOCK = 64


class Best:
    """The best classes of queries so far, as pairs come in.

    Of equally good classes one is drawn by the item and the label of the class alone: no class is
    favoured over all items, and an answer depends neither on the other queries nor on the order
    of classes.

    Parameters
    ----------
    n_queries : int
    digest_of_query : callable
        From positions of queries, (t,), to a number for each that depends on its item alone,
        uint64, (t,). Called where there is a tie.
    digests_of_classes : callable
        From codes of classes, (t,), to the same for their labels, (t,).
    answers : ndarray of int64, shape (n_queries,), optional
        Code of the class that is right; -1 where it is not among them.

    Attributes
    ----------
    codes : ndarray of int64, shape (n_queries,)
        The class chosen.
    tied : ndarray of int64, shape (n_queries,)
        How many are as good as it, itself among them.
    hit : ndarray of bool, shape (n_queries,)
        Whether the right class is one of them.
    """

    def __init__(
        self,
        n_queries: int,
        digest_of_query: Callable[[IntArray], np.ndarray],
        digests_of_classes: Callable[[IntArray], np.ndarray],
        answers: IntArray | None = None,
    ) -> None:
        self._digest_of_query = digest_of_query
        self._digests_of_classes = digests_of_classes
        self._answers = answers
        self._scores = np.full(n_queries, -np.inf)
        self.codes = np.full(n_queries, -1, dtype=np.int64)
        self.tied = np.zeros(n_queries, dtype=np.int64)
        self.hit = np.zeros(n_queries, dtype=bool)

    def add(
        self,
        rows: slice,
        own: IntArray,
        codes: IntArray,
        scores: np.ndarray,
        distinct: bool = True,
    ) -> None:
        """Take in pairs of some queries and some classes; a class is never in two calls.

        Parameters
        ----------
        rows : slice
            Positions of the queries.
        own : ndarray of int64, shape (p,)
            Query of each pair, counted from the first of `rows`; each of them has a pair.
        codes : ndarray of int64, shape (p,)
        scores : ndarray of float, shape (p,)
            Among them the best of each query.
        distinct : bool
            Whether no pair is there twice.

        Raises
        ------
        InvalidDataError
            If a score is NaN or +infinity.
        """
        known = self._scores[rows]
        tops = np.full(len(known), -np.inf)
        np.maximum.at(tops, own, scores)
        check_scores(tops, rows.start, lowest=True)
        better, equal = tops > known, (tops == known) & (self.tied[rows] > 0)
        stays = (better | (tops == known))[own] & (scores == tops[own])
        own, candidates = own[stays] + rows.start, codes[stays]
        if not distinct:
            own, candidates = _distinct(own, candidates)
        fresh = np.flatnonzero(better) + rows.start
        self._scores[fresh], self.tied[fresh], self.hit[fresh] = tops[better], 0, False
        np.add.at(self.tied, own, 1)
        if self._answers is not None:
            self.hit[own[candidates == self._answers[own]]] = True
        kept = np.flatnonzero(equal) + rows.start
        self._choose(np.append(own, kept), np.append(candidates, self.codes[kept]))

    def check(self) -> None:
        """Raise `InvalidDataError` if a query has no finite score at all."""
        check_scores(self._scores, 0)

    def worth(self) -> np.ndarray:
        """Return 1/(number tied) where the right class is among the best and else 0, float64."""
        return self.hit / np.maximum(self.tied, 1)

    def _choose(self, rows: IntArray, codes: IntArray) -> None:
        several = self.tied[rows] > 1
        self.codes[rows[~several]] = codes[~several]
        rows, codes = rows[several], codes[several]
        if not len(rows):
            return
        numbers, lowest = np.zeros((2, len(self.codes)), dtype=np.uint64)
        tied = np.zeros(len(self.codes), dtype=bool)
        tied[rows] = True
        items = np.flatnonzero(tied)
        numbers[items], lowest[items] = self._digest_of_query(items), np.iinfo(np.uint64).max
        draws = mixed(numbers[rows], self._digests_of_classes(codes))
        np.minimum.at(lowest, rows, draws)
        drawn = draws == lowest[rows]
        self.codes[rows[drawn]] = codes[drawn]


def digest(items: Tensor | Items) -> np.ndarray:
    """Return a number for each item that depends on its own bytes alone, uint64, shape (n,)."""
    if isinstance(items, Items):
        return np.concatenate([digest(block) for block in blocks_of(items, _BLOCK)])
    rows = items.detach().cpu().contiguous().flatten(1).view(torch.uint8).numpy()
    return np.array(
        [int.from_bytes(blake2b(row.data, digest_size=8).digest(), "little") for row in rows],
        dtype=np.uint64,
    )


def check_scores(tops: np.ndarray, start: int, *, lowest: bool = False) -> None:
    """Raise `InvalidDataError` unless the best score of each query is finite.

    Parameters
    ----------
    tops : ndarray of float, shape (m,)
    start : int
        Position of the first query.
    lowest : bool
        Let -infinity pass, as where other classes are still to come.
    """
    bad = np.isnan(tops) | (tops == np.inf) | ((tops == -np.inf) & (not lowest))
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise InvalidDataError(
            f"X must hold items whose scores are finite; that of the item at position "
            f"{start + where} is {tops[where]}, as happens where embeddings are too large."
        )


def _distinct(rows: IntArray, codes: IntArray) -> tuple[IntArray, IntArray]:
    """Return each pair of a row and a code once."""
    order = np.lexsort((codes, rows))
    rows, codes = rows[order], codes[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (codes[1:] != codes[:-1])
    return rows[first], codes[first]


def mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return well-spread numbers made of two each (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        x = a + b * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
