"""The best classes of each query, ranked, and whether it is anybody at all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from torch import Tensor

from siamesekit._types import FloatArray, IntArray
from siamesekit.gallery._best import check_scores, mixed
from siamesekit.gallery.threshold import Threshold
from siamesekit.heads._best_pairs import best_few_of_all

__all__ = ["Identification", "Ranked", "Ranking"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Identification:
    """Who each query may be, best first, and which of them are nobody.

    Attributes
    ----------
    labels : ndarray, shape (m, k)
        Classes, best first; `k` is that asked for, or the number of classes enrolled if that is
        less. Among equally good ones the order is drawn by item and label, as in `predict`.
    scores : ndarray of float32, shape (m, k)
        Higher = more alike.
    unknown : ndarray of bool, shape (m,)
        Whether the best score is below the threshold: nobody who is enrolled. All False where no
        promise was asked for.
    probabilities : ndarray of float64, shape (m, k), or None
        Of each of `labels`, among all classes enrolled and the unknown; None where nothing says
        how a score becomes one.
    probability_unknown : ndarray of float64, shape (m,), or None
        That it is none of the classes enrolled. The prior is the one for which the threshold is
        Bayes' decision, so an item is refused exactly where this is above the first of
        `probabilities`. 0 where no promise was asked for.
    threshold : Threshold or None
        What was promised.
    """

    labels: np.ndarray
    scores: FloatArray
    unknown: npt.NDArray[np.bool_]
    probabilities: Floats | None
    probability_unknown: Floats | None
    threshold: Threshold | None

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.unknown)


class Ranked:
    """What a search found.

    Attributes
    ----------
    codes : ndarray of int64, shape (m, k)
        Classes, best first.
    scores : ndarray of float64, shape (m, k)
    log_total : ndarray of float64, shape (m,)
        Logarithm of the sum over all classes of ``exp(slope * score)``; -infinity without slope.
    """

    def __init__(self, codes: IntArray, scores: Floats, log_total: Floats) -> None:
        self.codes, self.scores, self.log_total = codes, scores, log_total


class Ranking:
    """The best classes of queries so far, as scores come in.

    Parameters
    ----------
    n_queries : int
    k : int
        Classes to keep of each; no more than come.
    slope : float or None
        By which scores are multiplied in `Ranked.log_total`; None leaves that out.
    digest_of_query, digests_of_classes : callable
        As for `Best`: of equally good classes the order is drawn by both.
    """

    def __init__(
        self,
        n_queries: int,
        k: int,
        slope: float | None,
        digest_of_query: Callable[[IntArray], np.ndarray],
        digests_of_classes: Callable[[IntArray], np.ndarray],
    ) -> None:
        self._k, self._slope = k, slope
        self._digest_of_query = digest_of_query
        self._digests_of_classes = digests_of_classes
        self._codes = np.full((n_queries, k), -1, dtype=np.int64)
        self._scores = np.full((n_queries, k), -np.inf)
        self._log_total = np.full(n_queries, -np.inf)

    def add(self, rows: slice, codes: IntArray, scores: Tensor) -> None:
        """Take in the scores of some queries against some classes, which come once only.

        Parameters
        ----------
        rows : slice
            Positions of the queries.
        codes : ndarray of int64, shape (c,)
        scores : Tensor of float, shape (rows, c)

        Raises
        ------
        InvalidDataError
            If a score is NaN or +infinity.
        """
        # Ties with the last one stay: which of them is kept is drawn.
        own_rows, columns, tops = best_few_of_all(scores, self._k, self._scores[rows, -1])
        check_scores(tops, rows.start, lowest=True)
        array = scores.cpu().numpy()
        if self._slope is not None:
            own = logsumexp(array.astype(np.float64) * self._slope, axis=1)
            self._log_total[rows] = np.logaddexp(self._log_total[rows], own)
        n, k = len(array), self._k
        known = np.flatnonzero(self._codes[rows].ravel() >= 0)
        all_rows = np.concatenate([known // k, own_rows])
        all_codes = np.concatenate([self._codes[rows].ravel()[known], codes[columns]])
        all_scores = np.concatenate(
            [self._scores[rows].ravel()[known], array[own_rows, columns].astype(np.float64)]
        )
        order = self._order(all_rows + rows.start, all_codes, all_scores)
        all_rows = all_rows[order]
        place = np.arange(len(order)) - np.searchsorted(all_rows, np.arange(n))[all_rows]
        kept = place < k
        cells = all_rows[kept] + rows.start, place[kept]
        self._codes[cells] = all_codes[order][kept]
        self._scores[cells] = all_scores[order][kept]

    def result(self) -> Ranked:
        """Return what was found.

        Raises
        ------
        InvalidDataError
            If a query has no finite score at all.
        """
        if self._scores.shape[1]:
            check_scores(self._scores[:, 0], 0)
        return Ranked(self._codes, self._scores, self._log_total)

    def _order(self, rows: IntArray, codes: IntArray, scores: Floats) -> IntArray:
        """Return the order of pairs by row, by falling score, and as drawn."""
        order = np.lexsort((-scores, rows))
        ordered_rows, ordered = rows[order], scores[order]
        alike = (ordered_rows[1:] == ordered_rows[:-1]) & (ordered[1:] == ordered[:-1])
        if not alike.any():
            return order
        tied = np.zeros(len(order), dtype=bool)
        tied[1:] |= alike
        tied[:-1] |= alike
        drawn = np.zeros(len(order), dtype=np.uint64)
        places = order[tied]
        some, own = np.unique(rows[places], return_inverse=True)
        drawn[places] = mixed(
            self._digest_of_query(some)[own], self._digests_of_classes(codes[places])
        )
        return np.lexsort((drawn, -scores, rows))
