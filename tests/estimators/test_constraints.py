"""One table says what the arguments of an estimator may be."""

import inspect

import numpy as np
import pytest

import siamesekit
from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError, InvalidParameterError
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


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("augment", lambda batch: batch),
        ("augment", lambda batch, generator: None),
        ("augment", lambda batch, generator: batch[:1]),
        ("augment", lambda batch, generator: batch.long()),
        ("validation", lambda: 1.0),
        ("validation", lambda line, more: 1.0),
    ],
)
def test_callables_of_another_kind_are_named(argument: str, value: object) -> None:
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.repeat([0, 1], 10)
    with pytest.raises((InvalidParameterError, InvalidDataError), match=argument):
        SiameseClassifier(max_epochs=1, **{argument: value}).fit(X, y)
