"""Heads, losses and miners say what is wrong with what they are given, never a raw traceback."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._types import Pairs, Triplets
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses import (
    BCELoss,
    ContrastiveLoss,
    TripletLoss,
    batch_all_triplet_loss,
    batch_all_triplet_loss_from_embeddings,
)
from siamesekit.miners import BatchHard, mine_from_embeddings

LABELS = torch.tensor([0, 0, 1, 1])
SQUARE = -torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
ODD: dict[str, Any] = {
    "numpy": SQUARE.numpy(),
    "list": SQUARE.tolist(),
    "None": None,
    "number": 3.0,
    "word": "scores",
    "ints": SQUARE.long(),
    "bools": SQUARE > 0,
    "complex": SQUARE.to(torch.complex64),
    "vector": SQUARE[0],
    "three dimensions": SQUARE[None],
}
ODD_LABELS: dict[str, Any] = {
    "numpy": LABELS.numpy(),
    "list": LABELS.tolist(),
    "None": None,
    "floats": LABELS.float(),
    "not-a-number": torch.full((4,), torch.nan),
    "bools": LABELS.bool(),
    "complex": LABELS.to(torch.complex64),
    "too short": LABELS[:3],
    "too long": torch.zeros(5, dtype=torch.int64),
    "a column": LABELS[:, None],
}
HEADS = [name for name in registry.names("heads") if ":" not in name]
LOSSES = [
    *(n for n in registry.names("losses") if ":" not in n),
    "pml:NTXentLoss",
    "pml:ArcFaceLoss",
]
MINERS = [*(n for n in registry.names("miners") if ":" not in n), "pml:MultiSimilarityMiner"]


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", HEADS)
def test_heads_name_what_is_no_embedding(name: str, kind: str) -> None:
    head = registry.create("heads", name).build(4)
    for form in (head, head.pairs):
        with pytest.raises(InvalidDataError, match=r"a must be a float .*\(rows, d\); got"):
            form(ODD[kind], SQUARE)
        with pytest.raises(InvalidDataError, match=r"b must be a float .*\(rows, d\); got"):
            form(SQUARE, ODD[kind])


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dim", ["a", 0, 2.5, None, True])
def test_heads_name_what_is_no_length(name: str, dim: object) -> None:
    with pytest.raises(InvalidParameterError, match="dim must be an integer of at least 1"):
        registry.create("heads", name).build(dim)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_name_what_is_no_input(name: str, kind: str) -> None:
    loss = registry.create("losses", name).build(4, 2)
    with pytest.raises(InvalidDataError, match=r"(inputs|embeddings) must be .*got "):
        loss(ODD[kind], LABELS)


@pytest.mark.parametrize("kind", ODD_LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_name_what_are_no_labels(name: str, kind: str) -> None:
    loss = registry.create("losses", name).build(4, 2)
    with pytest.raises(InvalidDataError, match=r"labels must .*\(4,\).*got "):
        loss(SQUARE, ODD_LABELS[kind])


@pytest.mark.parametrize("kind", [*ODD, *ODD_LABELS])
@pytest.mark.parametrize("name", MINERS)
def test_miners_name_what_they_cannot_choose_from(name: str, kind: str) -> None:
    miner = registry.create("miners", name)
    if kind in ODD:
        with pytest.raises(InvalidDataError, match=r"(inputs|embeddings) must be .*got "):
            miner(ODD[kind], LABELS)
    if kind in ODD_LABELS:
        with pytest.raises(InvalidDataError, match=r"labels must .*\(4,\).*got "):
            miner(SQUARE, ODD_LABELS[kind])


ONE = torch.tensor([0])
ODD_TUPLES: dict[str, Any] = {
    "list": [ONE, ONE],
    "plain tuple": (ONE, ONE, ONE),
    "tensor": ONE,
    "number": 3,
    "lists inside": Pairs([0], [1]),  # type: ignore[arg-type]
    "floats": Pairs(ONE.float(), ONE.float()),
    "int32": Pairs(ONE.int(), ONE.int()),
    "two lengths": Pairs(ONE, torch.tensor([1, 2])),
    "two dimensions": Triplets(ONE[None], ONE[None], ONE[None]),
    "beyond the batch": Triplets(ONE, ONE + 1, ONE + 4),
    "below 0": Triplets(ONE - 1, ONE + 1, ONE + 2),
}


@pytest.mark.parametrize("kind", ODD_TUPLES)
@pytest.mark.parametrize("loss", [BCELoss(), ContrastiveLoss(), TripletLoss()])
def test_losses_name_what_no_miner_chooses(loss: Any, kind: str) -> None:
    with pytest.raises(InvalidDataError, match=r"(tuples|Pairs|Triplets) must .*got "):
        loss(SQUARE, LABELS, ODD_TUPLES[kind])
    with pytest.raises(InvalidDataError, match=r"(tuples|Pairs|Triplets) must .*got "):
        registry.create("losses", "pml:NTXentLoss")(SQUARE, LABELS, ODD_TUPLES[kind])


@pytest.mark.parametrize("same", [2, 0.3, -1, torch.nan])
def test_same_is_0_or_1(same: float) -> None:
    for loss in (BCELoss(), ContrastiveLoss()):
        with pytest.raises(InvalidDataError, match=r"same must hold 1 .* and 0"):
            loss.pair_loss(torch.zeros(3), torch.tensor([1.0, same, 0.0]))
        for odd in (None, [0, 1, 0], np.zeros(3)):
            with pytest.raises(InvalidDataError, match="scores and same must be tensors"):
                loss.pair_loss(torch.zeros(3), odd)  # type: ignore[arg-type]
        with pytest.raises(InvalidDataError, match="scores must be of float"):
            loss.pair_loss(torch.zeros(3, dtype=torch.int64), torch.zeros(3))


@pytest.mark.parametrize("margin", [-1, torch.nan, -torch.inf, "a", None, 1j, True])
def test_margins_are_numbers_of_at_least_0(margin: Any) -> None:
    with pytest.raises(InvalidParameterError, match="margin must be"):
        batch_all_triplet_loss(-SQUARE, LABELS, margin)
    with pytest.raises(InvalidParameterError, match="margin must be"):
        batch_all_triplet_loss_from_embeddings(SQUARE, LABELS, margin, torch.cdist)


@pytest.mark.parametrize("kind", [*ODD, *ODD_LABELS])
def test_functions_name_what_is_none(kind: str) -> None:
    def distance(a: Tensor, b: Tensor) -> Tensor:
        return torch.cdist(a, b)

    given = (ODD[kind], LABELS) if kind in ODD else (SQUARE, ODD_LABELS[kind])
    with pytest.raises(InvalidDataError, match=r"(distances|labels) must .*got "):
        batch_all_triplet_loss(*given, margin=0.2)
    with pytest.raises(InvalidDataError, match=r"(embeddings|labels) must .*got "):
        batch_all_triplet_loss_from_embeddings(*given, 0.2, distance)
    with pytest.raises(InvalidDataError, match=r"(embeddings|labels) must .*got "):
        mine_from_embeddings(BatchHard(), *given, head=distance)
    if kind in ODD:
        with pytest.raises(InvalidDataError, match="distance must give float distances"):
            batch_all_triplet_loss_from_embeddings(
                torch.zeros(3, 2), LABELS[:3], 0.2, lambda a, b: ODD[kind]
            )
        with pytest.raises(InvalidDataError, match="head must give float scores"):
            mine_from_embeddings(
                BatchHard(), torch.zeros(3, 2), LABELS[:3], head=lambda a, b: ODD[kind]
            )


def test_functions_name_what_is_no_function() -> None:
    with pytest.raises(InvalidParameterError, match="distance must be a callable"):
        batch_all_triplet_loss_from_embeddings(SQUARE, LABELS, 0.2, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="head must be a head"):
        mine_from_embeddings(BatchHard(), SQUARE, LABELS, head=3)  # type: ignore[arg-type]
    for size in (0, 1.5, None, "b"):
        with pytest.raises(InvalidParameterError, match="must be an integer of at least 1"):
            BCELoss().build(size, 2)  # type: ignore[arg-type]
        with pytest.raises(InvalidParameterError, match="must be an integer of at least 1"):
            registry.create("losses", "pml:ArcFaceLoss").build(4, size)
