"""All that is to be said of a verifier on pairs of people that it has not seen."""

from typing import Any, NamedTuple

import numpy as np

from siamesekit._checks import check_integer, check_number
from siamesekit._random import RandomState, seed_from
from siamesekit._types import ArrayLike
from siamesekit.evaluation._bootstrap import Estimate
from siamesekit.evaluation._facts import json_of
from siamesekit.evaluation._inputs import checked_pairs
from siamesekit.evaluation.calibration import cllr, min_cllr
from siamesekit.evaluation.error_rates import (
    Identities,
    equal_error_rate,
    fnmr_at_fmr,
    member_codes,
    min_dcf,
    roc_auc,
)

__all__ = ["VerificationReport", "verification_report"]


class VerificationReport(NamedTuple):
    """How well pairs are told apart, each figure with its 95 % interval by identity.

    Attributes
    ----------
    auc, eer : Estimate
        Area under the ROC curve; equal error rate.
    fnmr : Estimate
        The least FNMR of the thresholds whose FMR is at most `at_fmr`.
    min_dcf : Estimate
        Of a prior of `p_same`, both errors costing the same.
    cllr, min_cllr : Estimate
        In bits: of the log-likelihood ratios, and the part of it that is the scores' and not the
        calibration's.
    threshold, fmr_at_threshold, fnmr_at_threshold : float
        The threshold that decisions go by, and the rates there.
    at_fmr, p_same : float
    n_people, n_same, n_different : int
    source : str
        Which people the pairs are of, and what of the verifier was fitted to them.
    """

    auc: Estimate
    eer: Estimate
    fnmr: Estimate
    min_dcf: Estimate
    cllr: Estimate
    min_cllr: Estimate
    threshold: float
    fmr_at_threshold: float
    fnmr_at_threshold: float
    at_fmr: float
    p_same: float
    n_people: int
    n_same: int
    n_different: int
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as json can hold them; an estimate as a value and its interval."""
        plain: dict[str, Any] = json_of(
            {
                name: value._asdict() if isinstance(value, Estimate) else value
                for name, value in self._asdict().items()
            }
        )
        return plain


def verification_report(
    scores: ArrayLike,
    llr: ArrayLike,
    same: ArrayLike,
    *,
    identities: Identities,
    threshold: float,
    at_fmr: float = 0.01,
    p_same: float = 0.01,
    source: str = "",
    n_resamples: int = 200,
    random_state: RandomState = 0,
) -> VerificationReport:
    """Return all figures of verification on pairs.

    Parameters
    ----------
    scores : array-like or Tensor of float, shape (n,)
        Higher = more alike.
    llr : array-like or Tensor of float, shape (n,)
        Natural logarithms of likelihood ratios.
    same : array-like or Tensor of bool or {0, 1}, shape (n,)
    identities : pair of array-like, each of shape (n,), or Clusters
        Class of the first and of the second item of each pair.
    threshold : float
        Pairs with a score of at least this are called *same*.
    at_fmr : float
        In (0, 1).
    p_same : float
        How often pairs are of one class where `min_dcf` is to hold, in (0, 1).
    source : str
    n_resamples : int
        At least 100.
    random_state : int, Generator or None

    Returns
    -------
    VerificationReport

    Raises
    ------
    InvalidDataError
        If lengths differ, a score is not finite, pairs of one kind only are given, or `identities`
        contradict `same`.
    InvalidParameterError
        If another argument is out of its range.
    """
    cut = check_number("threshold", threshold)
    check_integer("n_resamples", n_resamples, low=100)
    # One seed for all: each figure is of the same draws.
    shared: dict[str, Any] = {"n_resamples": n_resamples, "random_state": seed_from(random_state)}
    values, truth = checked_pairs(scores, same)
    first, second = member_codes(identities, truth)
    fnmr = fnmr_at_fmr(scores, same, at_fmr, identities=identities, **shared)
    matches = values >= cut
    return VerificationReport(
        auc=roc_auc(scores, same, identities=identities, **shared),
        eer=equal_error_rate(scores, same, identities=identities, **shared),
        fnmr=fnmr,
        min_dcf=min_dcf(scores, same, p_same=p_same, identities=identities, **shared),
        cllr=cllr(llr, same, identities=identities, **shared),
        min_cllr=min_cllr(scores, same, identities=identities, **shared),
        threshold=cut,
        fmr_at_threshold=float(matches[~truth].mean()),
        fnmr_at_threshold=float((~matches[truth]).mean()),
        at_fmr=at_fmr,
        p_same=p_same,
        n_people=len(np.unique(np.concatenate([first, second]))),
        n_same=int(truth.sum()),
        n_different=int((~truth).sum()),
        source=source,
    )
