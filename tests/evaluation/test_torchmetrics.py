"""Figures of verification equal torchmetrics' and scikit-learn's, on their ground."""

import numpy as np
import pytest
import torch
from sklearn.metrics import det_curve as sklearn_det_curve

from siamesekit.evaluation import (
    choose_threshold,
    equal_error_rate,
    error_rates,
    fnmr_at_fmr,
    roc_auc,
    tar_at_far,
)

theirs = pytest.importorskip(
    "torchmetrics.functional.classification", reason="compares with torchmetrics"
)


def pairs(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(400) < 0.3
    # In [0, 1], or torchmetrics takes them for logits; in float32, which it computes in.
    scores = 1 / (1 + np.exp(-(rng.normal(size=400) + 1.5 * same)))
    return (np.round(scores, 1) if ties else scores).astype(np.float32), same


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_torchmetrics(seed: int, ties: bool) -> None:
    scores, same = pairs(seed, ties)
    given = torch.from_numpy(scores), torch.from_numpy(same).long()
    fpr, tpr, _ = theirs.binary_roc(*given)
    own = error_rates(scores, same)
    np.testing.assert_allclose(own.fmr, fpr, atol=1e-6)
    np.testing.assert_allclose(1 - own.fnmr, tpr, atol=1e-6)
    assert roc_auc(scores, same).value == pytest.approx(float(theirs.binary_auroc(*given)))
    assert equal_error_rate(scores, same).value == pytest.approx(float(theirs.binary_eer(*given)))
    for least in (0.9, 0.99):
        best, _ = theirs.binary_sensitivity_at_specificity(*given, min_specificity=least)
        found = choose_threshold(scores, same, strategy="max_tpr", min_rate=least)
        assert 1 - found.fnmr == pytest.approx(float(best))
        assert tar_at_far(scores, same, 1 - least + 1e-9).value == pytest.approx(float(best))
        best, _ = theirs.binary_specificity_at_sensitivity(*given, min_sensitivity=least)
        found = choose_threshold(scores, same, strategy="max_tnr", min_rate=least)
        assert 1 - found.fmr == pytest.approx(float(best))


def test_the_det_curve_is_scikit_learns() -> None:
    scores, same = pairs(0, ties=False)
    fpr, fnr, _ = sklearn_det_curve(same, scores)
    for most, least in zip(fpr, fnr, strict=True):
        # Of thresholds with one FMR theirs may be a worse one.
        assert fnmr_at_fmr(scores, same, most + 1e-12).value <= least + 1e-12
    own = error_rates(scores, same)
    ours = set(zip(own.fmr.round(9).tolist(), own.fnmr.round(9).tolist(), strict=True))
    assert set(zip(fpr.round(9).tolist(), fnr.round(9).tolist(), strict=True)) <= ours
