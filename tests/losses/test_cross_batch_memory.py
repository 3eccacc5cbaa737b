"""The memory of earlier embeddings, held against pytorch-metric-learning's."""

import io
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import Tensor, nn

from siamesekit import SiameseClassifier, registry
from siamesekit._random import drawing_from
from siamesekit._types import Pairs
from siamesekit.backbones import MLP
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.heads import CosineHead
from siamesekit.losses import BCELoss, CrossBatchMemory, pml
from siamesekit.losses.cross_batch_memory import FITTING
from siamesekit.miners import PMLMiner
from siamesekit.samplers import RandomSampler
from siamesekit.training import Checkpoint, History, Plan, TrainingLine, train

originals = pytest.importorskip("pytorch_metric_learning")

DIM = 6
MINERS = [None, "MultiSimilarityMiner", "BatchHardMiner"]


def batches(n: int, size: int = 12, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, DIM, generator=draw), torch.randint(4, (size,), generator=draw))
        for _ in range(n)
    ]


def charged(loss: Any, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and its gradient."""
    z = batch[0].clone().requires_grad_()
    value = loss(z, batch[1])
    value.backward()
    assert z.grad is not None
    return value.detach(), z.grad


def the_original(loss: str, memory_size: int, miner: str | None = None) -> Any:
    from pytorch_metric_learning import losses, miners

    return losses.CrossBatchMemory(
        getattr(losses, loss)(),
        DIM,
        memory_size,
        miner=None if miner is None else getattr(miners, miner)(),
    )


def ours(loss: str, memory_size: int, miner: str | None = None) -> CrossBatchMemory:
    name = None if miner is None else f"pml:{miner}"
    return CrossBatchMemory(f"pml:{loss}", memory_size, name).build(DIM, 4)


# 40 is no multiple of 12, so that the queue wraps within a batch; 12 remembers the batch alone.
@pytest.mark.parametrize("memory_size", [12, 40, 1000])
@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("loss", ["ContrastiveLoss", "NTXentLoss", "MultiSimilarityLoss"])
def test_a_run_of_batches_costs_what_it_does_in_pytorch_metric_learning(
    loss: str, miner: str | None, memory_size: int
) -> None:
    mine, theirs = ours(loss, memory_size, miner), the_original(loss, memory_size, miner)
    for batch in batches(8):
        for own, other in zip(charged(mine, batch), charged(theirs, batch), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_triplets_from_the_memory_are_those_of_pytorch_metric_learning() -> None:
    mine = ours("TripletMarginLoss", 40, "TripletMarginMiner")
    theirs = the_original("TripletMarginLoss", 40, "TripletMarginMiner")
    for batch in batches(6):
        for own, other in zip(charged(mine, batch), charged(theirs, batch), strict=True):
            torch.testing.assert_close(own, other)


def test_the_newest_rows_are_remembered() -> None:
    loss = ours("ContrastiveLoss", 10)
    seen = batches(7, size=4)
    for z, y in seen:
        loss(z, y)
    newest = torch.cat([z for z, _ in seen])[-10:]
    assert loss.memory is not None
    order = (loss.position + torch.arange(10)) % 10
    assert torch.equal(loss.memory[order], newest)
    assert torch.equal(loss.memory_labels[order], torch.cat([y for _, y in seen])[-10:])
    assert int(loss.count) == 10


def test_a_batch_larger_than_the_memory_leaves_its_last_rows() -> None:
    loss = ours("ContrastiveLoss", 5)
    (first, second) = batches(2)
    alone = charged(ours("ContrastiveLoss", 100), second)
    loss(*first)
    assert loss.memory is not None
    assert torch.equal(loss.memory, first[0][-5:])
    # Nothing is left of it beside a second such batch.
    torch.testing.assert_close(charged(loss, second), alone)


def test_without_a_memory_yet_it_is_the_wrapped_loss_and_no_item_is_its_own_positive() -> None:
    z, y = batches(1)[0]
    plain = registry.create("losses", "pml:NTXentLoss")
    torch.testing.assert_close(ours("NTXentLoss", 50)(z, y), plain(z, y))
    one = CrossBatchMemory().build(DIM, 4)
    value, gradient = charged(one, (z[:1], y[:1]))
    assert float(value) == 0
    assert not gradient.any()


def test_evaluation_remembers_nothing() -> None:
    loss = ours("ContrastiveLoss", 40)
    first, second = batches(2)
    loss(*first)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.eval()
    in_evaluation = loss(*second)
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())
    loss.train()
    torch.testing.assert_close(loss(*second), in_evaluation)
    assert int(loss.count) == 24


def test_embeddings_that_are_not_finite_are_not_remembered() -> None:
    loss = ours("ContrastiveLoss", 40)
    first, second = batches(2)
    spoilt = first[0].clone()
    spoilt[3, 2] = torch.nan
    loss(spoilt, first[1])
    assert int(loss.count) == 11
    assert loss(*second).isfinite()


def test_a_restored_state_goes_on_as_it_would_have() -> None:
    # 5 batches of 12 in a queue of 40: full, and its place in mid-queue.
    seen = batches(9)
    whole = ours("NTXentLoss", 40)
    for batch in seen[:5]:
        whole(*batch)
    stored = io.BytesIO()
    torch.save(whole.state_dict(), stored)
    stored.seek(0)
    restored = ours("NTXentLoss", 40)
    restored.load_state_dict(torch.load(stored, weights_only=True))
    for batch in seen[5:]:
        assert torch.equal(whole(*batch), restored(*batch))


def test_training_resumed_from_a_checkpoint_equals_training_unbroken(tmp_path: Path) -> None:
    X, y = load_digits(return_X_y=True)
    items, labels = torch.from_numpy(X[:200]).float() / 16, torch.from_numpy(y[:200])

    def run(seed: int, **options: Any) -> tuple[TrainingLine, History]:
        with drawing_from(seed):
            loss = CrossBatchMemory("pml:NTXentLoss", memory_size=150).build(8, 10)
            line = TrainingLine(MLP(units=8, dropout=0.1).build((64,)), CosineHead(), loss)
        sampler = RandomSampler(batch_size=40).bind(labels)
        return line, train(line, items, labels, sampler, Plan(max_epochs=5), **options)

    def interrupt(line: TrainingLine, history: History) -> None:
        if history.epochs == 3:
            raise KeyboardInterrupt

    unbroken, history = run(0)
    checkpoint = Checkpoint(tmp_path / "c.pt")
    with pytest.raises(KeyboardInterrupt):
        run(0, checkpoint=checkpoint, callbacks=[interrupt])
    resumed, history_resumed = run(7, checkpoint=checkpoint)
    assert history["loss"] == history_resumed["loss"]
    for own, other in zip(
        unbroken.state_dict().values(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(own, other)


@pytest.mark.parametrize("name", pml.fitting())
def test_the_list_of_fitting_losses_is_complete(name: str) -> None:
    inner = registry.create("losses", f"pml:{name}").build(DIM, 4).inner
    z, y = batches(1)[0]
    others, other_labels = batches(1, size=30, seed=1)[0]
    i, j = (y[:, None] == other_labels).nonzero(as_tuple=True)
    k, n = (y[:, None] != other_labels).nonzero(as_tuple=True)
    try:
        inner(z, y, (i, j, k, n), others, other_labels)
    except (ValueError, IndexError):
        assert name not in FITTING
        with pytest.raises(InvalidParameterError, match=rf"'pml:{name}'.*memory.*NTXentLoss"):
            CrossBatchMemory(f"pml:{name}")
    else:
        assert name in FITTING
        loss = ours(name, 20)
        for batch in batches(3):
            value, gradient = charged(loss, batch)
            assert value.isfinite()
            assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", FITTING)
def test_learns_digits(loss: str) -> None:
    X, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    X = X.float() / 16
    with drawing_from(0):
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        memory = CrossBatchMemory(f"pml:{loss}", 256, "pml:MultiSimilarityMiner").build(16, 10)
        optimizer = torch.optim.Adam([*net.parameters(), *memory.parameters()], lr=3e-3)
        before = nearest_is_same(net(X[1000:1400]), y[1000:1400])
        for step in range(40):
            index = torch.randperm(1000, generator=torch.Generator().manual_seed(step))[:24]
            value = memory(net(X[index]), y[index])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    after = nearest_is_same(net(X[1000:1400]), y[1000:1400])
    # Alone it evens out the spread of positives and tells nothing apart.
    assert loss == "IntraPairVarianceLoss" or after > before


def nearest_is_same(z: Tensor, y: Tensor) -> float:
    unit = nn.functional.normalize(z.detach(), dim=1)
    return float((y[(unit @ unit.T).fill_diagonal_(-2).argmax(1)] == y).double().mean())


def test_the_classifier_trains_with_it() -> None:
    X, y = load_digits(return_X_y=True)
    model = SiameseClassifier(
        head="cosine", loss="cross-batch-memory", max_epochs=2, validation=None, random_state=0
    )
    model.set_params(loss__memory_size=100, loss__loss__neg_margin=0.5)
    assert model.get_params()["loss__loss__neg_margin"] == 0.5
    assert model.fit(X[:300], y[:300]).score(X[300:500], y[300:500]) > 0.5


def test_a_loss_is_given_by_name_class_or_instance() -> None:
    kind = registry.get("losses", "pml:NTXentLoss")
    given = ["pml:NTXentLoss", kind, kind(temperature=0.07)]
    for spec in given:
        loss = CrossBatchMemory(spec)
        assert loss.loss is spec
        assert type(loss.charging) is kind
        assert clone(loss).charging.temperature == 0.07
    assert CrossBatchMemory(given[2]).charging is given[2]


def test_weights_of_a_loss_given_by_instance_are_stored_once() -> None:
    own = registry.create("losses", "pml:MarginLoss", learn_beta=True)
    for spec in (own, "pml:NTXentLoss"):
        state = CrossBatchMemory(spec).build(DIM, 4).state_dict()
        storages = [value.data_ptr() for value in state.values()]
        assert len(set(storages)) == len(storages)


def test_parameters_reach_inside_however_the_parts_were_given() -> None:
    loss = CrossBatchMemory("pml:NTXentLoss", miner="pml:MultiSimilarityMiner")
    assert {"loss__temperature", "miner__epsilon", "memory_size"} <= set(loss.get_params())
    loss.set_params(loss__temperature=0.5, miner__epsilon=0.3, memory_size=7)
    assert loss.charging.inner.temperature == 0.5
    assert loss.get_params()["miner__epsilon"] == 0.3
    assert isinstance(loss.miner, PMLMiner)
    loss.set_params(loss="pml:CircleLoss", loss__m=0.2)
    assert loss.charging.m == 0.2


@pytest.mark.parametrize("miner", [m for m in registry.names("miners") if m.startswith("pml:")])
def test_every_miner_of_the_zoo_chooses_from_the_memory(miner: str) -> None:
    loss = CrossBatchMemory(miner=miner, memory_size=40).build(DIM, 4)
    with drawing_from(0):
        values = [float(loss(*batch)) for batch in batches(6)]
    assert max(itertools.islice(values, 1, None)) > 0


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameterError, match=r"'bce' cannot compare a batch with a memory"):
        CrossBatchMemory(BCELoss())  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"'semihard' cannot choose from a memory"):
        CrossBatchMemory(miner="semihard")
    with pytest.raises(InvalidParameterError, match="memory_size must be an integer"):
        CrossBatchMemory(memory_size=0)
    loss = CrossBatchMemory()
    with pytest.raises(NotBuiltError, match="build"):
        loss(*batches(1)[0])
    loss.build(DIM, 4)
    with pytest.raises(InvalidParameterError, match=r"miner=None.*loss__miner"):
        loss(*batches(1)[0], Pairs.empty())
    with pytest.raises(InvalidDataError, match=rf"shape \(b, {DIM}\)"):
        loss(torch.zeros(3, DIM + 1), torch.zeros(3).long())
    with pytest.raises(InvalidDataError, match=f"{DIM} numbers; got 9"):
        loss.build(9, 4)


def test_the_zoo_points_here() -> None:
    with pytest.raises(ValueError, match="cross-batch-memory"):
        registry.get("losses", "pml:CrossBatchMemory")
