import math
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit._types import Pairs
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses import EpisodicLoss

TEMPERATURE = 0.5


@st.composite
def batches(draw: st.DrawFn, least: int = 1) -> tuple[Tensor, Tensor]:
    """Scores, not symmetric, and labels with gaps, each class `least` times or more."""
    sizes = draw(st.lists(st.integers(least, 4), min_size=1, max_size=4))
    labels = [7 * c for c, size in enumerate(sizes) for _ in range(size)]
    labels = draw(st.permutations(labels))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    scores = torch.randn(len(labels), len(labels), generator=rng, dtype=torch.float64)
    return scores, torch.tensor(labels)


def naive(
    scores: Tensor, labels: list[int], shot: int | str, smoothing: float, order: list[int]
) -> list[float]:
    """Return the cross-entropy of each query when the batch is read in `order`."""
    classes = sorted(set(labels))
    members = {c: [i for i in order if labels[i] == c] for c in classes}
    charges = []
    for query in order:
        supports = {
            c: [i for i in members[c] if i != query] if shot == "rest" else members[c][: int(shot)]
            for c in classes
        }
        own = supports[labels[query]]
        if query in own or not own:
            continue
        logits = {
            c: sum(float(scores[query, i]) for i in supports[c]) / len(supports[c]) / TEMPERATURE
            for c in classes
        }
        log_sum = math.log(sum(math.exp(x) for x in logits.values()))
        hard = log_sum - logits[labels[query]]
        spread = sum(log_sum - x for x in logits.values()) / len(classes)
        charges.append((1 - smoothing) * hard + smoothing * spread)
    return charges


@pytest.mark.parametrize("shot", [1, 2, "rest"])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_equal_to_the_cross_entropy_written_out(
    shot: int | Literal["rest"], both_ways: bool, smoothing: float, data: st.DataObject
) -> None:
    scores, labels = data.draw(batches(least=2 if shot == 2 else 1))
    loss = EpisodicLoss(shot, TEMPERATURE, both_ways, smoothing)(scores, labels)
    forward = list(range(len(labels)))
    charges = naive(scores, labels.tolist(), shot, smoothing, forward)
    if both_ways:
        charges += naive(scores, labels.tolist(), shot, smoothing, forward[::-1])
    expected = sum(charges) / len(charges) if charges else 0.0
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("shot", [1, "rest"])
def test_gradient_is_that_of_finite_differences(shot: int | Literal["rest"]) -> None:
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(7, 7, generator=rng, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([3, 1, 3, 2, 1, 3, 1])
    loss = EpisodicLoss(shot, TEMPERATURE)
    assert torch.autograd.gradcheck(lambda s: loss(s, labels), (scores,))


@given(batch=batches())
@settings(max_examples=30, deadline=None)
def test_a_query_is_never_compared_with_itself(batch: tuple[Tensor, Tensor]) -> None:
    scores, labels = batch
    blind = scores.clone().fill_diagonal_(1e6)
    for shot in (1, "rest"):
        loss = EpisodicLoss(shot)  # type: ignore[arg-type]
        torch.testing.assert_close(loss(scores, labels), loss(blind, labels))


def test_two_ways_of_one_support_and_one_query_change_places() -> None:
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 6, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    swapped = torch.tensor([3, 4, 5, 0, 1, 2])
    one_way = EpisodicLoss(both_ways=False)
    halves = one_way(scores, labels) + one_way(scores[swapped][:, swapped], labels)
    torch.testing.assert_close(EpisodicLoss()(scores, labels), halves / 2)


def test_one_shot_of_squared_distances_is_snell_s_equation_2() -> None:
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 0, 1])
    scores = -torch.cdist(z, z).square()
    of_query = torch.log_softmax(-torch.cdist(z[2:], z[:2]).square(), 1)
    expected = -(of_query[0, 0] + of_query[1, 1]) / 2
    loss = EpisodicLoss(temperature=1, both_ways=False)(scores, labels)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("shot", [1, "rest"])
def test_no_queries_give_a_differentiable_zero(shot: int | Literal["rest"]) -> None:
    scores = torch.full((3, 3), -torch.inf, requires_grad=True)
    loss = EpisodicLoss(shot)(scores, torch.tensor([0, 1, 2]))
    (grad,) = torch.autograd.grad(loss, scores)
    assert loss.item() == 0
    assert (grad == 0).all()


def test_an_empty_batch_gives_zero() -> None:
    assert EpisodicLoss()(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)) == 0


def test_a_class_of_one_item_still_distracts() -> None:
    scores = torch.zeros(3, 3)
    assert EpisodicLoss()(scores, torch.tensor([0, 0, 5])).item() == pytest.approx(math.log(2))


def test_charges_in_float32_under_autocast() -> None:
    scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    with torch.autocast("cpu", torch.bfloat16):
        low = EpisodicLoss()(scores, labels)
    assert torch.equal(low, EpisodicLoss()(scores, labels))
    assert EpisodicLoss()(scores.bfloat16(), labels).dtype == torch.float32


def test_what_it_cannot_charge_is_refused() -> None:
    scores, labels = torch.zeros(3, 3), torch.tensor([0, 0, 4])
    with pytest.raises(InvalidParameterError, match="takes no miner"):
        EpisodicLoss()(scores, labels, Pairs.empty())
    with pytest.raises(InvalidDataError, match=r"shot=2 .* class 4 has 1 item"):
        EpisodicLoss(shot=2)(scores, labels)
    with pytest.raises(InvalidDataError, match="inputs must be"):
        EpisodicLoss()(scores[:2], labels[:2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shot", 0),
        ("shot", "all"),
        ("shot", 1.5),
        ("temperature", 0),
        ("both_ways", 1),
        ("label_smoothing", 1.0),
        ("way", 1),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError, match=f"{name} must be"):
        EpisodicLoss(**{name: value})  # type: ignore[arg-type]
