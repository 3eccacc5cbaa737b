"""What so many trials can show of an error rate, against the binomial distribution itself."""

import numpy as np
import pytest
from scipy import stats

from siamesekit._promise import (
    check_can_promise,
    drawn_people,
    least_promise,
    trials_needed,
    upper_bound,
)
from siamesekit.errors import InvalidDataError, InvalidParameterError, TooFewTrialsError


@pytest.mark.parametrize(("errors", "n"), [(0, 1), (0, 59), (3, 40), (39, 40), (7, 10_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_a_bound_is_the_rate_at_which_so_few_errors_are_that_rare(
    errors: int, n: int, confidence: float
) -> None:
    bound = upper_bound(errors, n, confidence)
    assert stats.binom.cdf(errors, n, bound) == pytest.approx(1 - confidence)


def test_all_trials_wrong_bound_nothing() -> None:
    assert upper_bound(5, 5) == 1.0


def test_without_errors_it_is_the_rule_of_three() -> None:
    for n in (30, 300, 10**6):
        assert least_promise(n) == pytest.approx(upper_bound(0, n))
        assert least_promise(n) == pytest.approx(3 / n, rel=0.05)
    assert least_promise(0) == 1.0
    assert least_promise(10**12) > 0


@pytest.mark.parametrize("rate", [0.5, 0.05, 0.01, 1e-6])
def test_as_many_trials_as_needed_are_enough_and_one_fewer_is_not(rate: float) -> None:
    n = trials_needed(rate)
    assert least_promise(n) <= rate < least_promise(n - 1)
    check_can_promise("fmr", rate, n, trials="people")
    with pytest.raises(TooFewTrialsError, match=f"fmr must be at least .* {n - 1} people") as told:
        check_can_promise("fmr", rate, n - 1, trials="people")
    assert f"takes {n:,} people" in str(told.value)
    assert isinstance(told.value, InvalidDataError)


def test_as_many_people_are_drawn_as_there_are() -> None:
    drawn = np.stack(list(drawn_people(7, 500, np.random.default_rng(0))))
    assert drawn.shape == (500, 7)
    assert (drawn.sum(1) == 7).all()
    assert drawn.mean(0) == pytest.approx(np.ones(7), abs=0.2)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: upper_bound(3, 2), "errors"),
        (lambda: upper_bound(0, 0), "n"),
        (lambda: least_promise(-1), "n"),
        (lambda: least_promise(5, confidence=1), "confidence"),
        (lambda: trials_needed(0), "rate"),
    ],
)
def test_what_is_out_of_range_is_named(call: object, name: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{name} must be"):
        call()  # type: ignore[operator]
