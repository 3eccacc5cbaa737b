"""Retrieval: whether the nearest references belong to the class of the query."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._inputs import as_array
from siamesekit.evaluation.episodes import Scorer

__all__ = ["RetrievalMetrics", "retrieval_metrics"]


@dataclass(frozen=True)
class RetrievalMetrics:
    """How well queries find their class among references; every figure in [0, 1].

    Attributes
    ----------
    precision_at_1 : float
        Share of the queries whose nearest reference is of their class.
    recall_at : dict of int to float
        Share of the queries with at least one of their class among the k nearest.
    r_precision : float
        Mean share of the query's class among the R nearest, R being how many of it there are.
    map_at_r : float
        Mean over queries of ``1/R · Σ_{i ≤ R} precision@i · [the i-th is a hit]`` [1]_.
    n_queries, n_skipped : int
        Queries counted, and queries left out because no reference is of their class.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie, S.-N. Lim, "A metric learning reality check", ECCV 2020, §3.2.
    """

    precision_at_1: float
    recall_at: dict[int, float]
    r_precision: float
    map_at_r: float
    n_queries: int
    n_skipped: int

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as json can hold them."""
        return asdict(self)


def retrieval_metrics(
    queries: ArrayLike,
    query_labels: ArrayLike,
    references: ArrayLike | None = None,
    reference_labels: ArrayLike | None = None,
    *,
    scorer: Scorer | None = None,
    recall_at: Sequence[int] = (1, 5, 10),
    block_rows: int = 256,
) -> RetrievalMetrics:
    """Return Precision@1, Recall@k, R-precision and MAP@R, a block of queries at a time.

    Memory is O(block_rows × n); no (q, n) matrix is built. Labels are compared exactly, whatever
    their type. Equal scores are ranked by position, the first reference first, so that figures do
    not depend on `block_rows` where the scorer's do not.

    Parameters
    ----------
    queries : array-like or Tensor of float, shape (q, d)
    query_labels : array-like, shape (q,)
    references : array-like or Tensor of float, shape (n, d), optional
        By default the queries search among one another, and none finds itself.
    reference_labels : array-like, shape (n,), optional
        Given exactly where `references` is.
    scorer : callable, optional
        A head, or anything from ``(m, d)`` and ``(n, d)`` to ``(m, n)`` scores, higher = more
        alike. By default minus the Euclidean distance.
    recall_at : sequence of int
        Each k at least 1 and at most the number of references.
    block_rows : int
        Queries at a time.

    Raises
    ------
    InvalidDataError
        If shapes or lengths do not match, numbers are not finite, or no query has a reference of
        its class.
    InvalidParameterError
        If `recall_at` or `block_rows` is out of range.
    """
    check_integer("block_rows", block_rows, low=1)
    alone = references is None
    if alone != (reference_labels is None):
        raise InvalidDataError("reference_labels must be given with references, and only then.")
    left = _vectors("queries", queries)
    right = left if references is None else _vectors("references", references)
    if left.shape[1] != right.shape[1]:
        raise InvalidDataError(
            f"references must have as many columns as queries ({left.shape[1]}); "
            f"got {right.shape[1]}."
        )
    own, classes = _codes(query_labels, len(left), reference_labels, len(right))
    for k in recall_at:
        check_integer("recall_at", k, low=1, high=len(right) - int(alone))
    n_same = torch.bincount(classes, minlength=int(own.max()) + 1)[own] - int(alone)
    kept = (n_same > 0).nonzero().squeeze(1)
    if len(kept) == 0:
        raise InvalidDataError("query_labels must give some query a reference of its class.")
    depth = max([int(n_same.max()), *recall_at])
    sums = torch.zeros(3 + len(recall_at), dtype=torch.float64)
    for rows in torch.split(kept, block_rows):
        scores = _minus_distance(left[rows], right) if scorer is None else scorer(left[rows], right)
        order = _best_first(scores.detach(), rows if alone else None, depth)
        hits = classes[order.cpu()] == own[rows][:, None]
        sums += _block_sums(hits, n_same[rows], recall_at)
    means = (sums / len(kept)).tolist()
    return RetrievalMetrics(
        precision_at_1=means[0],
        recall_at=dict(zip(recall_at, means[3:], strict=True)),
        r_precision=means[1],
        map_at_r=means[2],
        n_queries=len(kept),
        n_skipped=len(left) - len(kept),
    )


def _vectors(name: str, values: ArrayLike) -> Tensor:
    if isinstance(values, Tensor):
        vectors = values.detach().float()
    else:
        vectors = torch.from_numpy(np.asarray(values, dtype=np.float32))
    if vectors.ndim != 2 or len(vectors) == 0:
        raise InvalidDataError(
            f"{name} must have shape (n, d) with n of at least 1; got {tuple(vectors.shape)}."
        )
    if not bool(torch.isfinite(vectors).all()):
        raise InvalidDataError(f"{name} must be finite; NaN or infinity found.")
    return vectors


def _codes(
    query_labels: ArrayLike, n_queries: int, reference_labels: ArrayLike | None, n_references: int
) -> tuple[Tensor, Tensor]:
    """Return both columns of labels as int64 codes, equal where the labels are."""
    left = as_array(query_labels)
    right = left if reference_labels is None else as_array(reference_labels)
    columns = (("query_labels", left, n_queries), ("reference_labels", right, n_references))
    for name, column, n in columns:
        if column.shape != (n,):
            raise InvalidDataError(f"{name} must have shape ({n},); got {column.shape}.")
    # Mixed types would meet in one that can hold neither exactly (int64 and float64).
    if left.dtype.kind != right.dtype.kind:
        raise InvalidDataError(
            f"reference_labels must be of the kind of query_labels ({left.dtype}); "
            f"got {right.dtype}."
        )
    _, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
    both = torch.from_numpy(codes.astype(np.int64))
    return both[: len(left)], both[len(left) :]


def _minus_distance(a: Tensor, b: Tensor) -> Tensor:
    # Differences rather than products: nothing cancels, and equal points are exactly at 0.
    return -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _best_first(scores: Tensor, itself: Tensor | None, depth: int) -> Tensor:
    """Return the `depth` best columns of each row, in order, shape (m, depth)."""
    if bool(torch.isnan(scores).any()):
        raise InvalidParameterError("scorer must return numbers; it returned NaN.")
    if itself is not None:
        scores = scores.clone()
        scores[torch.arange(len(scores)), itself] = -torch.inf
    return scores.argsort(dim=1, descending=True, stable=True)[:, :depth]


def _block_sums(hits: Tensor, n_same: Tensor, recall_at: Sequence[int]) -> Tensor:
    """Return the sums over queries of P@1, R-precision, AP@R and Recall@k."""
    ranks = torch.arange(1, hits.shape[1] + 1)
    counted = (hits & (ranks <= n_same[:, None])).double()
    precision = counted.cumsum(1) / ranks
    figures = [
        hits[:, 0].double(),
        counted.sum(1) / n_same,
        (precision * counted).sum(1) / n_same,
        *(hits[:, :k].any(1).double() for k in recall_at),
    ]
    return torch.stack([figure.sum() for figure in figures])
