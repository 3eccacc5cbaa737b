"""What the training line is given of another kind is named before anything is trained."""

from typing import Any

import pytest
import torch
from torch import nn

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.heads import CosineHead
from siamesekit.recipes import KochSchedule
from siamesekit.registry import create, register_family
from siamesekit.training import (
    TrainingLine,
    as_float,
    batch_health,
    make_optimizer,
    make_schedule,
    train,
)

LABELS = torch.arange(8) % 2
ITEMS = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))


def line() -> TrainingLine:
    return TrainingLine(nn.Linear(3, 2), CosineHead(), create("losses", "contrastive"))


def given(**changes: Any) -> dict[str, Any]:
    sampler = create("samplers", "balanced").bind(LABELS)
    return {"line": line(), "items": ITEMS, "labels": LABELS, "sampler": sampler} | changes


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("line", None),
        ("line", nn.Linear(3, 2)),
        ("sampler", [torch.arange(4)]),
        ("plan", {"max_epochs": 3}),
        ("augment", "photo"),
        ("augment", lambda batch: batch),
        ("checkpoint", "run.safetensors"),
        ("seed", -1),
        ("seed", 0.5),
        ("validate", 3),
        ("callbacks", print),
    ],
)
def test_train_names_a_parameter_of_another_kind(argument: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{argument}"):
        train(**given(**{argument: value}))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("items", ITEMS.numpy()),
        ("items", ITEMS[0]),
        ("items", ITEMS[:0]),
        ("items", ITEMS.to_sparse()),
        ("items", ITEMS.to(torch.complex64)),
        ("labels", LABELS.numpy()),
        ("labels", LABELS.float()),
        ("labels", LABELS[:5]),
        ("labels", LABELS[:, None]),
    ],
)
def test_train_names_data_of_another_kind(argument: str, value: Any) -> None:
    with pytest.raises(InvalidDataError, match=f"^{argument} must be"):
        train(**given(**{argument: value}))


@pytest.mark.parametrize("argument", ["backbone", "head", "loss", "miner", "precision"])
def test_a_line_names_a_part_of_another_kind(argument: str) -> None:
    own = line()
    parts = {"backbone": own.backbone, "head": own.head, "loss": own.loss} | {argument: "cosine"}
    with pytest.raises(InvalidParameterError, match=f"^{argument} must be an? .*got 'cosine'"):
        TrainingLine(**parts)  # type: ignore[arg-type]


def test_optimisers_and_schedules_name_what_is_none() -> None:
    optimizer: Any = torch.optim.Adam(line().parameters())
    with pytest.raises(InvalidParameterError, match=r"^line must be a Module"):
        make_optimizer("adam", [torch.zeros(1)], 0.1, 0.0)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"^optimizer must be an Optimizer"):
        make_schedule("cosine", line(), 10)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"^steps must be"):
        make_schedule("cosine", optimizer, -1)
    with pytest.raises(InvalidParameterError, match=r"^optimizer must be a SGD"):
        KochSchedule(optimizer, 10)


def test_numbers_of_a_batch_name_what_is_none() -> None:
    with pytest.raises(InvalidParameterError, match=r"^items must be a Tensor"):
        as_float([1.0])  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"^charge must be a Charge"):
        batch_health(ITEMS, 0.2)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"^margin must be a finite number"):
        batch_health(line()(ITEMS, LABELS), "wide")  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["prefix", "get", "names"])
def test_a_family_of_another_kind_is_not_registered(argument: str) -> None:
    family = {"prefix": "zoo", "get": lambda name: nn.Linear, "names": list} | {argument: []}
    with pytest.raises(InvalidParameterError, match=f"^{argument} must be"):
        register_family("backbones", **family)  # type: ignore[arg-type]
