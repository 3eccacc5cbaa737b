"""Intervals, calibration, leakage, and the known baselines on Lake's runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit.data import load_omniglot_runs
from siamesekit.errors import InvalidDataError, InvalidParameterError, LeakageError
from siamesekit.evaluation import (
    check_disjoint,
    cllr,
    cosine_similarity,
    fit_calibration,
    log_loss,
    mean_interval,
    min_cllr,
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


@pytest.mark.parametrize(
    ("successes", "n", "message"),
    [(5, 3, "successes"), (-1, 3, "successes"), (np.nan, 3, "successes"), ("1", 3, "successes"),
     (1, 0, "n must"), (1, 2.5, "n must"), (True, 3, "successes")],
)  # fmt: skip
def test_a_proportion_must_be_one(successes: float, n: int, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        wilson_interval(successes, n)


def test_wilson_reaches_the_ends_exactly() -> None:
    for n in (1, 7, 400, 12_345):
        assert wilson_interval(n, n)[1] == 1.0
        assert wilson_interval(0, n)[0] == 0.0


@pytest.mark.parametrize("values", [[], [0.5, 1.1], [-0.1, 0.3], [[0.5, 0.6]], 0.5, [np.nan, 0.5]])
def test_a_mean_is_of_shares(values: object) -> None:
    with pytest.raises(InvalidDataError, match="values"):
        mean_interval(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_interval_of_episodes_covers_near_the_ends_too(
    share: float, correlation: float, mirrored: bool
) -> None:
    # Episodes of 20 trials that go wrong together: each has an accuracy of its own.
    rng = np.random.default_rng(0)
    for n in (100, 400):
        accuracy = np.full((400, n), share)
        if correlation:
            spread = 1 / correlation - 1
            accuracy = rng.beta(share * spread, (1 - share) * spread, size=(400, n))
        figures = rng.binomial(20, accuracy) / 20
        truth = 1 - share if mirrored else share
        figures = 1 - figures if mirrored else figures
        intervals = np.array([mean_interval(own, 20) for own in figures])
        covered = ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean()
        assert covered >= 0.92
        # And is no wider than it must be: in the middle, Student's t.
        if share == 0.5:
            half = 1.985 * figures.std(1, ddof=1).mean() / np.sqrt(n)
            assert (intervals[:, 1] - intervals[:, 0]).mean() == pytest.approx(2 * half, rel=0.02)


def test_an_interval_tells_how_many_trials_stand_behind_it() -> None:
    # The more trials each value has, the less room is left where none went wrong.
    low = [mean_interval([1.0] * 50, n)[0] for n in (1, 10, 100)]
    assert low == sorted(low)
    assert low[0] > 0.9
    assert mean_interval([1.0] * 50) == mean_interval([1.0] * 50, 1)
    # Seeds of a long run keep Student's t, or nearly.
    low, high = mean_interval([0.975, 0.98, 0.97], 8000)
    assert (low, high) == pytest.approx((0.9626, 0.9874), abs=2e-3)


def test_a_mean_of_one_episode_says_nothing() -> None:
    assert mean_interval([0.5]) == (0.0, 1.0)
    low, high = mean_interval([0.4, 0.6, 0.5, 0.5])
    assert low == pytest.approx(0.5 - 3.182 * np.std([0.4, 0.6, 0.5, 0.5], ddof=1) / 2, abs=1e-3)
    assert high == pytest.approx(1 - low)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_values_that_happen_to_be_equal_are_no_certainty(share: float) -> None:
    low, high = mean_interval([share] * 4, n_trials=20)
    own_low, own_high = wilson_interval(share * 80, 80)
    assert low <= own_low + 1e-9 < own_high - 1e-9 <= high


def test_calibration_recovers_a_logistic_map() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000) * 3 - 4
    same = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * scores + 6)))
    slope, intercept = fit_calibration(scores, same)
    assert slope == pytest.approx(1.5, rel=0.05)
    # Both kinds weigh the same, which shifts the intercept by the log odds of the sample.
    shift = np.log((~same).sum() / same.sum())
    assert intercept == pytest.approx(6 + shift, rel=0.1)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1.0, 1e9, 1e200])
@pytest.mark.parametrize("offset", [0.0, -3.0])
def test_calibration_knows_no_units(scale: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    scores, same = rng.normal(size=400), np.arange(400) % 2
    scores = scores + same

    def probability(values: np.ndarray) -> np.ndarray:
        slope, intercept = fit_calibration(values, same)
        assert np.isfinite([slope, intercept]).all()
        return 1 / (1 + np.exp(-(slope * values + intercept)))

    moved = (scores + offset) * scale
    np.testing.assert_allclose(probability(moved), probability(scores), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e308, 5e-324, 0.1 + 0.2])
def test_equal_scores_say_one_half(value: float) -> None:
    slope, intercept = fit_calibration([value] * 6, [1, 0, 1, 0, 0, 1])
    assert slope > 0
    assert slope * value + intercept == 0


@pytest.mark.parametrize(
    ("scores", "same"),
    [([3.0, 2.0, 1.0, 0.0], [0, 0, 1, 1]), ([0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1]),
     ([0.0, 9.0], [1, 1]), ([0.0, 9.0], [0, 0])],
)  # fmt: skip
def test_scores_that_tell_nothing_say_about_one_half(scores: list[float], same: list[int]) -> None:
    slope, intercept = fit_calibration(scores, same)
    assert slope > 0
    np.testing.assert_allclose(
        1 / (1 + np.exp(-(slope * np.array(scores) + intercept))), 0.5, atol=1e-3
    )


def test_calibration_is_no_surer_than_few_classes_allow() -> None:
    scores, same = np.r_[np.ones(5000), np.zeros(5000)], np.arange(10_000) < 5000
    for n_classes in (1, 2, 10, 1000):
        slope, intercept = fit_calibration(scores, same, n_classes=n_classes)
        expected = (n_classes + 1) / (n_classes + 2)
        assert 1 / (1 + np.exp(-(slope + intercept))) == pytest.approx(expected)
        assert 1 / (1 + np.exp(-intercept)) == pytest.approx(1 - expected)
    with pytest.raises(InvalidParameterError, match="n_classes"):
        fit_calibration(scores, same, n_classes=0)


def test_the_cost_of_likelihood_ratios_is_what_the_paper_says() -> None:
    llr, same = np.log([9.0, 3.0, 0.5, 1 / 9]), np.array([1, 1, 0, 0])
    by_hand = (np.mean(np.log2(1 + np.array([1 / 9, 1 / 3])))
               + np.mean(np.log2(1 + np.array([0.5, 1 / 9])))) / 2  # fmt: skip
    assert cllr(llr, same) == pytest.approx(by_hand)
    assert cllr(np.zeros(4), same) == 1.0
    assert cllr([np.inf, 800.0, -np.inf, -800.0], same) == 0.0
    assert cllr([-np.inf, 1.0, -1.0, -1.0], same) == np.inf
    # Numbers of pairs do not matter, only their kinds.
    assert cllr(np.repeat(llr, [5, 5, 1, 1]), np.repeat(same, [5, 5, 1, 1])) == pytest.approx(
        by_hand
    )
    probability = 1 / (1 + np.exp(-llr))
    assert log_loss(probability, same) == pytest.approx(by_hand * np.log(2))
    assert log_loss([1.0, 0.0], [1, 0]) == 0.0
    assert log_loss([1.0, 0.0], [0, 0]) == np.inf


def test_no_rising_map_costs_less_than_the_least_cost() -> None:
    rng = np.random.default_rng(0)
    same = np.arange(300) % 2
    scores = rng.normal(size=300) + 1.5 * same
    least = min_cllr(scores, same)
    assert 0 < least < 1
    for slope, intercept in (fit_calibration(scores, same), (1.0, 0.0), (3.0, -1.0)):
        assert least <= cllr(slope * scores + intercept, same)
    assert min_cllr(np.exp(scores), same) == pytest.approx(least)
    assert min_cllr(np.ones(300), same) == pytest.approx(1.0)
    assert min_cllr(same, same) == 0.0


@pytest.mark.parametrize("cost", [cllr, min_cllr, log_loss])
def test_bad_pairs_have_no_cost(cost: Callable[..., float]) -> None:
    with pytest.raises(InvalidDataError, match="same must hold True and False"):
        cost([0.1, 0.2], [-1, 1])
    with pytest.raises(InvalidDataError, match="NaN"):
        cost([np.nan, 0.2], [0, 1])
    with pytest.raises(InvalidDataError, match="one shape"):
        cost([0.1], [0, 1])
    if cost is log_loss:
        with pytest.raises(InvalidDataError, match=r"probability must lie in \[0, 1\]; got 1.5"):
            cost([1.5, 0.2], [0, 1])
    else:
        with pytest.raises(InvalidDataError, match="one kind"):
            cost([0.1, 0.2], [1, 1])


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
    with pytest.raises(LeakageError, match="2 classes with training: 3, 4"):
        check_disjoint([4, 3, 1], np.array([3, 4, 4, 9]))


@pytest.mark.parametrize(
    ("train", "test", "named"),
    [
        ([1, None, "a"], ["a", None], "2 classes with training: "),
        ([("a", 1), "b"], ["b"], ": b"),
        ([True, "x"], ["x", 2], ": x"),
        ([2**53, 2**53 + 1], np.array([2**53 + 1], dtype=np.uint64), f": {2**53 + 1}"),
        (torch.tensor([1, 2]), [2.0], ": 2.0"),
        (np.array([b"a", b"b"]), [b"b"], ": b'b'"),
    ],
)
def test_leaked_labels_of_any_kind_are_named(train: object, test: object, named: str) -> None:
    with pytest.raises(LeakageError, match=named):
        check_disjoint(train, test)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("train", "test"),
    [([1], ["1"]), ([1, "2"], ["1", 2]), ([], [1]), ([], []), ([2**53], [float(2**53) + 2]),
     ([None], ["None"]), (np.array([2**62]), np.array([2**62 + 1], dtype=np.uint64))],
)  # fmt: skip
def test_other_labels_are_others(train: object, test: object) -> None:
    check_disjoint(train, test)  # type: ignore[arg-type]


def test_many_leaked_classes_are_counted() -> None:
    with pytest.raises(LeakageError, match=r"50 classes .*: 0, 1, .*19 and 30 more"):
        check_disjoint(range(50), range(60))


@pytest.mark.parametrize("labels", [5, "Greek", [[1], [2]], [float("nan")], [{}], None])
def test_bad_lists_of_classes_are_named(labels: object) -> None:
    with pytest.raises(InvalidDataError, match=r"test|hashable"):
        check_disjoint([1], labels)  # type: ignore[arg-type]


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
