"""Identification rates are what ISO/IEC 19795-1 says, search by search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import cmc, dir_at_fpir, fnir_at_fpir, identification_rates


@st.composite
def searches(draw):
    k = draw(st.integers(2, 6))
    m = draw(st.integers(2, 12))
    scores = draw(
        st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=m, max_size=m)
    )
    probes = draw(st.lists(st.integers(0, k + 2), min_size=m, max_size=m))
    return np.array(scores, float), np.arange(k), np.array([0, k + 1, *probes[2:]])


def brute_force(scores, classes, probes, threshold: float, rank: int) -> tuple[float, float]:
    """FPIR and FNIR by walking through the candidate lists, in all orders of tied classes."""
    alarms, misses = [], []
    for row, probe in zip(scores, probes, strict=True):
        if probe not in classes:
            alarms.append(row.max() >= threshold)
            continue
        mate = row[list(classes).index(probe)]
        above, tied = (row > mate).sum(), (row == mate).sum()
        places = [above + place < rank for place in range(tied)]
        misses.append(1 - np.mean(places) * (mate >= threshold))
    return float(np.mean(alarms)), float(np.mean(misses))


@settings(deadline=None, max_examples=60)
@given(searches(), st.integers(1, 3))
def test_rates_are_those_of_the_candidate_lists(case, rank: int) -> None:
    scores, classes, probes = case
    rates = identification_rates(scores, classes, probes, rank=rank)
    for threshold, fpir, fnir in zip(*rates, strict=True):
        assert (fpir, fnir) == pytest.approx(
            brute_force(scores, classes, probes, threshold, rank), abs=1e-12
        )


@settings(deadline=None, max_examples=30)
@given(searches(), st.floats(0, 1))
def test_fnir_at_an_fpir_is_the_least_that_keeps_it(case, most: float) -> None:
    scores, classes, probes = case
    cuts = [np.inf, *np.unique(scores)]
    seen = [brute_force(scores, classes, probes, t, 1) for t in cuts]
    best = min(fnir for fpir, fnir in seen if fpir <= most)
    estimate = fnir_at_fpir(scores, classes, probes, most, n_resamples=100)
    assert estimate.value == pytest.approx(best)
    assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
    other = dir_at_fpir(scores, classes, probes, most, n_resamples=100)
    assert other.value == pytest.approx(1 - best)


def test_a_gallery_in_another_order_and_of_names_is_the_same() -> None:
    rng = np.random.default_rng(0)
    scores, probes = rng.normal(size=(30, 5)), rng.integers(0, 8, 30)
    order = rng.permutation(5)
    names = np.array([f"class {i}" for i in range(8)])
    plain = identification_rates(scores, np.arange(5), probes)
    named = identification_rates(scores[:, order], names[:5][order], names[probes])
    for a, b in zip(plain, named, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cmc_shares_ties() -> None:
    np.testing.assert_allclose(
        cmc(np.zeros((7, 4)), [1, 2, 3, 4], [1, 2, 3, 4, 1, 1, 1]), [0.25, 0.5, 0.75, 1.0]
    )
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    np.testing.assert_allclose(cmc(scores, ["a", "b", "c"], ["a", "c"]), [0.5, 0.5, 1.0])


@pytest.mark.parametrize(
    ("scores", "classes", "probes", "message"),
    [
        (np.zeros((2, 2)), [0, 1], [0, 1], "no stranger"),
        (np.zeros((2, 2)), [0, 1], [2, 3], "nobody who is enrolled"),
        (np.zeros((2, 2)), [1, 1], [1, 3], "one is there twice"),
        (np.zeros((2, 2)), [0, 1, 2], [1, 3], "classes must hold one label"),
        (np.zeros((2, 2)), [0, 1], [1], "probes must hold one label"),
        (np.full((2, 2), np.nan), [0, 1], [1, 3], "scores"),
        (np.zeros(2), [0, 1], [1, 3], "scores"),
    ],
)
def test_bad_searches_are_named(scores, classes, probes, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        identification_rates(scores, classes, probes)


def test_bad_options_are_named() -> None:
    with pytest.raises(InvalidDataError, match="number 1 is not"):
        cmc(np.zeros((2, 2)), [0, 1], [1, 5])
    with pytest.raises(InvalidParameterError, match="rank must be"):
        identification_rates(np.zeros((2, 2)), [0, 1], [1, 5], rank=0)
    with pytest.raises(InvalidParameterError, match="fpir must be"):
        fnir_at_fpir(np.zeros((2, 2)), [0, 1], [1, 5], fpir=1.5)
