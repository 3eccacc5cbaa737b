"""Thresholds and the accuracy of verification."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError
from siamesekit.evaluation import best_threshold, verification_accuracy, wilson_interval


def accuracy(scores: np.ndarray, same: np.ndarray, threshold: float) -> float:
    return float(((scores > threshold) == same).mean())


pairs = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
    lambda drawn: len({same for _, same in drawn}) == 2
)


@given(pairs)
def test_no_threshold_is_better(drawn: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in drawn], dtype=float)
    same = np.array([same for _, same in drawn])
    threshold = best_threshold(scores, same)
    others = [accuracy(scores, same, cut) for cut in np.arange(-6.5, 7)]
    assert accuracy(scores, same, threshold) == max(others)
    assert threshold not in scores


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.floats(allow_nan=False, allow_infinity=False),
                st.sampled_from([1.0, np.nextafter(1, 0), np.nextafter(1, 2), 1e17, 2e17, 1e308,
                                 -1e308, np.finfo(float).max, -np.finfo(float).max, 0.0, 5e-324]),
            ),
            st.booleans(),
        ),
        min_size=2, max_size=12,
    ).filter(lambda drawn: len({same for _, same in drawn}) == 2)
)  # fmt: skip
@settings(deadline=None)
def test_a_threshold_is_finite_and_between_scores(drawn: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in drawn])
    same = np.array([same for _, same in drawn])
    threshold = best_threshold(scores, same)
    assert np.isfinite(threshold)
    # As good as any cut; that below the least of all floats does not exist.
    cuts = [accuracy(scores, same, cut) for cut in [-np.inf, *scores] if np.isfinite(cut)]
    if scores.min() > -np.finfo(float).max:
        cuts.append(same.mean())
    assert accuracy(scores, same, threshold) == max(cuts)
    assert verification_accuracy(scores, same, threshold).value == max(cuts)
    if threshold in scores:
        # No float lies between it and the next score.
        above = scores[scores > threshold]
        assert len(above) == 0 or np.nextafter(threshold, np.inf) == above.min()


@pytest.mark.parametrize(
    ("scores", "same", "best"),
    [
        ([np.nextafter(1.0, 0), 1.0], [0, 1], 1.0),
        ([1.0, np.nextafter(1.0, 2)], [0, 1], 1.0),
        ([1e308, 1.7e308], [0, 1], 1.0),
        ([-1.7e308, 1.7e308], [0, 1], 1.0),
        ([1e17, 2e17], [1, 0], 0.5),
        ([-2e17, -1e17], [1, 0], 0.5),
        ([0.0, 5e-324], [0, 1], 1.0),
        ([np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))], [0, 1], 1.0),
    ],
)
def test_thresholds_of_awkward_scores(scores: list[float], same: list[int], best: float) -> None:
    threshold = best_threshold(scores, same)
    assert np.isfinite(threshold)
    assert verification_accuracy(scores, same, threshold).value == best
    if best == 0.5:
        assert threshold not in scores


def test_accuracy_is_that_of_the_other_pairs() -> None:
    threshold = best_threshold([0.0, 1.0, 2.0, 3.0], [False, False, True, True])
    assert threshold == 1.5
    result = verification_accuracy(
        torch.tensor([0.0, 2.0, 1.0, 9.0]), torch.tensor([0, 0, 1, 1]), threshold, seed=3
    )
    assert (result.value, result.chance, result.n_trials, result.seed) == (0.5, 0.5, 4, 3)
    assert result.interval == wilson_interval(2, 4)


def test_a_constant_score_gets_chance_and_no_more() -> None:
    result = verification_accuracy([1.0] * 4, [True, False, True, False], 1.0)
    assert result.value == result.chance == 0.5


def test_bad_pairs_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="one shape"):
        best_threshold([0.0, 1.0], [True])
    with pytest.raises(InvalidDataError, match="finite"):
        verification_accuracy([np.nan, 1.0], [True, False], 0.0)
    with pytest.raises(InvalidDataError, match="one kind"):
        best_threshold([0.0, 1.0], [True, True])
    with pytest.raises(InvalidDataError, match="True and False"):
        best_threshold([0.0, 1.0], [2, 0])
