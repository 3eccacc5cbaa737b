"""One table says what the arguments of an estimator may be."""

import inspect

import pytest

import siamesekit
from siamesekit.estimators._constraints import CONSTRAINTS
from siamesekit.estimators.base import SiameseEstimator
from siamesekit.training import Plan

ESTIMATORS = [
    part
    for part in vars(siamesekit).values()
    if isinstance(part, type) and issubclass(part, SiameseEstimator)
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, Plan], ids=lambda cls: cls.__name__)
def test_every_argument_has_a_row_and_a_default_that_passes(estimator: type) -> None:
    for name, argument in inspect.signature(estimator).parameters.items():
        CONSTRAINTS[name](name, argument.default)


def test_there_are_estimators() -> None:
    assert siamesekit.SiameseClassifier in ESTIMATORS
