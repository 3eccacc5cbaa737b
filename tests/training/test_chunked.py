"""Chunks give the gradient of the whole batch, for every line of the zoo."""

import copy
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from siamesekit import registry
from siamesekit._random import Stream, drawing_from
from siamesekit.backbones.freezing import train_last
from siamesekit.errors import InvalidParameterError, SiamesekitError
from siamesekit.losses.pair import PairLoss
from siamesekit.miners import Miner
from siamesekit.samplers import BalancedSampler, PairSampler, Sampler
from siamesekit.training import Checkpoint, Plan, TrainingLine, train
from siamesekit.training.chunked import BatchPass
from siamesekit.training.drawing import drawing_of

Make = Callable[..., TrainingLine]

TOLERANCE = 1e-5
# Steps make what is rounded larger, ArcFace's by tens; a wrong factor would show as tenths.
AFTER_STEPS = 1e-3

HEADS = registry.names("heads")
LOSSES = [name for name in registry.names("losses") if not name.startswith("pml:")]
MINERS = [None, *(name for name in registry.names("miners") if not name.startswith("pml:"))]
# Pairs, triplets, whole batches, proxies and a classifier with weights of its own.
ZOO = ("ContrastiveLoss", "MultiSimilarityLoss", "NTXentLoss", "TripletMarginLoss")
ZOO += ("ProxyAnchorLoss", "ArcFaceLoss")


class FunctionalDropout(nn.Module):
    """Draws where no layer says so."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        drawn = functional.dropout(torch.tanh(self.first(x)), 0.4, self.training)
        out: Tensor = self.last(drawn)
        return out


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 8))


def with_dropout() -> nn.Module:
    layers = (nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.4), nn.Linear(16, 8), nn.AlphaDropout(0.1))
    return nn.Sequential(*layers)


def gradients(
    line: TrainingLine,
    x: Tensor,
    labels: Tensor,
    chunk_size: int | None,
    *,
    pairs: bool = False,
) -> dict[str, Tensor]:
    """Return each weight's gradient after one pass, and the loss."""
    line = copy.deepcopy(line).train()
    stream = Stream(torch.Generator().manual_seed(7))
    with drawing_of(stream, line, line.miner):
        charge = BatchPass(line, chunk_size, stream)(x.clone(), labels, pairs=pairs)
    found = {n: p.grad for n, p in line.named_parameters() if p.grad is not None}
    return found | {"the loss": charge.loss.detach(), "the next draw": _draw(stream)}


def of_the_whole(
    line: TrainingLine, x: Tensor, labels: Tensor, chunk_size: int, *, pairs: bool = False
) -> dict[str, Tensor]:
    """Return the same, with one graph: dropout drawn for a chunk at a time, all else at once."""
    line = copy.deepcopy(line).train()
    stream = Stream(torch.Generator().manual_seed(7))
    with drawing_of(stream, line, line.miner):
        embeddings = torch.cat([line.embed(chunk) for chunk in x.clone().split(chunk_size)])
        charge = (line.charge_pairs if pairs else line.charge)(embeddings, labels)
        charge.loss.backward()
    found = {n: p.grad for n, p in line.named_parameters() if p.grad is not None}
    return found | {"the loss": charge.loss.detach(), "the next draw": _draw(stream)}


def _draw(stream: Stream) -> Tensor:
    return torch.rand(3, generator=stream.on(torch.device("cpu")))


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    # Of a gradient that is zero but for rounding (a bias before a difference) the share says
    # nothing: the largest gradient is the measure for all.
    largest = max(float(value.norm()) for value in other.values())
    for name, value in one.items():
        gap = float((value - other[name]).norm())
        assert gap <= TOLERANCE * max(float(other[name].norm()), 0.01 * largest), name


def lines(losses: list[str]) -> list[tuple[str, str, str | None]]:
    """Return each miner beside a fixed and a learned head, and the other heads beside two."""
    mined = itertools.product(("cosine", "l1"), losses, MINERS)
    compared = itertools.product(set(HEADS) - {"cosine", "l1"}, losses, (None, "semihard"))
    return [*mined, *compared]


def _check(
    make: Make, blobs: tuple[Tensor, Tensor], backbone: Callable[[], nn.Module], *parts: Any
) -> bool:
    """Compare chunks of 5 with the whole; return False where the line charges no batch at all."""
    x, labels = (part[::3] for part in blobs)  # 16 items of 4 classes: 5, 5, 5 and 1
    try:
        line = make(backbone, *parts)
    except SiamesekitError:
        return False  # a loss on embeddings with a head that it would not train
    try:
        expected = of_the_whole(line, x, labels, 5)
    except SiamesekitError as error:
        with pytest.raises(type(error)):
            gradients(line, x, labels, 5)
        return False
    assert_equal(gradients(line, x, labels, 5), expected)
    return True


@pytest.mark.parametrize("loss", LOSSES)
def test_every_head_loss_and_miner_gets_the_gradient_of_the_whole_batch(
    make: Make, blobs: tuple[Tensor, Tensor], loss: str
) -> None:
    worked = [parts for parts in lines([loss]) if _check(make, blobs, with_dropout, *parts)]
    assert worked


@pytest.mark.parametrize("loss", ZOO)
@pytest.mark.parametrize("miner", [None, "semihard", "hard-pairs", "pml:MultiSimilarityMiner"])
def test_losses_of_the_zoo_get_it_too(
    make: Make, blobs: tuple[Tensor, Tensor], loss: str, miner: str | None
) -> None:
    pytest.importorskip("pytorch_metric_learning")
    assert _check(make, blobs, with_dropout, "cosine", f"pml:{loss}", miner) or miner


@pytest.mark.parametrize("head", HEADS)
def test_pairs_get_it_too(make: Make, blobs: tuple[Tensor, Tensor], head: str) -> None:
    loss = "bce" if registry.get("heads", head).gives == "logit" else "contrastive"
    mixed = torch.randperm(48, generator=torch.Generator().manual_seed(1))[:22]
    x, labels = (part[mixed] for part in blobs)
    line = make(with_dropout, head, loss)
    assert_equal(
        gradients(line, x, labels, 5, pairs=True), of_the_whole(line, x, labels, 5, pairs=True)
    )


@pytest.mark.parametrize("chunk_size", [1, 2, 7, 15, 16, 17, 1000])
@pytest.mark.parametrize("backbone", [plain, FunctionalDropout])
def test_chunks_may_be_of_any_size(
    make: Make, blobs: tuple[Tensor, Tensor], backbone: Callable[[], nn.Module], chunk_size: int
) -> None:
    x, labels = (part[::3] for part in blobs)
    line = make(backbone, "cosine-concat", "bce", "hard-pairs")
    found = gradients(line, x, labels, chunk_size)
    assert_equal(found, of_the_whole(line, x, labels, chunk_size))
    if backbone is plain:
        assert_equal(found, gradients(line, x, labels, None))


def test_nothing_is_drawn_from_torchs_own_generator(
    make: Make, blobs: tuple[Tensor, Tensor]
) -> None:
    before = torch.get_rng_state()
    gradients(make(FunctionalDropout, "cosine-concat", "bce"), *blobs, 5)
    assert torch.equal(torch.get_rng_state(), before)


class DroppingLoss(PairLoss):
    """Leaves some of the scores out by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def charges(self, scores: Tensor, same: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, inputs: Tensor, labels: Tensor, *_: object) -> Tensor:
        same = (labels[:, None] == labels[None, :]).float()
        return (self.drop(inputs) - same).square().mean()


class DrawingMiner(Miner):
    """Takes pairs at random, from a generator of its own or, without, from torch's default."""

    takes = "scores"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, scores: Tensor, labels: Tensor) -> Any:
        self.calls += 1
        kept = torch.rand(len(labels), len(labels)) < 0.3
        return registry.create("miners", "all-pairs")(scores.masked_fill(~kept, 0), labels)


def _sgd(line: nn.Module) -> optim.Optimizer:
    return optim.SGD(line.parameters(), lr=0.1)


def trained(
    line: TrainingLine,
    data: tuple[Tensor, Tensor],
    sampler: Sampler | None = None,
    epochs: int = 2,
    chunk_size: int | None = None,
    optimizer: Any = _sgd,
    **options: Any,
) -> dict[str, Tensor]:
    line = copy.deepcopy(line)
    sampler = (BalancedSampler(4, 4) if sampler is None else sampler).bind(data[1], seed=0)
    plan = Plan(
        max_epochs=epochs,
        optimizer=optimizer,
        schedule="constant",
        chunk_size=chunk_size,
        averaging=options.pop("averaging", None),
    )
    history = train(line, *data, sampler, plan, seed=3, **options)
    return line.state_dict() | {"history": torch.tensor(history["loss"])}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        gap = (value.double() - other[name].double()).norm()
        assert gap <= AFTER_STEPS * max(0.1, float(other[name].double().norm())), name


def _noisy(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch + 0.1 * torch.randn(batch.shape, generator=generator)


@pytest.mark.parametrize(
    ("head", "loss", "miner"),
    [
        ("cosine", "episodic", None),
        ("euclidean", "triplet", "semihard"),
        ("l1", "bce", None),
        ("cosine", "cross-batch-memory", None),
        ("cosine", "pml:ArcFaceLoss", None),
    ],
)
def test_training_in_chunks_is_training_on_whole_batches(
    make: Make, blobs: tuple[Tensor, Tensor], head: str, loss: str, miner: str | None
) -> None:
    """Augmented and averaged, under plain SGD, which hides no factor."""
    line = make(plain, head, loss, miner)
    options = {"augment": _noisy, "averaging": 0.9}
    whole = trained(line, blobs, **options)
    assert_close(trained(line, blobs, chunk_size=5, **options), whole)


def test_pairs_are_trained_in_chunks(make: Make, blobs: tuple[Tensor, Tensor]) -> None:
    line = make(plain, "l1", "bce")
    whole = trained(line, blobs, PairSampler(14, n_pairs=21))
    assert_close(trained(line, blobs, PairSampler(14, n_pairs=21), chunk_size=5), whole)


def test_batches_of_different_sizes(make: Make, blobs: tuple[Tensor, Tensor]) -> None:
    class Uneven(BalancedSampler):
        def batches(self, generator: torch.Generator) -> Any:
            for k, batch in enumerate(super().batches(generator)):
                yield batch[: 4 + 6 * k]

    line = make(plain, "cosine", "contrastive")
    whole = trained(line, blobs, Uneven(4, 4))
    assert_close(trained(line, blobs, Uneven(4, 4), chunk_size=6), whole)


def test_a_loss_and_a_miner_that_draw_are_asked_once_a_batch(
    make: Make, blobs: tuple[Tensor, Tensor]
) -> None:
    x, labels = (part[::3] for part in blobs)
    line = make(with_dropout, "cosine", "contrastive")
    line.loss, line.miner = DroppingLoss(), DrawingMiner()
    expected = of_the_whole(line, x, labels, 5)
    assert_equal(gradients(line, x, labels, 5), expected)
    miner = copy.deepcopy(line.miner)
    line.miner = miner
    stream = Stream(torch.Generator().manual_seed(7))
    with drawing_of(stream, line, miner):
        BatchPass(line.train(), 5, stream)(x, labels)
    assert miner.calls == 1


def test_what_is_frozen_stays(make: Make, blobs: tuple[Tensor, Tensor]) -> None:
    def half() -> nn.Module:
        net = plain()
        train_last(net, 1)
        return net

    def frozen() -> nn.Module:
        net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
        return net.requires_grad_(False)

    # Differences do not depend on the last bias, whose gradient is what is lost in rounding, or 0.
    free = {"backbone.3.bias"}
    for backbone in (half, frozen):
        line = make(backbone, "l1", "bce")
        found = trained(line, blobs, chunk_size=5)
        assert_close(found, trained(line, blobs))
        changed = {n for n, v in line.state_dict().items() if not torch.equal(v, found[n])}
        last = {"backbone.3.weight"} if backbone is half else set()
        assert {n for n in changed if n.startswith("backbone.")} - (free if last else set()) == last
        assert any(n.startswith("head.") for n in changed)


def test_a_backbone_may_work_in_place_on_its_batch(
    make: Make, blobs: tuple[Tensor, Tensor]
) -> None:
    line = make(lambda: nn.Sequential(nn.LeakyReLU(0.2, inplace=True), nn.Linear(6, 8)))
    x, labels = (part[::3] for part in blobs)
    assert_equal(gradients(line, x, labels, 5), gradients(line, x, labels, None))


def test_wrappers_are_trained_in_chunks() -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.rand(12, 1, 16, 16, generator=generator), torch.arange(4).repeat(3)
    with drawing_from(0):
        small = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Dropout(0.2))
        for wrapper in ("turned", "whitened"):
            net = registry.create("backbones", wrapper, backbone=small).build((1, 16, 16))
            line = TrainingLine(
                net,
                registry.create("heads", "cosine"),
                registry.create("losses", "contrastive"),
                precision=torch.float32,
            )
            assert_equal(gradients(line, x, labels, 5), of_the_whole(line, x, labels, 5))


@pytest.mark.parametrize("name", ["residual", "conv4"])
def test_networks_of_images_are_trained_in_chunks_with_group_normalisation(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.rand(12, 1, 16, 16, generator=generator), torch.arange(4).repeat(3)
    with drawing_from(0):
        head, loss = registry.create("heads", "cosine"), registry.create("losses", "contrastive")
        usual = TrainingLine(registry.create("backbones", name).build((1, 16, 16)), head, loss)
        grouped = registry.create("backbones", name, norm="group").build((1, 16, 16))
        line = TrainingLine(grouped, head, loss)
    with pytest.raises(InvalidParameterError, match=r"ResidualNet\(norm='group'\)"):
        gradients(usual, x, labels, 5)
    assert_equal(gradients(line, x, labels, 5), gradients(line, x, labels, None))


def test_bfloat16(make: Make, blobs: tuple[Tensor, Tensor]) -> None:
    line = make(plain, "cosine", "contrastive")
    line.precision = torch.bfloat16
    x, labels = (part[::3] for part in blobs)
    chunked, whole = gradients(line, x, labels, 5), of_the_whole(line, x, labels, 5)
    for name, value in whole.items():
        # Sums over the batch are rounded to 8 bits, in another order.
        assert (chunked[name] - value).norm() <= 0.05 * value.norm().clamp_min(1e-3)


class Poisoned(nn.Module):
    """Gives what is not a number in one call."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.net, self.call, self.calls = plain(), call, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        out: Tensor = self.net(x)
        return out * torch.nan if self.calls == self.call and self.training else out


@pytest.mark.filterwarnings("ignore::siamesekit.training.TrainingHealthWarning")
@pytest.mark.parametrize("call", [9, 12])  # in the second batch: of its first pass, of its second
@pytest.mark.parametrize("loss", ["episodic", "cross-batch-memory"])
def test_a_chunk_that_is_not_finite_makes_a_step_that_changes_nothing(
    make: Make, blobs: tuple[Tensor, Tensor], call: int, loss: str
) -> None:
    line = make(partial(Poisoned, call), "cosine", loss)
    x, labels = blobs
    seen: list[dict[str, Tensor]] = []
    sampler = BalancedSampler(4, 4).bind(labels, seed=0)
    # 1 try, then 4 chunks twice each.
    history = train(
        line,
        x,
        labels,
        sampler,
        Plan(max_epochs=1, optimizer=_sgd, schedule="constant", chunk_size=5),
        callbacks=[lambda line, _: seen.append(line.state_dict())],
    )
    assert history["skipped"] == [1.0]
    assert all(bool(value.isfinite().all()) for value in line.state_dict().values())


def test_a_resumed_run_has_the_numbers_of_an_unbroken_one(
    make: Make, blobs: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    line = make(with_dropout, "cosine-concat", "bce")
    unbroken = trained(line, blobs, epochs=3, chunk_size=5)
    file = Checkpoint(tmp_path / "run.ckpt")
    trained(line, blobs, epochs=1, chunk_size=5, checkpoint=file)
    resumed = trained(line, blobs, epochs=3, chunk_size=5, checkpoint=file)
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())
    with pytest.raises(SiamesekitError, match="chunk_size"):
        trained(line, blobs, epochs=3, chunk_size=6, checkpoint=file)


class Mixing(nn.Module):
    """Takes the batch's mean off, in a way that no layer shows."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out - 0.1 * out.mean(0)


class Elsewhere(nn.Module):
    """Draws from a generator that no one can replay."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.rng = nn.Linear(6, 8), np.random.default_rng(0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out * float(self.rng.uniform(0.5, 1.5))


def functional_norm() -> nn.Module:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 8)

        def forward(self, x: Tensor) -> Tensor:
            return functional.batch_norm(self.net(x), None, None, training=True)

    return Norm()


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "batch norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8)), "BatchNorm1d"),
    "no statistics": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, track_running_stats=False)),
        "other items",
    ),
    "frozen without statistics": (
        lambda: nn.Sequential(
            nn.BatchNorm1d(6, affine=False, track_running_stats=False), nn.Linear(6, 8)
        ),
        "other items",
    ),
    "functional": (functional_norm, "other items"),
    "mean": (Mixing, "other items"),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 8))),
        "_u",
    ),
    "elsewhere": (Elsewhere, "second time"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_chunks_would_change_is_refused_with_advice(
    make: Make, blobs: tuple[Tensor, Tensor], kind: str
) -> None:
    backbone, word = REFUSED[kind]
    line = make(backbone)
    before = copy.deepcopy(line.state_dict())
    with pytest.raises(InvalidParameterError, match=rf"(?s)chunk_size=5.*{word}.*normalisation"):
        train(
            line,
            *blobs,
            BalancedSampler(4, 4).bind(blobs[1], seed=0),
            Plan(max_epochs=1, chunk_size=5),
        )
    assert all(torch.equal(value, before[name]) for name, value in line.state_dict().items())


@pytest.mark.parametrize("chunk_size", [0, -1, True, "8", 8.0, np.float32(8), [8]])
def test_no_number_of_items_is_refused(chunk_size: Any) -> None:
    with pytest.raises(InvalidParameterError, match="chunk_size"):
        Plan(chunk_size=chunk_size)
    assert Plan(chunk_size=np.int64(8)).chunk_size == 8


def test_chunks_take_the_memory_of_a_chunk(blobs: tuple[Tensor, Tensor]) -> None:
    """Of what autograd keeps, counted in numbers, not of what an allocator makes of it."""
    wide = nn.Sequential(nn.Linear(6, 512), nn.Tanh(), nn.Linear(512, 512), nn.Tanh())
    wide.append(nn.Linear(512, 8))
    head, loss = (registry.create("heads", "cosine"), registry.create("losses", "contrastive"))
    line = TrainingLine(wide, head, loss)
    x, labels = blobs
    own = {p.untyped_storage().data_ptr() for p in line.parameters()}
    kept = {}
    for size in (None, 4):
        alive: list[int] = [0]
        most = [0]

        def pack(tensor: Tensor, alive: list[int] = alive, most: list[int] = most) -> Any:
            if tensor.untyped_storage().data_ptr() in own:
                return _Held(tensor, [0])
            alive[0] += tensor.numel()
            most[0] = max(most[0], alive[0])
            return _Held(tensor, alive)

        stream = Stream(torch.Generator())
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
            BatchPass(line, size, stream)(x, labels)
        kept[size] = most[0]
    assert kept[4] <= 0.3 * kept[None]


class _Held:
    def __init__(self, tensor: Tensor, alive: list[int]) -> None:
        self.tensor, self.alive = tensor.detach(), alive

    def __del__(self) -> None:
        self.alive[0] -= self.tensor.numel()
