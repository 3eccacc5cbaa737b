"""What holds for both losses on pairs: ``bce`` and ``contrastive``."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit._types import Pairs, Triplets
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses import BCELoss, ContrastiveLoss, PairLoss

MARGIN = 0.7


def bce_charge(score: float, same: bool) -> float:
    return math.log1p(math.exp(-score if same else score))


def contrastive_charge(score: float, same: bool) -> float:
    distance = -score
    return distance**2 / 2 if same else max(0.0, MARGIN - distance) ** 2 / 2


CHARGES = {BCELoss: bce_charge, ContrastiveLoss: contrastive_charge}
each_loss = pytest.mark.parametrize("cls", list(CHARGES))


def made(cls: type[PairLoss], balance: bool = False) -> PairLoss:
    return ContrastiveLoss(MARGIN, balance) if cls is ContrastiveLoss else BCELoss(balance)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Symmetric scores in [-2, 0] and labels of up to three classes."""
    b = draw(st.integers(2, 8))
    labels = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=b, max_size=b)))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    half = torch.rand(b, b, generator=rng, dtype=torch.float64)
    return -(half + half.T), labels


def naive(
    cls: type[PairLoss], scores: Tensor, labels: Tensor, pairs: list[tuple[int, int]], balance: bool
) -> float:
    kinds: dict[bool, list[float]] = {True: [], False: []}
    for i, j in pairs:
        same = bool(labels[i] == labels[j])
        kinds[same].append(CHARGES[cls](float(scores[i, j]), same))
    groups = [k for k in kinds.values() if k] if balance else [kinds[True] + kinds[False]]
    return sum(sum(g) / len(g) for g in groups) / len(groups)


@each_loss
@pytest.mark.parametrize("balance", [False, True])
@given(batch=batches())
@settings(max_examples=60, deadline=None)
def test_all_pairs_by_default(
    cls: type[PairLoss], balance: bool, batch: tuple[Tensor, Tensor]
) -> None:
    scores, labels = batch
    pairs = list(itertools.combinations(range(len(labels)), 2))
    loss = made(cls, balance)(scores, labels)
    assert loss.item() == pytest.approx(naive(cls, scores, labels, pairs, balance))


@each_loss
@given(batch=batches(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_only_the_chosen_pairs(
    cls: type[PairLoss], batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    scores, labels = batch
    every = list(itertools.permutations(range(len(labels)), 2))
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=1))
    i, j = torch.tensor(chosen).T
    loss = made(cls)(scores, labels, Pairs(i, j))
    assert loss.item() == pytest.approx(naive(cls, scores, labels, chosen, False))


@each_loss
@given(batch=batches(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_each_pair_of_chosen_triplets_counts_once(
    cls: type[PairLoss], batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    scores, labels = batch
    every = [
        (a, p, n)
        for a, p, n in itertools.permutations(range(len(labels)), 3)
        if labels[a] == labels[p] != labels[n]
    ]
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=1)) if every else []
    triplets = Triplets(*torch.tensor(chosen).T) if chosen else Triplets.empty()
    loss = made(cls)(scores, labels, triplets)
    pairs = {(min(x), max(x)) for a, p, n in chosen for x in ((a, p), (a, n))}
    expected = naive(cls, scores, labels, sorted(pairs), False) if pairs else 0.0
    assert loss.item() == pytest.approx(expected)


@each_loss
def test_no_pairs_give_a_differentiable_zero(cls: type[PairLoss]) -> None:
    scores = torch.full((2, 2), -torch.inf, requires_grad=True)
    for loss in (
        made(cls)(scores, torch.tensor([0, 1]), Pairs.empty()),
        made(cls)(scores[:1, :1], torch.tensor([0])),
        made(cls).pair_loss(scores[0, :0], torch.zeros(0)),
    ):
        (grad,) = torch.autograd.grad(loss, scores)
        assert loss.item() == 0
        assert (grad == 0).all()


@each_loss
@pytest.mark.parametrize("balance", [False, True])
def test_gradient_is_that_of_finite_differences(cls: type[PairLoss], balance: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    scores = -torch.rand(9, generator=rng, dtype=torch.float64).requires_grad_()
    same = torch.tensor([1, 0, 0, 1, 0, 0, 0, 0, 0])
    loss = made(cls, balance)
    assert torch.autograd.gradcheck(lambda s: loss.pair_loss(s, same), (scores,))


@each_loss
def test_same_may_be_bool_int_or_float(cls: type[PairLoss]) -> None:
    scores, same = -torch.rand(5, generator=torch.Generator()), torch.tensor([1, 0, 0, 1, 0])
    losses = {made(cls, True).pair_loss(scores, same.to(t)).item() for t in (bool, int, float)}
    assert len(losses) == 1


@each_loss
def test_balance_makes_the_number_of_different_pairs_irrelevant(cls: type[PairLoss]) -> None:
    few = torch.tensor([-0.5, -0.3]), torch.tensor([1, 0])
    many = torch.tensor([-0.5] + [-0.3] * 50), torch.tensor([1] + [0] * 50)
    loss = made(cls, balance=True)
    torch.testing.assert_close(loss.pair_loss(*few), loss.pair_loss(*many))


@each_loss
def test_charges_in_float32_under_half_precision(cls: type[PairLoss]) -> None:
    scores = -torch.rand(4, 4, generator=torch.Generator()).bfloat16()
    assert made(cls)(scores, torch.tensor([0, 0, 1, 1])).dtype == torch.float32


@each_loss
def test_bad_inputs_are_refused(cls: type[PairLoss]) -> None:
    loss = made(cls)
    with pytest.raises(InvalidDataError, match=r"\(b, b\).*\(2, 3\)"):
        loss(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(InvalidDataError, match=r"labels must have shape \(2,\).*\(3,\)"):
        loss(torch.zeros(2, 2), torch.zeros(3))
    with pytest.raises(InvalidDataError, match=r"scores and same.*\(2,\) and \(3,\)"):
        loss.pair_loss(torch.zeros(2), torch.zeros(3))
    with pytest.raises(InvalidParameterError, match="balance must be True or False; got 'yes'"):
        cls(balance="yes")  # type: ignore[arg-type]
