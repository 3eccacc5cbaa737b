"""Losses on scores take some rows of a batch: the rows' shares make up the loss of the whole."""

import pytest
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.losses import (
    BatchAllTripletLoss,
    BCELoss,
    ContrastiveLoss,
    EpisodicLoss,
    RowLoss,
    TripletLoss,
    batch_all_triplet_loss,
)
from siamesekit.miners import AllPairs, BatchHard, RowMiner, SemihardTriplets

LABELS = torch.tensor([3, 0, 1, 0, 3, 2, 1, 0, 2, 1, 3, 2, 0])
LOSSES = {
    "bce": BCELoss(label_smoothing=0.1),
    "bce balanced": BCELoss(balance=True),
    "contrastive": ContrastiveLoss(0.7),
    "contrastive balanced": ContrastiveLoss(0.7, balance=True),
    "triplet": TripletLoss(0.3),
    "triplet active": TripletLoss(0.3, "active"),
    "batch-all": BatchAllTripletLoss(0.3),
    "batch-all of all": BatchAllTripletLoss(0.3, "all"),
    "episodic": EpisodicLoss(),
    "episodic from one end": EpisodicLoss(2, both_ways=False),
    "episodic with the rest": EpisodicLoss("rest", label_smoothing=0.2, way=2),
}
BLOCKS = [(0, 5), (5, 6), (6, 6), (6, 13)]


def scores_of(labels: Tensor) -> Tensor:
    z = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return -torch.cdist(z, z)


def joined(
    loss: RowLoss, scores: Tensor, tuples: list[Tuples] | None = None
) -> tuple[Tensor, Tensor]:
    """Return what ranks of some rows each would make of it: the loss, and the scores' gradient."""
    shares = [
        loss.share(scores[i:j], LABELS, tuples[k] if tuples else None, start=i)
        for k, (i, j) in enumerate(BLOCKS)
    ]
    weight = sum(share.weight for share in shares)
    value = sum(share.total for share in shares) / weight
    return value, torch.autograd.grad(value, scores)[0]


@pytest.mark.parametrize("name", LOSSES)
def test_shares_of_rows_make_up_the_loss_and_its_gradient(name: str) -> None:
    loss, scores = LOSSES[name], scores_of(LABELS).requires_grad_()
    whole = loss(scores, LABELS)
    (grad,) = torch.autograd.grad(whole, scores)
    value, of_rows = joined(loss, scores)
    torch.testing.assert_close(value, whole)
    if isinstance(loss, BCELoss | ContrastiveLoss):
        # A batch is charged for its pairs i < j, rows for both orders of each.
        grad, of_rows = grad + grad.T, of_rows + of_rows.T
    torch.testing.assert_close(of_rows, grad)


@pytest.mark.parametrize("name", ["triplet", "triplet active", "bce", "contrastive balanced"])
@pytest.mark.parametrize("miner", [BatchHard(), SemihardTriplets(0.4, 2)])
def test_shares_of_chosen_triplets(name: str, miner: RowMiner[Triplets]) -> None:
    loss, scores = LOSSES[name], scores_of(LABELS).requires_grad_()
    chosen = [miner.choose(scores[i:j].detach(), LABELS, i) for i, j in BLOCKS]
    value, _ = joined(loss, scores, list(chosen))
    if isinstance(loss, TripletLoss):
        torch.testing.assert_close(value, loss(scores, LABELS, miner(scores, LABELS)))
    else:
        every = Triplets(*(torch.cat(column) for column in zip(*chosen, strict=True)))
        pairs = {*zip(every.a.tolist(), every.p.tolist(), strict=True)}
        pairs |= {*zip(every.a.tolist(), every.n.tolist(), strict=True)}
        i, j = torch.tensor(sorted(pairs)).T
        if not loss.balance:  # type: ignore[union-attr]
            torch.testing.assert_close(value, loss(scores, LABELS, Pairs(i, j)))


def test_shares_of_chosen_pairs() -> None:
    scores = scores_of(LABELS).requires_grad_()
    i, j = AllPairs()(scores, LABELS)
    tuples: list[Tuples] = [
        Pairs(*(x[(i >= first) & (i < end)] for x in (i, j))) for first, end in BLOCKS
    ]
    loss = ContrastiveLoss(0.7)
    value, _ = joined(loss, scores, tuples)
    torch.testing.assert_close(value, loss(scores, LABELS, Pairs(i, j)))


def test_the_loss_of_rows_is_the_mean_of_their_charges() -> None:
    scores = scores_of(LABELS)
    others = torch.arange(13) != 5
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        scores[5, others], (LABELS[5] == LABELS)[others].double()
    )
    torch.testing.assert_close(BCELoss()(scores[5:6], LABELS, start=5), expected)
    whole = batch_all_triplet_loss(-scores, LABELS, 0.3)
    parts = [batch_all_triplet_loss(-scores[i:j], LABELS, 0.3, i) for i, j in BLOCKS]
    assert sum(int(p.n_active) for p in parts) == int(whole.n_active)
    assert sum(int(p.n_triplets) for p in parts) == int(whole.n_triplets)
    total = sum(p.mean * p.n_triplets for p in parts)
    torch.testing.assert_close(total / whole.n_triplets, whole.mean)


def test_batch_all_is_the_triplet_loss_without_a_miner() -> None:
    scores = scores_of(LABELS)
    for reduction, alias in (("mean", "all"), ("active", "active")):
        loss = BatchAllTripletLoss(0.3, alias)  # type: ignore[arg-type]
        assert isinstance(loss, TripletLoss)
        assert loss(scores, LABELS) == TripletLoss(0.3, reduction)(scores, LABELS)  # type: ignore[arg-type]
        assert registry.name_of("losses", loss) == "batch-all"
        assert loss.get_params() == {"margin": 0.3, "reduction": alias}


@pytest.mark.parametrize("name", ["pml:NTXentLoss", "pml:ArcFaceLoss", "cross-batch-memory"])
def test_losses_on_embeddings_charge_the_whole_batch_on_every_rank(name: str) -> None:
    z = torch.randn(13, 4, generator=torch.Generator().manual_seed(0))
    loss = registry.create("losses", name).build(4, 4).eval()
    assert loss(z, LABELS, None, 7) == loss(z, LABELS)
    with pytest.raises(InvalidParameterError, match=r"start must be an integer in \[0, 13\]"):
        loss(z, LABELS, start=14)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_outside_the_batch_are_refused(name: str) -> None:
    loss, scores = LOSSES[name], scores_of(LABELS)
    with pytest.raises(InvalidDataError, match=r"start must leave room .* at most 13 - 3; got 11"):
        loss(scores[:3], LABELS, start=11)
    with pytest.raises(InvalidParameterError, match="start must be an integer of at least 0"):
        loss(scores[:3], LABELS, start=-1)
    with pytest.raises(InvalidDataError, match=r"labels must have shape \(13,\)"):
        loss(scores[:3], LABELS[:5])


def test_tuples_of_other_rows_are_refused() -> None:
    scores = scores_of(LABELS)
    one = torch.tensor([4]), torch.tensor([0]), torch.tensor([1])
    with pytest.raises(InvalidDataError, match=r"positions of the batch: a in \[5, 7\]; got 4"):
        TripletLoss()(scores[5:8], LABELS, Triplets(*one), start=5)
    with pytest.raises(InvalidDataError, match=r"n in \[0, 12\]; got 13"):
        TripletLoss()(scores, LABELS, Triplets(*one[:2], torch.tensor([13])))
    with pytest.raises(InvalidDataError, match=r"i in \[0, 12\]; got -1"):
        BCELoss()(scores, LABELS, Pairs(torch.tensor([-1]), one[0]))
