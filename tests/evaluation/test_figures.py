"""Intervals, calibration, leakage, and the known baselines on Lake's runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit.data import load_omniglot_runs
from siamesekit.errors import InvalidDataError, LeakageError
from siamesekit.evaluation import (
    check_disjoint,
    cosine_similarity,
    fit_calibration,
    mean_interval,
    modified_hausdorff,
    runs_accuracy,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.920, 0.889, 0.943), (0.955, 0.930, 0.971), (0.78, 0.737, 0.818)]
)
def test_wilson_gives_the_known_intervals_of_400_trials(
    share: float, low: float, high: float
) -> None:
    assert wilson_interval(share * 400, 400) == pytest.approx((low, high), abs=6e-4)


def test_a_mean_of_one_episode_says_nothing() -> None:
    assert mean_interval([0.5]) == (0.0, 1.0)
    low, high = mean_interval([0.4, 0.6, 0.5, 0.5])
    assert low == pytest.approx(0.5 - 3.182 * np.std([0.4, 0.6, 0.5, 0.5], ddof=1) / 2, abs=1e-3)
    assert high == pytest.approx(1 - low)


def test_calibration_recovers_a_logistic_map() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000) * 3 - 4
    same = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * scores + 6)))
    slope, intercept = fit_calibration(scores, same)
    assert slope == pytest.approx(1.5, rel=0.05)
    # Both kinds weigh the same, which shifts the intercept by the log odds of the sample.
    shift = np.log((~same).sum() / same.sum())
    assert intercept == pytest.approx(6 + shift, rel=0.1)


@pytest.mark.parametrize("same", [[True, True], [False, False], [True, False], [False, True]])
def test_calibration_keeps_the_order_of_scores(same: list[bool]) -> None:
    assert fit_calibration([0.0, 1.0], same)[0] > 0


def test_calibration_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InvalidDataError, match="one shape"):
        fit_calibration([0.0], [True, False])
    with pytest.raises(InvalidDataError, match="finite"):
        fit_calibration([np.nan, 0.0], [True, False])


def test_leaked_classes_are_named() -> None:
    check_disjoint(["Greek"], ["Latin"])
    with pytest.raises(LeakageError, match="1 alphabets with training: Greek"):
        check_disjoint(["Greek", "Latin"], ["Greek"], "alphabets")


def test_modified_hausdorff_against_a_naive_one() -> None:
    images = np.random.default_rng(0).random((4, 9, 9)) < 0.2

    def naive(a: np.ndarray, b: np.ndarray) -> float:
        points = [np.argwhere(x) - np.argwhere(x).mean(0) for x in (a, b)]
        d = np.linalg.norm(points[0][:, None] - points[1][None], axis=2)
        return max(d.min(1).mean(), d.min(0).mean())

    expected = [[-naive(a, b) for b in images] for a in images]
    np.testing.assert_allclose(modified_hausdorff(images, images).numpy(), expected)
    with pytest.raises(InvalidDataError, match="ink"):
        modified_hausdorff(np.zeros((1, 3, 3)), images)


def test_runs_must_fit() -> None:
    with pytest.raises(InvalidDataError, match="at least one run"):
        runs_accuracy([], cosine_similarity)
    with pytest.raises(InvalidDataError, match="answers"):
        runs_accuracy([(torch.eye(3), torch.eye(3), [0])], cosine_similarity)


def test_the_known_baselines_on_lakes_runs(data_root: Path) -> None:
    runs = load_omniglot_runs(data_root / "omniglot")

    def flat(images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images.reshape(len(images), -1)).float()

    nearest = runs_accuracy(
        [(flat(r.support), flat(r.query), r.answers) for r in runs], cosine_similarity
    )
    assert nearest.value == pytest.approx(0.2175)
    assert json.loads(json.dumps(nearest.to_dict()))["n_trials"] == 400
    hausdorff = runs_accuracy([(r.support, r.query, r.answers) for r in runs], modified_hausdorff)
    assert hausdorff.value == pytest.approx(0.6125)
    assert "61.25%" in str(hausdorff)
