"""Optimisers and schedules: names, classes and functions, and what is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler

from siamesekit.errors import InvalidParameterError
from siamesekit.training import (
    History,
    TrainingLine,
    make_optimizer,
    make_schedule,
    resolve_precision,
)

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]
NET = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.mark.parametrize("spec", [optim.SGD, optim.Adam, optim.RMSprop, optim.Adagrad, optim.Rprop])
def test_a_class_gets_the_weights_and_the_rate(spec: type[optim.Optimizer]) -> None:
    optimizer = make_optimizer(spec, NET, 0.25, 0.5)
    assert type(optimizer) is spec
    assert {group["lr"] for group in optimizer.param_groups} == {0.25}
    decays = {group.get("weight_decay") for group in optimizer.param_groups}
    assert decays == ({None} if spec is optim.Rprop else {0.5, 0.0})


@pytest.mark.parametrize(
    "spec",
    [
        lambda line: None,
        lambda line: line,
        optim.LBFGS,
        lambda line: optim.LBFGS(line.parameters()),
        nn.Linear,
        int,
    ],
)
def test_what_is_no_optimiser_is_named(spec: Any) -> None:
    with pytest.raises(InvalidParameterError, match="optimizer"):
        make_optimizer(spec, NET, 0.1, 0.0)


@pytest.mark.parametrize(
    "spec",
    [
        lambda optimizer, steps: None,
        lambda optimizer, steps: optimizer,
        lambda optimizer, steps: lr_scheduler.ConstantLR(optim.SGD(NET.parameters(), lr=1.0)),
        lr_scheduler.StepLR,
        lr_scheduler.OneCycleLR,
        dict,
    ],
)
def test_what_is_no_schedule_is_named(spec: Any) -> None:
    with pytest.raises(InvalidParameterError, match="schedule"):
        make_schedule(spec, optim.SGD(NET.parameters(), lr=0.1), 10)


def test_a_plateau_of_the_loss_lowers_the_rate(make: Make, fit: Fit) -> None:
    def schedule(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.99)

    rates = fit(make(), schedule=schedule, max_epochs=4)["learning_rate"]
    assert rates[0] == 1e-2
    assert rates[-1] < 1e-3


def test_a_plateau_of_the_validation_score_lowers_the_rate(make: Make, fit: Fit) -> None:
    def schedule(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
        return lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=1)

    scores = iter([0.1, 0.2, 0.3, 0.3, 0.3, 0.3])
    history = fit(make(), schedule=schedule, max_epochs=6, validate=lambda line: next(scores))
    assert history["learning_rate"][:5] == [1e-2] * 5
    assert history["learning_rate"][5] == pytest.approx(1e-3)
    with pytest.raises(InvalidParameterError, match="follows the validation score"):
        fit(make(), schedule=schedule)


def test_the_class_of_a_plateau_will_do(make: Make, fit: Fit) -> None:
    assert fit(make(), schedule=lr_scheduler.ReduceLROnPlateau).epochs == 3


def test_patience_counts_epochs_that_are_not_better(make: Make, fit: Fit) -> None:
    assert fit(make(), max_epochs=20, patience=3, validate=lambda line: 1.0).epochs == 4
    scores = iter([0.9, 0.95, 0.95, 0.94, 0.95, 0.99])
    weights: list[torch.Tensor] = []

    def validate(line: TrainingLine) -> float:
        weights.append(next(line.parameters()).detach().clone())
        return next(scores)

    line = make()
    assert fit(line, max_epochs=20, patience=3, validate=validate).epochs == 5
    # Of equals the later is kept.
    assert torch.equal(next(line.parameters()), weights[4])


@pytest.mark.parametrize("score", [None, "good", [0.1, 0.2]])
def test_a_validation_that_gives_no_number_is_named(make: Make, fit: Fit, score: object) -> None:
    with pytest.raises(InvalidParameterError, match="validation must return a number"):
        fit(make(), validate=lambda line: score)


@pytest.mark.parametrize("callbacks", [None, 5, [None], [print, 3], "ab"])
def test_callbacks_are_checked_before_anything_runs(
    make: Make, fit: Fit, callbacks: object
) -> None:
    line = make()
    before = next(line.parameters()).detach().clone()
    with pytest.raises(InvalidParameterError, match="callbacks"):
        fit(line, callbacks=callbacks)
    assert torch.equal(next(line.parameters()), before)


@pytest.mark.parametrize("has_matrix_unit", [True, False])
def test_auto_is_bfloat16_only_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, has_matrix_unit: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_matrix_unit)
    faster = has_matrix_unit and torch.backends.mkldnn.is_available()
    expected = torch.bfloat16 if faster else torch.float32
    assert resolve_precision("auto", torch.device("cpu"), (1, 8, 8)) is expected
    assert resolve_precision("auto", torch.device("cpu"), (8,)) is torch.float32


@pytest.mark.parametrize(
    ("spec", "rates"),
    [
        (partial(optim.SGD, momentum=0.5), [0.1, 0.1]),
        (partial(optim.Adam, lr=0.3), [0.3, 0.3]),
        (partial(optim.AdamW, lr=0.3, weight_decay=0.2), [0.3]),
    ],
)
def test_a_partial_of_a_class_says_some_options_itself(
    spec: Any, rates: list[float], make: Make, fit: Fit
) -> None:
    optimizer = make_optimizer(spec, NET, 0.1, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == rates
    decays = {group["weight_decay"] for group in optimizer.param_groups}
    assert decays == ({0.2} if len(rates) == 1 else {0.5, 0.0})
    assert fit(make(), optimizer=spec).epochs == 3


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (lambda line: optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1), "weights of the line"),
        (lambda line: 1 / 0, "ZeroDivisionError"),
        (lambda line, rate: None, "TypeError"),
        (partial(optim.SGD, mass=3), "mass"),
        (optim.SparseAdam, "take a step"),
    ],
)
def test_an_optimiser_that_fails_is_named(spec: Any, what: str, make: Make, fit: Fit) -> None:
    with pytest.raises(InvalidParameterError, match=f"optimizer .*{what}"):
        fit(make(), optimizer=spec)


def test_complex_weights_train(make: Make, fit: Fit) -> None:
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 8, dtype=torch.complex64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.to(torch.complex64) @ self.weight).abs()

    line = make(Complex)
    before = line.backbone.weight.detach().clone()
    assert fit(line)["skipped"] == [0, 0, 0]
    assert not torch.equal(line.backbone.weight, before)


@pytest.mark.parametrize(
    ("spec", "last"),
    [
        (lr_scheduler.CosineAnnealingLR, 0.0),
        (lr_scheduler.PolynomialLR, 0.0),
        (partial(lr_scheduler.CosineAnnealingLR, eta_min=0.02), 0.02),
        (partial(lr_scheduler.PolynomialLR, power=2.0), 0.0),
        (partial(lr_scheduler.StepLR, step_size=3), 1e-4),
        (partial(lr_scheduler.ReduceLROnPlateau, patience=0), 0.1),
    ],
)
def test_schedules_of_a_class_are_as_long_as_the_run(spec: Any, last: float) -> None:
    optimizer = optim.SGD(NET.parameters(), lr=0.1)
    schedule = make_schedule(spec, optimizer, 10)
    for _ in range(0 if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else 10):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(last, abs=1e-12)


def test_a_cycle_of_rates_is_as_long_as_the_run(make: Make, fit: Fit) -> None:
    rates = fit(make(), schedule=partial(lr_scheduler.OneCycleLR, max_lr=0.5))["learning_rate"]
    assert rates[0] > rates[1] > rates[2] > 0


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (lambda optimizer: None, "TypeError"),
        (lambda o, n: lr_scheduler.LambdaLR(o, lambda step: None), "TypeError"),  # type: ignore[arg-type,return-value]
        (lambda o, n: lr_scheduler.LambdaLR(o, lambda step: -1.0), "gave -0.01"),
        (lambda o, n: lr_scheduler.LambdaLR(o, lambda step: float("nan")), "gave nan"),
        (lambda o, n: lr_scheduler.OneCycleLR(o, 0.1, total_steps=2), "Tried to step"),
        (partial(lr_scheduler.StepLR), "StepLR"),
    ],
)
def test_a_schedule_that_fails_is_named(spec: Any, what: str, make: Make, fit: Fit) -> None:
    with pytest.raises(InvalidParameterError, match=f"schedule .*{what}"):
        fit(make(), schedule=spec)
