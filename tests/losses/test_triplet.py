import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit._types import Pairs, Triplets
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.heads import SqEuclideanHead
from siamesekit.losses import TripletLoss
from siamesekit.miners import TensorFlowSemihard


def excesses(distances: Tensor, chosen: list[tuple[int, int, int]]) -> list[float]:
    return [float(distances[a, p] - distances[a, n]) for a, p, n in chosen]


def all_triplets(labels: Tensor) -> list[tuple[int, int, int]]:
    return [
        (a, p, n)
        for a, p, n in itertools.permutations(range(len(labels)), 3)
        if labels[a] == labels[p] != labels[n]
    ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Points on a line in steps of 0.25, so that distances tie, and up to three classes."""
    b = draw(st.integers(1, 8))
    labels = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=b, max_size=b)))
    points = torch.tensor(draw(st.lists(st.integers(0, 8), min_size=b, max_size=b))) * 0.25
    return (points[:, None] - points).abs().double(), labels


@pytest.mark.parametrize("reduction", ["mean", "active"])
@given(batch=batches(), data=st.data(), margin=st.sampled_from([0.0, 0.5, 0.6]))
@settings(max_examples=80, deadline=None)
def test_chosen_and_all_triplets_cost_what_the_formula_says(
    reduction: str, batch: tuple[Tensor, Tensor], data: st.DataObject, margin: float
) -> None:
    distances, labels = batch
    every = all_triplets(labels)
    chosen = data.draw(st.lists(st.sampled_from(every))) if every else []
    tuples = Triplets(*torch.tensor(chosen).T) if chosen else Triplets.empty()
    loss = TripletLoss(margin, reduction)  # type: ignore[arg-type]
    for given_tuples, triplets in ((tuples, chosen), (None, every)):
        charges = [max(0.0, x + margin) for x in excesses(distances, triplets)]
        expected = mean([c for c in charges if c > 0] if reduction == "active" else charges)
        got = loss(-distances, labels, given_tuples).item()
        assert got == pytest.approx(expected, abs=1e-12)


@given(batch=batches())
@settings(max_examples=40, deadline=None)
def test_all_triplets_have_the_gradient_of_all_chosen(batch: tuple[Tensor, Tensor]) -> None:
    distances, labels = batch
    every = all_triplets(labels)
    tuples = Triplets(*torch.tensor(every).T) if every else Triplets.empty()
    grads = []
    for chosen in (None, tuples):
        scores = (-distances).requires_grad_()
        # A margin that no difference of distances equals: at the hinge the gradient has no value.
        loss = TripletLoss(0.6)(scores, labels, chosen)
        grads.append(torch.autograd.grad(loss, scores)[0])
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("reduction", ["mean", "active"])
def test_soft_margin_is_softplus(reduction: str) -> None:
    distances = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 0.5], [3.0, 0.5, 0.0]])
    triplets = Triplets(*torch.tensor([[0, 1, 2], [1, 0, 2]]).T)
    loss = TripletLoss("soft", reduction)  # type: ignore[arg-type]
    expected = mean([math.log1p(math.exp(x)) for x in (1 - 3, 1 - 0.5)])
    got = loss(-distances, torch.tensor([0, 0, 1]), triplets).item()
    assert got == pytest.approx(expected)


@pytest.mark.parametrize("tuples", [None, Triplets.empty()])
def test_no_triplets_give_a_differentiable_zero(tuples: Triplets | None) -> None:
    scores = torch.zeros(3, 3, requires_grad=True)
    loss = TripletLoss()(scores, torch.tensor([0, 1, 2]), tuples)
    (grad,) = torch.autograd.grad(loss, scores)
    assert loss.item() == 0
    assert (grad == 0).all()


def test_easy_triplets_cost_nothing_when_only_the_active_are_averaged() -> None:
    distances = torch.tensor([[0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [9.0, 9.0, 0.0]])
    triplets = Triplets(*torch.tensor([[0, 1, 2], [1, 0, 2]]).T)
    assert TripletLoss(reduction="active")(-distances, torch.tensor([0, 0, 1]), triplets) == 0


def test_charges_in_float32_under_half_precision() -> None:
    scores = -torch.rand(4, 4, generator=torch.Generator()).bfloat16()
    assert TripletLoss()(scores, torch.tensor([0, 0, 1, 1])).dtype == torch.float32


def test_what_it_cannot_charge_is_refused() -> None:
    scores, labels = torch.zeros(3, 3), torch.tensor([0, 0, 1])
    with pytest.raises(InvalidParameterError, match="chose pairs"):
        TripletLoss()(scores, labels, Pairs.empty())
    with pytest.raises(InvalidParameterError, match="'soft' needs a miner"):
        TripletLoss("soft")(scores, labels)
    with pytest.raises(InvalidDataError, match="labels"):
        TripletLoss()(scores, labels[:2])


@pytest.mark.parametrize("margin", [-0.1, "sotf", float("nan"), None])
def test_margin_out_of_range_is_refused(margin: float) -> None:
    with pytest.raises(InvalidParameterError, match="margin must be"):
        TripletLoss(margin)


def test_unknown_reduction_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="reduction must be one of 'mean', 'active'"):
        TripletLoss(reduction="sum")  # type: ignore[arg-type]


def tensorflow_semihard(z: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return what ``triplet_semihard_loss`` charges, from all distances of all triplets at once."""
    d = (z[:, None] - z).square().sum(2)
    same = labels[:, None] == labels
    beyond = ~same[:, None, :] & (d[:, None, :] > d[:, :, None])
    nearest = d[:, None, :].masked_fill(~beyond, torch.inf).amin(2)
    last = d.masked_fill(same, -torch.inf).amax(1, keepdim=True)
    negative = torch.where(beyond.any(2), nearest, last)
    positives = same & ~torch.eye(len(z), dtype=torch.bool)
    return (d - negative + margin).clamp(min=0)[positives].sum() / positives.sum()


# Spread out, some charges are 0 and count in the mean; close together, some pairs have no negative
# beyond them.
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
@given(seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_head_miner_and_loss_together_are_tensorflows_semihard_loss(
    spread: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(40) % 4
    z = spread * torch.randn(40, 3, generator=generator, dtype=torch.float64) + labels[:, None]
    z.requires_grad_()
    scores = SqEuclideanHead()(z, z)
    ours = TripletLoss(1.0)(scores, labels, TensorFlowSemihard()(scores.detach(), labels))
    theirs = tensorflow_semihard(z, labels, 1.0)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x, z)[0] for x in (ours, theirs)))
