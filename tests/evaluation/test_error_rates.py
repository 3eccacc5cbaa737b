"""Error rates equal scikit-learn's where it has them, and the definitions where it has not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import (
    equal_error_rate,
    error_rates,
    fnmr_at_fmr,
    min_dcf,
    roc_auc,
    tar_at_far,
)

FIGURES = (roc_auc, equal_error_rate, fnmr_at_fmr, tar_at_far, min_dcf)


def pairs_of_people(n_people: int = 12, seed: int = 0):
    """All pairs of three noisy items of each person: scores, same, and who is who."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), 3)
    items = rng.normal(size=(n_people, 8))[people] + 0.8 * rng.normal(size=(3 * n_people, 8))
    i, j = np.triu_indices(len(people), 1)
    scores = -np.linalg.norm(items[i] - items[j], axis=1)
    return scores, people[i] == people[j], (people[i], people[j])


@st.composite
def scored_pairs(draw):
    n = draw(st.integers(2, 40))
    scores = draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n))
    same = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(scores, float), np.array([True, False, *same[2:]])


@settings(deadline=None, max_examples=60)
@given(scored_pairs())
def test_rates_are_those_of_scikit_learn(pairs) -> None:
    scores, same = pairs
    rates = error_rates(scores, same)
    fpr, tpr, thresholds = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_allclose(rates.fmr, fpr, atol=1e-12)
    np.testing.assert_allclose(1 - rates.fnmr, tpr, atol=1e-12)
    np.testing.assert_array_equal(rates.thresholds, thresholds)
    assert roc_auc(scores, same).value == pytest.approx(roc_auc_score(same, scores))


@settings(deadline=None, max_examples=60)
@given(scored_pairs(), st.floats(0, 1))
def test_figures_are_read_off_every_threshold(pairs, most: float) -> None:
    scores, same = pairs
    cuts = [np.inf, *sorted(set(scores), reverse=True)]
    fmr = [float((scores[~same] >= t).mean()) for t in cuts]
    fnmr = [float((scores[same] < t).mean()) for t in cuts]
    within = [b for a, b in zip(fmr, fnmr, strict=True) if a <= most]
    assert fnmr_at_fmr(scores, same, most).value == pytest.approx(min(within))
    assert tar_at_far(scores, same, most).value == pytest.approx(1 - min(within))
    least = min(abs(a - b) for a, b in zip(fmr, fnmr, strict=True)) + 1e-9
    equal = [(a + b) / 2 for a, b in zip(fmr, fnmr, strict=True) if abs(a - b) <= least]
    value = equal_error_rate(scores, same).value
    assert any(value == pytest.approx(candidate) for candidate in equal)
    costs = [2 * 0.1 * b + 3 * 0.9 * a for a, b in zip(fmr, fnmr, strict=True)]
    cost = min_dcf(scores, same, p_same=0.1, cost_miss=2.0, cost_false_match=3.0)
    assert cost.value == pytest.approx(min(costs) / 0.2)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_constant_scorer_knows_nothing(figure) -> None:
    scores, same, _ = pairs_of_people()
    value = figure(np.zeros_like(scores), same).value
    assert value == {roc_auc: 0.5, equal_error_rate: 0.5, tar_at_far: 0.0}.get(figure, 1.0)


@pytest.mark.parametrize("figure", FIGURES)
def test_an_interval_holds_its_figure_and_is_reproducible(figure) -> None:
    scores, same, people = pairs_of_people()
    value, interval = figure(scores, same, identities=people, n_resamples=200)
    assert interval[0] <= value <= interval[1]
    assert interval[1] - interval[0] > 0
    again = figure(scores, same, identities=people, n_resamples=200)
    assert again == (value, interval)
    named = tuple(np.array([f"p{code:02}" for code in codes]) for codes in people)
    assert figure(scores, same, identities=named, n_resamples=200) == again
    assert figure(scores, same) == (value, None)


def test_an_interval_by_identity_is_wider_than_one_by_pairs() -> None:
    scores, same, people = pairs_of_people()
    by_identity = equal_error_rate(scores, same, identities=people, n_resamples=300).interval
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(scores), size=len(scores)) for _ in range(300)]
    by_pair = np.quantile(
        [equal_error_rate(scores[d], same[d]).value for d in draws], [0.025, 0.975]
    )
    assert by_identity[1] - by_identity[0] > by_pair[1] - by_pair[0]


def test_no_error_seen_is_not_no_error() -> None:
    _, same, people = pairs_of_people(n_people=10)
    value, interval = equal_error_rate(same.astype(float), same, identities=people)
    assert value == 0
    assert interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))


@pytest.mark.parametrize("figure", [*FIGURES, error_rates])
@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([0.1, 0.2], [1, 1], "one kind"),
        ([0.1, np.nan], [1, 0], "finite"),
        ([0.1, 0.2, 0.3], [1, 0], "one shape"),
        ([0.1, 0.2], [-1, 1], "True and False"),
        ([], [], "at least 1"),
    ],
)
def test_bad_pairs_are_named(figure, scores, same, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        figure(scores, same)


def test_bad_options_are_named() -> None:
    scores, same, people = pairs_of_people()
    with pytest.raises(InvalidDataError, match="identities must agree with same; pair 0"):
        roc_auc(scores, ~same, identities=people)
    with pytest.raises(InvalidDataError, match="identities must be two arrays"):
        roc_auc(scores, same, identities=people[0])  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="fmr must be"):
        fnmr_at_fmr(scores, same, fmr=2)
    with pytest.raises(InvalidParameterError, match="n_resamples must be"):
        roc_auc(scores, same, identities=people, n_resamples=5)
    with pytest.raises(InvalidParameterError, match="p_same must be"):
        min_dcf(scores, same, p_same=0)
