"""The nearest references of queries, in blocks of queries: never all scores at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._scores import in_float32
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import (
    Scorer,
    as_labels,
    as_vectors,
    check_scorer,
    label_codes,
    scores_of,
)
from siamesekit.training.progress import counted

__all__ = ["Ranking", "Search", "euclidean", "search_of"]

_SCORES = 2**24
"""Scores in a block where the caller names no number of rows: 64 MB.

A head prepares all references anew for each block (the cosine normalises them), so that smaller
blocks would spend their time on that.
"""

_RANKS = 2**20
"""Ranks that are looked at at once: some ten arrays of so many numbers, 8 MB each."""


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Return minus the Euclidean distances of all of `a` to all of `b`, from their differences.

    Each distance depends on its two rows alone. In a matrix product it would also depend, in the
    last digit, on what else is in the block, and equal distances would come out unequal.
    """
    return -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class Search:
    """Queries and the references in which they search.

    Attributes
    ----------
    queries : Tensor of float32, shape (m, d)
    references : Tensor of float32, shape (n, d)
        The queries themselves where `within`.
    query_codes, reference_codes : ndarray of int64, shape (m,) and (n,)
        Equal for equal labels.
    within : bool
        Whether queries search among themselves; none then finds itself.
    scorer : callable
    block_rows : int
        Most queries that are scored at once.
    """

    queries: Tensor
    references: Tensor
    query_codes: IntArray
    reference_codes: IntArray
    within: bool
    scorer: Scorer
    block_rows: int

    @property
    def n_candidates(self) -> int:
        """References that a query can find."""
        return len(self.references) - self.within

    def n_same(self) -> IntArray:
        """Return how many references of its class each query can find, shape (m,)."""
        n_codes = 1 + max(self.query_codes.max(), self.reference_codes.max())
        counts: IntArray = np.bincount(self.reference_codes, minlength=n_codes)
        return counts[self.query_codes] - int(self.within)

    def blocks(self, rows: IntArray, depths: IntArray) -> Iterator["Ranking"]:
        """Yield the nearest references of each of `rows`, a block of rows at a time.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
            Positions of queries.
        depths : ndarray of int64, shape (r,)
            How many references each needs, at least 1. A block holds what the neediest of it
            needs, or all that there are.
        """
        starts = range(0, len(rows), self.block_rows)
        for start in counted(starts, len(starts), "searching", " blocks"):
            block = slice(start, start + self.block_rows)
            depth = min(int(depths[block].max()), self.n_candidates)
            scores = self._scores(rows[block])
            at_once = max(1, _RANKS // depth)
            for some, own in zip(
                torch.split(scores, at_once),
                np.split(rows[block], range(at_once, len(scores), at_once)),
                strict=True,
            ):
                yield self._rank(some, own, depth)

    @torch.inference_mode()
    def _scores(self, rows: IntArray) -> Tensor:
        own = torch.from_numpy(rows).to(self.references.device)
        scores = in_float32(scores_of(self.scorer, self.queries[own], self.references))
        if self.within:
            # By position: a duplicate of the query stays. Scores are finite, so this one is last.
            scores = scores.scatter(1, own.to(scores.device)[:, None], -torch.inf)
        return scores

    @torch.inference_mode()
    def _rank(self, scores: Tensor, rows: IntArray, depth: int) -> "Ranking":
        values, columns = scores.topk(depth, dim=1)
        first = torch.ones_like(values, dtype=torch.bool)
        first[:, 1:] = values[:, 1:] != values[:, :-1]
        return Ranking(
            rows,
            self.reference_codes[columns.cpu().numpy()],
            first.cpu().numpy(),
            (scores == values[:, -1:]).cpu().numpy(),
        )


@dataclass(frozen=True)
class Ranking:
    """The nearest references of a block of queries, best score first.

    The order within a run of equal scores means nothing. The last run may go on beyond the ranks:
    which of its references are within them is open.

    Attributes
    ----------
    rows : ndarray of int64, shape (b,)
        Positions of the queries.
    codes : ndarray of int64, shape (b, k)
        Class of the reference at each rank; in the last run, of some of its references.
    first : ndarray of bool, shape (b, k)
        Whether a run of equal scores begins at the rank.
    last_run : ndarray of bool, shape (b, n)
        Whether the score of a reference is that of the last rank.
    """

    rows: IntArray
    codes: IntArray
    first: npt.NDArray[np.bool_]
    last_run: npt.NDArray[np.bool_]


def search_of(
    queries: ArrayLike,
    query_labels: ArrayLike,
    references: ArrayLike | None,
    reference_labels: ArrayLike | None,
    scorer: Scorer | None,
    block_rows: int | None,
) -> Search:
    """Return the search that the caller asks for, checked; see `retrieval_metrics`."""
    compare = euclidean if scorer is None else check_scorer(scorer)
    if (references is None) != (reference_labels is None):
        given = "reference_labels" if references is None else "references"
        raise InvalidDataError(
            "references and reference_labels must be given together, or neither; "
            f"got {given} alone."
        )
    own = as_vectors(queries, "queries")
    labels = as_labels(query_labels, len(own), "query_labels")
    if references is None or reference_labels is None:
        others, (codes,) = own, label_codes(labels)
        other_codes = codes
        if len(own) < 2:
            raise InvalidDataError(
                "queries must hold at least 2 items to search among themselves; got 1."
            )
    else:
        others = as_vectors(references, "references")
        other_labels = as_labels(reference_labels, len(others), "reference_labels")
        codes, other_codes = label_codes(labels, other_labels)
        if own.shape[1] != others.shape[1]:
            raise InvalidDataError(
                "queries and references must have embeddings of one length; "
                f"got shapes {tuple(own.shape)} and {tuple(others.shape)}."
            )
    if block_rows is None:
        block_rows = max(1, _SCORES // len(others))
    return Search(
        queries=own.to(others.device),
        references=others,
        query_codes=codes,
        reference_codes=other_codes,
        within=references is None,
        scorer=compare,
        block_rows=check_integer("block_rows", block_rows, low=1),
    )
