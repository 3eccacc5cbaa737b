"""The threshold of a verifier: read off people who were not trained on, or set by its user."""

from typing import Self

from sklearn.utils.validation import check_is_fitted

from siamesekit._checks import check_number
from siamesekit._random import RandomState
from siamesekit.errors import TooFewTrialsError
from siamesekit.estimators._answering import AnswersPairs
from siamesekit.estimators._calibration import ScoredPairs
from siamesekit.estimators._verified import threshold_of_the_user
from siamesekit.evaluation.error_rates import Clusters
from siamesekit.evaluation.thresholds import Threshold, choose_threshold

__all__ = ["ReadsThresholds"]

_HOW_TO_HOLD_OUT = "fit with held_out=0.3, say (got held_out=None), or "


class ReadsThresholds(AnswersPairs):
    """The threshold that decisions go by, and how it is chosen."""

    held_out: float | None
    held_out_pairs_: ScoredPairs | None

    @property
    def threshold_(self) -> float:
        """The threshold that `predict` goes by."""
        check_is_fitted(self)
        given: Threshold | None = vars(self).get("set_threshold_")
        if given is not None:
            return given
        slope, intercept = self.calibration_
        return -intercept / slope

    def threshold(
        self,
        fmr: float | None = None,
        *,
        strategy: str | None = None,
        beta: float = 1.0,
        min_rate: float = 0.95,
        p_same: float | None = 0.5,
        confidence: float | None = 0.95,
        n_resamples: int = 1000,
        random_state: RandomState = 0,
    ) -> Threshold:
        """Choose the threshold that `predict` goes by from now on, from people never trained on.

        Those are the classes that `fit` held out, or that `calibrate` was given.

        Parameters
        ----------
        fmr : float, optional
            A promise, in (0, 1): at most this share of pairs of different people will be called
            *same*, at `confidence`. The lowest threshold is chosen of which a bootstrap over people
            shows that. With ``confidence=None`` the estimate alone must keep to it: no promise.
        strategy : {"accuracy", "eer", "f_beta", "max_tpr", "max_tnr"}, optional
            In place of `fmr`; see `siamesekit.evaluation.choose_threshold`.
        beta, min_rate
            Of ``"f_beta"``; of ``"max_tpr"`` and ``"max_tnr"``.
        p_same : float or None
            For ``"accuracy"`` and ``"f_beta"``: how often pairs are of one class where the verifier
            is used, in (0, 1). None: as often as among the held-out pairs.
        confidence : float or None
            Of the bounds, one-sided, in (0, 1).
        n_resamples : int
        random_state : int, Generator or None

        Returns
        -------
        Threshold
            A float; with the rates that it has on the held-out people, and their upper bounds.

        Raises
        ------
        TooFewTrialsError
            If nobody was held out, or so few people cannot show what is to be promised. The
            threshold is then as it was.
        InvalidParameterError
            If not one of `fmr` and `strategy` is given, or an argument is out of its range.
        """
        now = self._at_once()
        pairs = now.held_out_pairs_
        if pairs is None:
            raise TooFewTrialsError(
                "threshold must be read off classes that were not trained on, and none are kept "
                f"here: {_HOW_TO_HOLD_OUT if self.held_out is None else ''}call calibrate(X, y) "
                "with others."
            )
        found = choose_threshold(
            pairs.scores,
            pairs.same,
            fmr=fmr,
            strategy=strategy,
            beta=beta,
            min_rate=min_rate,
            p_same=p_same,
            identities=Clusters(pairs.first, pairs.second),
            confidence=confidence,
            n_resamples=n_resamples,
            random_state=random_state,
        )
        self.set_threshold_ = found
        return found

    def set_threshold(self, threshold: float) -> Self:
        """Let `predict` go by a threshold of your own.

        Parameters
        ----------
        threshold : float
            Finite, on the scale of `decision_function`; 0.0 is one as any other.

        Returns
        -------
        self
            Itself.

        Raises
        ------
        InvalidParameterError
            If it is no finite number.
        """
        check_is_fitted(self)
        check_number("threshold", threshold)
        self.set_threshold_ = threshold_of_the_user(threshold)
        return self
