"""How well the nearest items are of the same class."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from siamesekit._checks import check_integer, shown
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import Scorer, as_labels
from siamesekit.evaluation._search import search_of
from siamesekit.evaluation._ties import (
    Runs,
    expected_hits,
    expected_recall,
    expected_vote,
    runs_of,
    vote_cache,
)

__all__ = ["RetrievalMetrics", "knn_accuracy", "retrieval_metrics"]


@dataclass(frozen=True)
class RetrievalMetrics:
    """Means over queries, each in [0, 1]; R is the number of references of the query's class.

    Attributes
    ----------
    precision_at_1 : float
        Share of queries whose nearest reference is of their class.
    recall_at : dict of int to float
        For each k: share of queries with at least one reference of their class among the k
        nearest.
    r_precision : float
        Share of the query's class among its R nearest references.
    map_at_r : float
        Mean over the first R ranks of the precision up to that rank, a rank of another class
        counting 0 [1]_.
    n_queries : int
        Queries in the means.
    n_skipped : int
        Queries left out because no reference is of their class.

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
        """Return the attributes as json can hold them: the keys of `recall_at` are strings."""
        recall = {str(k): share for k, share in self.recall_at.items()}
        return asdict(self) | {"recall_at": recall}


def retrieval_metrics(
    queries: ArrayLike,
    query_labels: ArrayLike,
    references: ArrayLike | None = None,
    reference_labels: ArrayLike | None = None,
    *,
    scorer: Scorer | None = None,
    recall_at: Sequence[int] = (1, 5, 10),
    block_rows: int | None = None,
    estimator: Any = None,
) -> RetrievalMetrics:
    """Return how well queries find references of their class.

    Memory holds the scores of one block of queries, and a few arrays of that size: it grows with
    ``block_rows * n``, not with ``m * n``. Time is that of the scores and, a query, of a partial
    sort for as many neighbours as its class has references.

    Parameters
    ----------
    queries : array-like or Tensor of float, shape (m, d)
        Computed in float32.
    query_labels : array-like, shape (m,)
        Numbers, strings or other hashable objects, compared exactly.
    references : array-like or Tensor of float, shape (n, d), optional
        Default: the queries search among themselves, and no item finds itself (its duplicates it
        does find).
    reference_labels : array-like, shape (n,), optional
        Given where `references` are.
    scorer : callable, optional
        A head, or anything from ``(m, d)`` and ``(n, d)`` to finite floats ``(m, n)``, higher =
        more alike. Default: minus the Euclidean distance.
    recall_at : sequence of int
        Each at least 1. One beyond the number of references takes them all.
    block_rows : int, optional
        Most queries that are scored at once. Default: as many as make 16 million scores.
    estimator : fitted estimator, optional
        That embedded the queries. A class of theirs that it was trained on, or that chose its
        epoch, is refused.

    Returns
    -------
    RetrievalMetrics

    Raises
    ------
    InvalidParameterError
        If `recall_at` or `block_rows` is not allowed, or `scorer` returns another shape.
    InvalidDataError
        If there is nothing to search, lengths or dimensions differ, a number or a score is not
        finite, or no query has a reference of its class.
    LeakageError
        If `estimator` has seen a class of the queries.

    Notes
    -----
    A tie is shared: where references score equally, a query is worth its mean over all orders of
    them, worked out exactly. So a constant scorer gets exactly chance, and no figure depends on
    the order of the references. With the default scorer none depends on `block_rows` either: a
    distance comes from the differences of its two rows alone. A head that multiplies matrices may
    give nearly equal distances a last digit, and so an order, that depends on what else is in the
    block; it is faster. ``EuclideanHead`` took a quarter of
    the default's time for 6,000 embeddings of 128 numbers on one core, for figures that differed
    by 2e-10 at most.

    Queries are compared on the device of the references.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1.0], [5.0], [6.5]])
    >>> retrieval_metrics(points, ["a", "a", "b", "b"]).map_at_r
    1.0
    """
    depths = _check_recall_at(recall_at)
    _check_unseen(estimator, query_labels)
    search = search_of(queries, query_labels, references, reference_labels, scorer, block_rows)
    n_same = search.n_same()
    # Queries of like need share a block, so that one large class does not deepen every search.
    rows = np.argsort(n_same, kind="stable")
    rows = rows[n_same[rows] > 0]
    if len(rows) == 0:
        raise InvalidDataError(
            "reference_labels must hold the class of at least one query; none is there."
            if not search.within
            else "query_labels must hold a class of at least 2 items; each item has its own."
        )
    worth = np.zeros((len(n_same), 3 + len(depths)))
    for ranking in search.blocks(rows, np.maximum(n_same[rows], max((1, *depths)))):
        own = ranking.rows
        runs = runs_of(ranking, search.query_codes[own], search.reference_codes)
        worth[own] = _worth(runs, n_same[own], depths)
    means = [math.fsum(column) / len(rows) for column in worth.T.tolist()]
    return RetrievalMetrics(
        precision_at_1=means[0],
        recall_at=dict(zip(depths, means[3:], strict=True)),
        r_precision=means[1],
        map_at_r=means[2],
        n_queries=len(rows),
        n_skipped=len(n_same) - len(rows),
    )


def knn_accuracy(
    queries: ArrayLike,
    query_labels: ArrayLike,
    references: ArrayLike | None = None,
    reference_labels: ArrayLike | None = None,
    *,
    k: int = 5,
    scorer: Scorer | None = None,
    block_rows: int | None = None,
    estimator: Any = None,
) -> float:
    """Return the accuracy of the majority vote of the `k` nearest references.

    Where classes have equally many votes, that of the nearest reference among them wins. Where
    references score equally, both who is among the `k` and who is nearer are open, and a query is
    worth the share of all orders of equal scores in which its class wins, worked out exactly. So a
    constant scorer gets exactly chance, whatever the order of the references. A query whose class
    has no reference is counted, as wrong.

    Parameters
    ----------
    queries, query_labels, references, reference_labels, scorer, block_rows
        As in `retrieval_metrics`, with its bound on memory.
    k : int
        In ``[1, n]``; in ``[1, n - 1]`` where the queries search among themselves.
    estimator : fitted estimator, optional
        As in `retrieval_metrics`. Classes that it knows are fair where they are to be recognised
        again; then leave it out.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InvalidParameterError
        If `k` or `block_rows` is not allowed, or `scorer` returns another shape.
    InvalidDataError
        If there is nothing to search, lengths or dimensions differ, or a number or a score is not
        finite.
    LeakageError
        If `estimator` has seen a class of the queries.

    Examples
    --------
    >>> knn_accuracy([[0.2], [4.0]], ["a", "a"], [[0.0], [1.0], [5.0]], ["a", "a", "b"], k=1)
    0.5
    """
    _check_unseen(estimator, query_labels)
    search = search_of(queries, query_labels, references, reference_labels, scorer, block_rows)
    check_integer("k", k, low=1, high=search.n_candidates)
    rows = np.arange(len(search.queries))
    chance, worth = vote_cache(), []
    for ranking in search.blocks(rows, np.full_like(rows, k)):
        own = search.query_codes[ranking.rows]
        worth += expected_vote(ranking, own, search.reference_codes, chance).tolist()
    return math.fsum(worth) / len(rows)


def _check_unseen(estimator: Any, labels: ArrayLike) -> None:
    if estimator is not None:
        facts_of(estimator, as_labels(labels, None, "query_labels"))


def _check_recall_at(recall_at: Sequence[int]) -> list[int]:
    if isinstance(recall_at, str) or not isinstance(recall_at, Sequence):
        raise InvalidParameterError(
            f"recall_at must be a sequence of integers of at least 1; got {shown(recall_at)}."
        )
    checked = [check_integer(f"recall_at[{i}]", k, low=1) for i, k in enumerate(recall_at)]
    return list(dict.fromkeys(checked))


def _worth(runs: Runs, n_same: IntArray, depths: list[int]) -> np.ndarray:
    """Return precision@1, R-precision, MAP@R and recall@k of each query, (b, 3 + len(depths)).

    Parameters
    ----------
    runs : Runs
        Of at least R ranks.
    n_same : ndarray of int64, shape (b,)
        R of each query.
    depths : list of int
    """
    hit, precision = expected_hits(runs)
    counted = np.arange(hit.shape[1]) < n_same[:, None]
    columns = [
        hit[:, 0],
        np.where(counted, hit, 0.0).sum(1) / n_same,
        np.where(counted, precision, 0.0).sum(1) / n_same,
    ]
    return np.stack([*columns, *(expected_recall(runs, k) for k in depths)], axis=1)
