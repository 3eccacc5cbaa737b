"""The nearest references of queries, in blocks of queries: never all scores at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._scores import in_float32
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._inputs import as_labels, as_vectors, label_codes
from siamesekit.evaluation.episodes import Scorer

__all__ = ["Search", "euclidean", "search_of"]

_SCORES = 2**24
"""Scores in a block where the caller names no number of rows: 64 MB.

A head prepares all references anew for each block (the cosine normalises them), so that smaller
blocks would spend their time on that.
"""


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

    def blocks(self, rows: IntArray, depths: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield a block of `rows`, and the nearest references of each, nearest first.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
            Positions of queries.
        depths : ndarray of int64, shape (r,)
            How many references each needs, at least 1. A block holds what the neediest of it
            needs, or all that there are.

        Yields
        ------
        rows : ndarray of int64, shape (at most block_rows,)
        nearest : ndarray of int64, shape (len(rows), depth)
            Positions of references; among equal scores the lower position comes first.
        """
        for start in range(0, len(rows), self.block_rows):
            block = slice(start, start + self.block_rows)
            depth = min(int(depths[block].max()), self.n_candidates)
            yield rows[block], self._nearest(rows[block], depth)

    @torch.inference_mode()
    def _nearest(self, rows: IntArray, depth: int) -> IntArray:
        own = torch.from_numpy(rows).to(self.references.device)
        scores = self._scores(self.queries[own])
        if self.within:
            # By position: a duplicate of the query stays. Scores are finite, so this one is last.
            scores = scores.scatter(1, own.to(scores.device)[:, None], -torch.inf)
        nearest: IntArray = best_columns(scores, depth).cpu().numpy()
        return nearest

    def _scores(self, queries: Tensor) -> Tensor:
        scores = self.scorer(queries, self.references)
        expected = (len(queries), len(self.references))
        if not isinstance(scores, Tensor) or scores.shape != expected:
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise InvalidParameterError(
                f"scorer must return a tensor of shape (m, n), here {expected}; got {got}."
            )
        if not scores.is_floating_point() or not bool(torch.isfinite(scores).all()):
            raise InvalidDataError(
                "scorer must return finite floats; "
                f"got {f'{scores.dtype}' if not scores.is_floating_point() else 'NaN or infinity'}."
            )
        return in_float32(scores)


def best_columns(scores: Tensor, k: int) -> Tensor:
    """Return the columns of the `k` highest scores of each row, the highest first.

    Among equal scores the lower column comes first, in the choice and in the order. The cost is
    that of a partial sort; a row is sorted in full only where equal scores stand on both sides of
    the cut.

    Parameters
    ----------
    scores : Tensor of float, shape (m, n)
        Without NaN.
    k : int
        In [1, n].

    Returns
    -------
    Tensor of int64, shape (m, k)
    """
    # `topk` leaves open which of equal scores it takes, and in which order.
    values, columns = scores.topk(k, dim=1)
    columns = columns.sort(dim=1).values
    chosen = scores.gather(1, columns)
    columns = columns.gather(1, chosen.sort(dim=1, descending=True, stable=True).indices)
    cut = (scores >= values[:, -1:]).sum(1) > k
    if bool(cut.any()):
        in_full = scores[cut].sort(dim=1, descending=True, stable=True).indices
        columns[cut] = in_full[:, :k]
    return columns


def search_of(
    queries: ArrayLike,
    query_labels: ArrayLike,
    references: ArrayLike | None,
    reference_labels: ArrayLike | None,
    scorer: Scorer | None,
    block_rows: int | None,
) -> Search:
    """Return the search that the caller asks for, checked; see `retrieval_metrics`."""
    if scorer is not None and not callable(scorer):
        raise InvalidParameterError(
            f"scorer must be a head or a callable from (m, d) and (n, d) to (m, n); got {scorer!r}."
        )
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
        scorer=euclidean if scorer is None else scorer,
        block_rows=check_integer("block_rows", block_rows, low=1),
    )
