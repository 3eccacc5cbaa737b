"""What a verifier answers: scores, likelihood ratios, probabilities and decisions of pairs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from siamesekit._checks import check_number
from siamesekit._types import ArrayLike, IntArray, ItemsLike
from siamesekit.errors import InvalidDataError
from siamesekit.estimators._calibration import ScoredPairs, score_pairs, scored_pairs
from siamesekit.estimators._finite import check_finite
from siamesekit.estimators._inputs import check_weights
from siamesekit.estimators._pairs import (
    check_as_many,
    check_same,
    distinct,
    join_sides,
    sides_of,
    two_sides,
)
from siamesekit.estimators.base import SiameseEstimator
from siamesekit.training.items import as_float
from siamesekit.training.streaming import Streamed

__all__ = ["PAIRS", "AnswersPairs"]

PAIRS = 20_000
"""Pairs that thresholds are read off: all where they are so few, else so many of each kind."""


class AnswersPairs(SiameseEstimator):
    """The questions that are asked pairwise: row by row of `A` and `B`."""

    @property
    def threshold_(self) -> float:
        """The threshold that `predict` goes by."""
        raise NotImplementedError

    def decision_function(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the head's score of each pair, which `threshold_` is compared with.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            The first and the second of each pair; or all pairs as `A`, of shape (n, 2, …).

        Returns
        -------
        ndarray of float64, shape (n,)
            Higher = more alike; a fixed head's score is minus a distance. The same with `A` and
            `B` changed over.

        Raises
        ------
        InvalidDataError
            If the two are not as many, items have another shape than in training, or an embedding
            is not finite.
        """
        return self._at_once()._scores(A, B)

    def log_likelihood_ratio(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return how many times as likely each score is of a *same* pair as of a different one.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.

        Returns
        -------
        ndarray of float64, shape (n,)
            Natural logarithm of the ratio (divide by ``log(10)`` for bans): above 0 speaks for
            *same*. It does not depend on how many pairs of a kind it was fitted to; add the
            logarithm of the prior odds for that of the posterior odds.

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        """
        now = self._at_once()
        return now._ratios(now._scores(A, B))

    def predict_proba(
        self, A: ItemsLike | tuple[ItemsLike, ItemsLike], B: ItemsLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the probabilities of *different* and of *same*, each as likely beforehand.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Columns as in `classes_`: the second is *same*, as `similarity` has it. It says how sure
            one can be, whatever `threshold_` is: at a strict threshold a pair may well be refused
            though *same* is the likelier.

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        """
        now = self._at_once()
        same = 1 / (1 + np.exp(-np.clip(now._ratios(now._scores(A, B)), -700, 700)))
        return np.stack([1 - same, same], axis=1)

    def predict(
        self,
        A: ItemsLike | tuple[ItemsLike, ItemsLike],
        B: ItemsLike | None = None,
        *,
        threshold: float | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return whether each pair is of one class: whether its score is at least the threshold.

        Parameters
        ----------
        A, B : array-like or Tensor, shape (n, …)
            As for `decision_function`.
        threshold : float, optional
            In place of `threshold_`, for this call; 0.0 is a threshold as any other.

        Returns
        -------
        ndarray of bool, shape (n,)

        Raises
        ------
        InvalidDataError
            As `decision_function`.
        InvalidParameterError
            If `threshold` is no finite number.
        """
        now = self._at_once()
        cut = now.threshold_ if threshold is None else check_number("threshold", threshold)
        matches: npt.NDArray[np.bool_] = now._scores(A, B) >= cut
        return matches

    def score(
        self,
        X: ItemsLike | tuple[ItemsLike, ItemsLike],
        y: ItemsLike | None = None,
        same: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the share of pairs told right by `predict`.

        Parameters
        ----------
        X, y, same : array-like
            Pairs, as `fit` takes them: ``score(A, B, same)``, ``score(pairs, same)``; every pair
            counts the same. Or items and classes, ``score(X, y)``: pairs are drawn, the same at
            every call, and both kinds count one half.
        sample_weight : array-like, shape (n,), optional
            What each given pair counts, at least 0; 1 by default.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        InvalidDataError
            As `fit`, but for one kind of given pair, which will do. If the weights do not fit, or
            are given for items.
        """
        now = self._at_once()
        sides = two_sides(X, y, same)
        if sides is not None:
            truth = check_same(sides[2], len(sides[0]))
            weights = check_weights(sample_weight, len(truth))
            right = (now._scores(*sides[:2]) >= now.threshold_) == truth
            return float(np.average(right, weights=weights))
        if sample_weight is not None:
            raise InvalidDataError(
                "sample_weight must be None where X are items, whose pairs are drawn; it is for "
                "pairs that are given."
            )
        pairs = now._pairs_of_items(X, y)[0]
        right = (pairs.scores >= now.threshold_) == pairs.same
        return float((right[pairs.same].mean() + right[~pairs.same].mean()) / 2)

    # -- below the surface --------------------------------------------------------------------

    def _ratios(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        slope, intercept = self.calibration_
        return slope * scores + intercept

    def _scores(self, A: Any, B: Any) -> npt.NDArray[np.float64]:
        items, place = self._distinct_items(*sides_of(A, B))
        vectors = self._embed(items)
        i, j = torch.from_numpy(place).chunk(2)
        check_finite(vectors[i.to(vectors.device)], "A")
        check_finite(vectors[j.to(vectors.device)], "B")
        return score_pairs(self.head_, vectors, i, j)

    def _distinct_items(self, A: Any, B: Any) -> tuple[torch.Tensor | Streamed, IntArray]:
        a, b = self._check_items(A, "A"), self._check_items(B, "B")
        check_as_many(a, b)
        if isinstance(a, Streamed) or isinstance(b, Streamed):
            return distinct(join_sides(a, b), by_place=True)
        if a.dtype != b.dtype:  # bytes, and the floats that they stand for
            a, b = as_float(a), as_float(b)
        return distinct(torch.cat([a, b.to(a.device)]))

    def _pairs_of_items(self, X: Any, y: Any) -> tuple[ScoredPairs, np.ndarray]:
        labels, codes, vectors = self._embedded_pairs(X, y)
        pairs = scored_pairs(self.head_, vectors, torch.from_numpy(codes), 0, most=PAIRS)
        return pairs, labels
