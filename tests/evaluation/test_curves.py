"""Curves and their bands are the figures at each of their points."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from siamesekit import evaluation as ev
from siamesekit.errors import InvalidDataError, InvalidParameterError


def pairs(n_people: int = 12, each: int = 3, seed: int = 0) -> tuple[Any, Any, tuple[Any, Any]]:
    """Return scores, same and identities of all pairs of a few people."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n_people), each)
    i, j = np.triu_indices(len(who), 1)
    same = who[i] == who[j]
    # Rounded, so that there are ties.
    return np.round(rng.normal(same * 1.5), 1), same, (who[i], who[j])


def searches(seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    classes, probes = np.arange(6), np.repeat(np.arange(10), 3)
    scores = rng.normal(size=(30, 6)) + 2.0 * (probes[:, None] == classes)
    return np.round(scores, 1).astype(np.float32), classes, probes


def test_a_det_curve_is_fnmr_at_fmr_with_its_interval() -> None:
    scores, same, identities = pairs()
    at = [0.0, 0.01, 0.1, 0.5, 1.0]
    curve = ev.det_curve(scores, same, identities=identities, at=at, n_resamples=100)
    assert curve.low is not None
    assert curve.high is not None
    for k, fmr in enumerate(at):
        figure = ev.fnmr_at_fmr(scores, same, fmr, identities=identities, n_resamples=100)
        assert (curve.y[k], (curve.low[k], curve.high[k])) == figure


def test_a_roc_curve_is_the_other_side_of_a_det_curve() -> None:
    scores, same, identities = pairs()
    det = ev.det_curve(scores, same, identities=identities, n_resamples=100)
    roc = ev.roc_curve(scores, same, identities=identities, n_resamples=100)
    assert det.low is not None
    np.testing.assert_array_equal(roc.x, det.x)
    np.testing.assert_array_equal(roc.y, 1 - det.y)
    np.testing.assert_array_equal(roc.high, 1 - det.low)
    assert (roc.low <= roc.y).all()  # type: ignore[operator]
    assert (roc.y <= roc.high).all()  # type: ignore[operator]


def test_without_identities_there_is_no_band() -> None:
    scores, same, _ = pairs()
    curve = ev.roc_curve(torch.from_numpy(scores), same.tolist())
    assert curve.low is None
    assert curve.high is None
    assert curve.x[0] == 0
    assert curve.x[1] == pytest.approx(1 / (~same).sum())
    assert (curve.x[-1], curve.y[-1]) == (1, 1)
    assert (np.diff(curve.y) >= 0).all()


@pytest.mark.parametrize("rank", [1, 2])
def test_an_open_set_curve_is_fnir_at_fpir(rank: int) -> None:
    scores, classes, probes = searches()
    at = np.array([0.0, 0.1, 0.3, 1.0])
    curve = ev.open_set_curve(scores, classes, probes, rank=rank, at=at, n_resamples=100)
    for k, fpir in enumerate(at):
        figure = ev.fnir_at_fpir(scores, classes, probes, fpir, rank=rank, n_resamples=100)
        assert (curve.y[k], (curve.low[k], curve.high[k])) == figure  # type: ignore[index]


def test_a_cmc_curve_is_the_cmc_by_rank() -> None:
    scores, classes, probes = searches()
    known = probes < 6
    curve = ev.cmc_curve(scores[known], classes, probes[known], n_resamples=100)
    np.testing.assert_allclose(curve.y, ev.cmc(scores[known], classes, probes[known]), atol=1e-15)
    assert curve.x.tolist() == [1, 2, 3, 4, 5, 6]
    assert curve.low is not None
    assert curve.low[0] < curve.y[0]
    # Nobody is missed by all ranks; six people cannot show it for more than 46 % of all.
    assert curve.y[-1] == 1
    assert curve.low[-1] == pytest.approx(0.025 ** (1 / 6))


def test_reliability_is_the_share_of_same_with_both_kinds_weighing_one_half() -> None:
    probability = [0.1, 0.12, 0.9, 0.95, 0.91, 1.0]
    same = [0, 1, 1, 1, 0, 1]
    bins = ev.reliability_curve(probability, same)
    assert bins.n_same.tolist() == [1, 3]
    assert bins.n_different.tolist() == [1, 1]
    np.testing.assert_allclose(bins.share, [(1 / 4) / (1 / 4 + 1 / 2), (3 / 4) / (3 / 4 + 1 / 2)])
    np.testing.assert_allclose(bins.probability[0], (0.1 * 2 + 0.12) / 3)
    assert bins.low is None


def test_reliability_has_an_interval_by_identity() -> None:
    scores, same, identities = pairs()
    probability = 1 / (1 + np.exp(-scores))
    bins = ev.reliability_curve(probability, same, identities=identities, n_resamples=100)
    assert bins.low is not None
    assert bins.high is not None
    assert (bins.low <= bins.share).all()
    assert (bins.share <= bins.high).all()
    assert int(bins.n_same.sum()) == same.sum()
    assert np.isfinite(bins.low).all()


_PAIRS, _SEARCHES = pairs(), searches()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ev.det_curve(*_PAIRS[:2], at=[0.2, 0.1]), InvalidDataError, "rising"),
        (lambda: ev.det_curve(*_PAIRS[:2], at=[0.2, 1.1]), InvalidDataError, r"in \[0, 1\]"),
        (lambda: ev.det_curve(*_PAIRS[:2], at=[]), InvalidDataError, "at must hold one rate"),
        (lambda: ev.det_curve(*_PAIRS[:2], at=0.1), InvalidDataError, r"at must hold rates"),
        (lambda: ev.roc_curve(*_PAIRS[:2], at=["a"]), InvalidDataError, "at must hold real"),
        (lambda: ev.roc_curve([1.0, 2.0], [1, 1]), InvalidDataError, "one kind"),
        (
            lambda: ev.roc_curve(*_PAIRS[:2], identities=_PAIRS[2], n_resamples=5),
            InvalidParameterError,
            "n_resamples",
        ),
        (lambda: ev.open_set_curve(*_SEARCHES, rank=0), InvalidParameterError, "rank"),
        (lambda: ev.cmc_curve(*_SEARCHES), InvalidDataError, "probes must be of enrolled"),
        (
            lambda: ev.reliability_curve([0.5, 1.5], [0, 1]),
            InvalidDataError,
            r"probability must lie in \[0, 1\]; got 1.5",
        ),
        (lambda: ev.reliability_curve([0.5], [0, 1]), InvalidDataError, "probability and same"),
        (
            lambda: ev.reliability_curve([0.5, 0.2], [0, 1], n_bins=0),
            InvalidParameterError,
            "n_bins",
        ),
        (
            lambda: ev.reliability_curve([0.5, 0.2], [0, 1], identities=([1, 2], [1, 2])),
            InvalidDataError,
            "identities must agree",
        ),
    ],
)
def test_bad_input_is_named(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
