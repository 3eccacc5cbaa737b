"""Thresholds: every rule against all thresholds there are, and what a promise rests on."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from siamesekit._promise import least_promise
from siamesekit.errors import InvalidDataError, InvalidParameterError, TooFewTrialsError
from siamesekit.evaluation import (
    Estimate,
    Threshold,
    choose_threshold,
    cllr,
    min_cllr,
    verification_report,
)
from siamesekit.evaluation.error_rates import Clusters


def people(n: int = 30, each: int = 3, seed: int = 0, spread: float = 0.6):
    """All pairs of noisy items of people: scores, same, and who is who."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), each)
    items = rng.normal(size=(n, 6))[who] + spread * rng.normal(size=(n * each, 6))
    i, j = np.triu_indices(len(who), 1)
    return -np.linalg.norm(items[i] - items[j], axis=1), who[i] == who[j], (who[i], who[j])


@st.composite
def scored_pairs(draw):
    n = draw(st.integers(2, 30))
    scores = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    same = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return np.array(scores, float), np.array([True, False, *same[2:]])


def decisions(scores):
    """Decisions of every threshold that tells the scores apart."""
    return [scores >= cut for cut in [np.inf, *sorted(set(scores))]]


@settings(deadline=None, max_examples=60)
@given(scored_pairs(), st.floats(0.05, 0.95), st.floats(0.2, 4))
def test_each_rule_finds_the_best_of_all_thresholds(pairs, rate: float, beta: float) -> None:
    scores, same = pairs
    tpr, tnr = (lambda d: d[same].mean()), (lambda d: (~d)[~same].mean())
    every = decisions(scores)

    def chosen(**rule):
        return scores >= choose_threshold(scores, same, **rule)

    best = max((d == same).mean() for d in every)
    assert (chosen(strategy="accuracy") == same).mean() == pytest.approx(best)
    best = max((tpr(d) + tnr(d)) / 2 for d in every)
    own = chosen(strategy="accuracy", p_same=0.5)
    assert (tpr(own) + tnr(own)) / 2 == pytest.approx(best)
    best = max(fbeta_score(same, d, beta=beta, zero_division=0) for d in every)
    own = chosen(strategy="f_beta", beta=beta)
    assert fbeta_score(same, own, beta=beta, zero_division=0) == pytest.approx(best)
    own = chosen(strategy="max_tpr", min_rate=rate)
    assert tnr(own) >= rate - 1e-9
    assert tpr(own) == pytest.approx(max(tpr(d) for d in every if tnr(d) >= rate))
    own = chosen(strategy="max_tnr", min_rate=rate)
    assert tpr(own) >= rate - 1e-9
    assert tnr(own) == pytest.approx(max(tnr(d) for d in every if tpr(d) >= rate))
    own = chosen(strategy="eer")
    least = min(abs((1 - tnr(d)) - (1 - tpr(d))) for d in every)
    assert abs(tpr(own) - tnr(own)) == pytest.approx(least)
    own = chosen(fmr=rate, confidence=None)
    assert tpr(own) == pytest.approx(max(tpr(d) for d in every if 1 - tnr(d) <= rate + 1e-12))


@pytest.mark.parametrize("rule", [{"fmr": 0.05}, {"strategy": "eer"}, {"strategy": "accuracy"}])
def test_rates_are_those_at_the_threshold_and_bounds_lie_above(rule) -> None:
    scores, same, identities = people()
    found = choose_threshold(scores, same, identities=identities, **rule)
    matches = scores >= found
    assert found.fmr == pytest.approx(matches[~same].mean())
    assert found.fnmr == pytest.approx((~matches)[same].mean())
    assert found.fmr_bound >= max(found.fmr, least_promise(30 * 29 // 2))
    assert found.fnmr_bound >= max(found.fnmr, least_promise(30))
    assert found.n_people == 30
    assert found.promised == rule.get("fmr")
    assert (found.value, found.estimate, found.upper) == (found, found.fmr, found.fmr_bound)
    if "fmr" in rule:
        assert found.fmr < found.fmr_bound <= 0.05
        # The next lower score would let too many in, at that confidence.
        assert choose_threshold(scores, same, fmr=0.05, confidence=None) < found


def test_a_promise_is_kept_by_people_who_were_not_asked() -> None:
    exceeded = 0
    for seed in range(20):
        own = choose_threshold(*people(40, seed=seed)[:2], fmr=0.05, n_resamples=200,
                               identities=people(40, seed=seed)[2])  # fmt: skip
        scores, same, _ = people(120, each=1, seed=1000 + seed)
        exceeded += (scores[~same] >= own).mean() > 0.05
    # 1 in 20 is what was promised.
    assert exceeded <= 3


def test_what_so_few_people_cannot_show_is_refused() -> None:
    scores, same, identities = people(6, spread=0.01)
    with pytest.raises(TooFewTrialsError, match=r"fmr must be at least 0\.18 with 15 pairs of"):
        choose_threshold(scores, same, fmr=0.1, identities=identities)
    # More photographs of the same people show no more.
    more = people(6, each=12, spread=0.01)
    with pytest.raises(TooFewTrialsError, match="15 pairs of people"):
        choose_threshold(*more[:2], fmr=0.1, identities=more[2])
    easy = choose_threshold(scores, same, fmr=0.2, identities=identities)
    assert easy.fmr_bound <= 0.2
    nobody = choose_threshold(scores, same, strategy="max_tnr", min_rate=0.1, identities=identities)
    assert nobody.fmr == 0
    assert nobody.fmr_bound == pytest.approx(least_promise(15))
    assert choose_threshold(scores, same, fmr=0.1, confidence=None).promised is None


def test_where_all_are_let_in_or_nobody_can_be_the_threshold_is_finite() -> None:
    same = np.array([True, False, True, False])
    tied = choose_threshold(np.zeros(4), same, fmr=0.4, confidence=None)
    assert np.isfinite(tied)
    assert not (np.zeros(4) >= tied).any()
    apart = choose_threshold([3.0, 0.0, 2.0, 1.0], same, strategy="max_tnr", min_rate=1.0)
    assert apart == 1.5
    largest = np.finfo(float).max
    assert np.isfinite(choose_threshold([largest, largest], [0, 1], fmr=0.4, confidence=None))


def test_a_threshold_is_a_number_and_keeps_what_is_known_of_it() -> None:
    scores, same, identities = people()
    found = choose_threshold(scores, same, fmr=0.05, identities=identities)
    for again in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert again == float(found)
        assert vars(again) == vars(found)
    assert "fmr <= 0.05" in repr(found)
    assert isinstance(found + 1, float)
    assert Threshold(0.0, **vars(found)) == 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "fmr or strategy must be given"),
        ({"fmr": 0.1, "strategy": "eer"}, "and not both"),
        ({"fmr": 0.0}, "fmr must be"),
        ({"fmr": True}, "fmr must be"),
        ({"fmr": 0.1}, "identities must be given"),
        ({"strategy": "err"}, "strategy must be one of .*Did you mean 'eer'"),
        ({"strategy": "max_tpr", "min_rate": 1.5}, "min_rate must be"),
        ({"strategy": "max_tnr", "min_rate": None}, "min_rate must be"),
        ({"strategy": "f_beta", "beta": 0}, "beta must be"),
        ({"strategy": "accuracy", "p_same": 1}, "p_same must be"),
        ({"strategy": "eer", "confidence": 1.0}, "confidence must be"),
        ({"strategy": "eer", "n_resamples": 5}, "n_resamples must be"),
    ],
)
def test_rules_that_are_none_are_named(rule, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        choose_threshold([1.0, 2.0], [0, 1], **rule)


def test_clusters_need_not_agree_with_same() -> None:
    scores, same, (first, second) = people(8)
    with pytest.raises(InvalidDataError, match="identities must agree"):
        choose_threshold(scores, same, strategy="eer", identities=(first // 2, second // 2))
    clusters = Clusters(first // 2, second // 2)
    assert choose_threshold(scores, same, strategy="eer", identities=clusters).n_people == 4


def test_costs_of_ratios_have_intervals_by_identity() -> None:
    scores, same, identities = people()
    llr = 6 * scores + 8
    for cost, values in ((cllr, llr), (min_cllr, scores)):
        found = cost(values, same, identities=identities, n_resamples=200)
        assert isinstance(found, Estimate)
        assert found.value == cost(values, same)
        assert found.interval is not None
        assert 0 <= found.interval[0] <= found.value <= found.interval[1]
    wrong = cllr([-np.inf, 1.0], [1, 0], identities=(["a", "b"], ["a", "c"]), n_resamples=100)
    assert wrong.value == np.inf
    assert cllr([np.inf, -np.inf], [1, 0]) == 0


def test_a_report_holds_each_figure_and_goes_into_json() -> None:
    scores, same, identities = people()
    report = verification_report(
        scores, 6 * scores + 8, same, identities=identities, threshold=-1.5, n_resamples=100
    )
    assert report.cllr.value == cllr(6 * scores + 8, same)
    assert report.fmr_at_threshold == (scores[~same] >= -1.5).mean()
    assert report.fnmr_at_threshold == (scores[same] < -1.5).mean()
    assert (report.n_people, report.n_same) == (30, 90)
    plain = report.to_dict()
    assert plain["eer"]["value"] == report.eer.value
    assert len(plain["eer"]["interval"]) == 2
