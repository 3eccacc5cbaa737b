"""Runs are told apart by all that they are made of, and by nothing that they change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.errors import CheckpointMismatchError
from siamesekit.training.fingerprint import digest

AMOUNT = np.array([0.1])
AMOUNTS = [0.1]
COUNT = 0
LOG: list[float] = []


def helped(x: Tensor) -> Tensor:
    return x * 1


def with_global_array(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + AMOUNT[0]


def with_global_list(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + AMOUNTS[0]


def with_helper(x: Tensor, generator: torch.Generator) -> Tensor:
    return helped(x)


class Plain:
    def __init__(self, amount: Any) -> None:
        self.amount = amount

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x


class Slotted:
    __slots__ = ("amount",)

    def __init__(self, amount: Any) -> None:
        self.amount = amount


@dataclass(frozen=True, slots=True)
class Frozen:
    amount: Any


class Net(nn.Module):
    def __init__(self, amount: Any) -> None:
        super().__init__()
        self.amount = amount


def enclosing(amount: Any) -> Callable[[Any], Any]:
    def inside(x: Any) -> Any:
        return [x + amount for _ in range(2)]

    return inside


@pytest.mark.parametrize("make", [Plain, Slotted, Frozen, Net, enclosing])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1, 0.5),
        ([0.1], [0.5]),
        ({"a": 0.1}, {"a": 0.5}),
        (torch.tanh, torch.relu),
        (nn.functional.silu, nn.functional.mish),
        (torch.zeros(2), torch.ones(2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_objects_and_functions_hold_counts(
    make: Callable[[Any], Any], one: Any, other: Any
) -> None:
    assert digest(make(one)) == digest(make(one))
    assert digest(make(one)) != digest(make(other))


def test_parts_within_parts_count() -> None:
    assert digest(Plain([Slotted(1), Plain(2)])) != digest(Plain([Slotted(1), Plain(3)]))


@pytest.mark.parametrize(
    ("name", "value", "function"),
    [
        ("AMOUNT", np.array([0.2]), with_global_array),
        ("AMOUNTS", [0.2], with_global_list),
        ("helped", lambda x: x * 2, with_helper),
    ],
)
def test_what_a_function_takes_from_its_module_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any, function: Callable[..., Any]
) -> None:
    before = digest(function)
    if callable(value):
        value.__module__ = __name__
    monkeypatch.setitem(globals(), name, value)
    assert digest(function) != before


class Counting:
    def __init__(self) -> None:
        self.calls = 0
        self.scores: list[float] = []

    def __call__(self, line: Any) -> float:
        self.calls += 1
        self.scores.append(1.0)
        return 1.0


def counting() -> Callable[[Any], float]:
    calls, best = [0], {"score": 0.0}

    def validate(line: Any) -> float:
        global COUNT
        COUNT += 1
        LOG.append(1.0)
        calls[0] += 1
        best["score"] = 1.0
        return 1.0

    return validate


@pytest.mark.parametrize("make", [Counting, counting])
def test_what_they_change_as_they_run_does_not_count(make: Callable[[], Any]) -> None:
    validate = make()
    before = digest(validate)
    validate(None)
    assert digest(validate) == before


def test_other_names_of_the_classes_and_another_share_are_refused(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    y = np.repeat(np.arange(4), 8)

    def fit(y: np.ndarray, share: float) -> None:
        SiameseClassifier(
            checkpoint=tmp_path / "run.ckpt", max_epochs=1, random_state=0, validation=share
        ).fit(X, y)

    fit(y, 0.5)
    with pytest.raises(CheckpointMismatchError, match=r"differs in labels\."):
        fit(y + 10, 0.5)
    with pytest.raises(CheckpointMismatchError, match=r"differs in validation\."):
        fit(y, 0.45)
    fit(y.astype(np.int32), 0.5)
