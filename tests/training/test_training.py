"""The training line and its loop."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.backbones import MLP
from siamesekit.errors import CheckpointMismatchError, InvalidParameterError, SavedModelError
from siamesekit.samplers import BalancedSampler, PairSampler, Sampler
from siamesekit.training import (
    Checkpoint,
    History,
    Plan,
    TrainingHealthWarning,
    TrainingLine,
    resolve_device,
    resolve_precision,
    train,
)


def blobs(classes: int = 6, each: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clusters along the first two of ten numbers; the rest is loud noise."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 2, generator=generator) * 2
    labels = torch.arange(classes).repeat_interleave(each)
    x = torch.randn(len(labels), 10, generator=generator) * 3
    x[:, :2] = centres[labels] + 0.3 * torch.randn(len(labels), 2, generator=generator)
    return x, labels


def make_line(
    head: str = "cosine", loss: str = "episodic", miner: str | None = None, seed: int = 0
) -> TrainingLine:
    with drawing_from(seed):
        return TrainingLine(
            MLP(units=16, dropout=0.1).build((10,)),
            registry.create("heads", head).build(16),
            registry.create("losses", loss).build(16, 6),
            None if miner is None else registry.create("miners", miner),
        )


def run(line: TrainingLine, seed: int = 0, **options: object) -> History:
    x, y = blobs()
    sampler = options.pop("sampler", BalancedSampler(classes=6, per_class=4))
    assert isinstance(sampler, Sampler)
    plan = Plan(**{"max_epochs": 12, "learning_rate": 1e-2, **options.pop("plan", {})})  # type: ignore[dict-item]
    return train(line, x, y, sampler.bind(y, seed=seed), plan, seed=seed, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("head", "loss", "miner"),
    [
        ("cosine", "episodic", None),
        ("l1", "bce", None),
        ("squared", "bce", None),
        ("cosine-concat", "bce", None),
        ("euclidean", "contrastive", None),
        ("sqeuclidean", "triplet", "semihard"),
        ("euclidean", "triplet", "hard"),
        ("euclidean", "triplet", None),
    ],
)
def test_every_line_learns(head: str, loss: str, miner: str | None) -> None:
    line = make_line(head, loss, miner)
    history = run(line)
    gap = [
        d - s for s, d in zip(history["distance_same"], history["distance_different"], strict=True)
    ]
    assert gap[-1] > 1.2 * gap[0]
    assert not line.training


def test_pairs_train_two_towers() -> None:
    line = make_line("l1", "bce")
    history = run(line, sampler=PairSampler(batch_size=32))
    assert history["loss"][-1] < 0.9 * history["loss"][0]


def test_pairs_need_a_loss_on_pairs() -> None:
    with pytest.raises(InvalidParameterError, match="loss on pairs"):
        run(make_line("cosine", "episodic"), sampler=PairSampler(batch_size=32))


def test_a_loss_on_embeddings_refuses_a_learned_head() -> None:
    with pytest.raises(InvalidParameterError, match="never train head"):
        make_line("l1", "pml:NTXentLoss")


def weights(line: TrainingLine) -> Tensor:
    return torch.cat([p.detach().flatten() for p in line.parameters()])


def test_equal_seeds_give_equal_weights_whatever_the_global_seed() -> None:
    torch.manual_seed(1)
    first = make_line()
    run(first)
    before = torch.get_rng_state()
    torch.manual_seed(2)
    second = make_line()
    run(second)
    assert torch.equal(weights(first), weights(second))
    third = make_line(seed=0)
    run(third, seed=5)
    assert not torch.equal(weights(first), weights(third))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_history_has_a_number_an_epoch() -> None:
    history = run(make_line("sqeuclidean", "triplet", "semihard"), validate=lambda line: 0.5)
    names = {"loss", "seconds", "learning_rate", "validation", "spread", "active"}
    assert names <= set(history)
    assert {len(column) for column in history.values()} == {12}
    assert all(0 <= share <= 1 for share in history["active"])


def test_the_best_validated_weights_are_kept() -> None:
    scores = iter([0.1, 0.9, 0.3, 0.2])
    seen = []

    def validate(line: TrainingLine) -> float:
        assert not line.training
        seen.append(weights(line).clone())
        return next(scores)

    line = make_line()
    run(line, validate=validate, plan={"max_epochs": 4})
    assert torch.equal(weights(line), seen[1])


def test_patience_stops_early() -> None:
    scores = iter([0.5, 0.6, 0.1, 0.1, 0.1, 0.1])
    history = run(make_line(), validate=lambda line: next(scores), plan={"patience": 3})
    assert history.epochs == 5


def test_patience_needs_validation() -> None:
    with pytest.raises(InvalidParameterError, match="patience"):
        run(make_line(), plan={"patience": 3})


@pytest.mark.parametrize("averaging", [None, 0.9])
def test_a_resumed_run_ends_where_an_unbroken_one_does(
    tmp_path: Path, averaging: float | None
) -> None:
    plan = {"max_epochs": 6, "averaging": averaging}
    whole = make_line()
    run(whole, plan=plan)

    def interrupt(line: TrainingLine, history: History) -> None:
        if history.epochs == 4:
            raise KeyboardInterrupt

    broken = make_line()
    with pytest.raises(KeyboardInterrupt):
        run(broken, plan=plan, checkpoint=Checkpoint(tmp_path / "c.pt"), callbacks=[interrupt])
    resumed = make_line(seed=9)
    history = run(resumed, plan=plan, checkpoint=Checkpoint(tmp_path / "c.pt"))
    assert history.epochs == 6
    assert torch.equal(weights(whole), weights(resumed))


def test_a_checkpoint_of_another_seed_or_line_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    run(make_line(), checkpoint=Checkpoint(path, every=5))
    with pytest.raises(SavedModelError, match="differs in random_state"):
        run(make_line(), seed=1, checkpoint=Checkpoint(path))
    with pytest.raises(CheckpointMismatchError, match="head, loss"):
        run(make_line("l1", "bce"), checkpoint=Checkpoint(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SavedModelError, match="cannot be read"):
        run(make_line(), checkpoint=Checkpoint(path))


def test_averaged_weights_are_returned() -> None:
    plain, averaged = make_line(), make_line()
    run(plain)
    run(averaged, plan={"averaging": 0.99})
    assert not torch.equal(weights(plain), weights(averaged))
    assert bool(torch.isfinite(weights(averaged)).all())


class Poisoned(nn.Module):
    """Gives NaN in its second training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(10, 16)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x) * (math.nan if self.calls == 2 else 1.0)


def test_a_loss_that_is_not_finite_warns_and_harms_no_weight() -> None:
    line = make_line()
    line.backbone = Poisoned()
    with pytest.warns(TrainingHealthWarning, match=r"nan.*learning rate"):
        run(line)
    assert bool(torch.isfinite(weights(line)).all())


class Constant(nn.Module):
    """Maps everything to one point, with a weight that nothing moves."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.ones(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.point.expand(len(x), 16)


def test_collapse_warns_and_says_what_to_try() -> None:
    line = make_line("euclidean", "triplet")
    line.backbone = Constant()
    with pytest.warns(TrainingHealthWarning) as caught:
        run(line)
    messages = [str(w.message) for w in caught]
    assert sum("collapsed to one point" in m for m in messages) == 1
    assert sum("sits at the margin" in m for m in messages) == 1
    assert all("Try" in m for m in messages)


def test_healthy_training_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_line("euclidean", "triplet"))


def test_the_augmentation_draws_from_the_seed() -> None:
    def jitter(x: Tensor, generator: torch.Generator) -> Tensor:
        return x + torch.randn(x.shape, generator=generator)

    lines = [make_line(), make_line(), make_line()]
    for line, augment in zip(lines, [jitter, jitter, None], strict=True):
        run(line, augment=augment)
    assert torch.equal(weights(lines[0]), weights(lines[1]))
    assert not torch.equal(weights(lines[0]), weights(lines[2]))


class Frugal(Sampler):
    """Records the epochs it was set to."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def check(self) -> None:
        return

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        self.seen.append(self.epoch)
        yield torch.arange(24)

    def __len__(self) -> int:
        return 1


def test_the_sampler_is_told_its_epoch() -> None:
    sampler = Frugal()
    run(make_line(), sampler=sampler, plan={"max_epochs": 3})
    assert sampler.seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"max_epochs": -1}, "max_epochs"),
        ({"averaging": 1.0}, "averaging"),
        ({"patience": 0}, "patience"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"optimizer": "adan"}, "optimizer"),
        ({"schedule": "cosin"}, "schedule"),
    ],
)
def test_bad_plans_are_named(options: dict[str, object], argument: str) -> None:
    with pytest.raises(InvalidParameterError, match=argument):
        run(make_line(), plan=options)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_optimisers_and_schedules_by_name(optimizer: str, schedule: str) -> None:
    history = run(make_line(), plan={"optimizer": optimizer, "schedule": schedule})
    assert history["loss"][-1] < history["loss"][0]
    assert (history["learning_rate"][-1] < 1e-4) == (schedule != "constant")


def test_devices_and_precisions() -> None:
    cpu = resolve_device("cpu")
    assert cpu.type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(InvalidParameterError, match="device"):
        resolve_device("gpuu")
    assert resolve_precision("auto", cpu, (10,)) is torch.float32
    assert resolve_precision("bfloat16", cpu, (10,)) is torch.bfloat16
    with pytest.raises(InvalidParameterError, match="precision"):
        resolve_precision("float64", cpu, (10,))  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        with pytest.raises(InvalidParameterError, match="machine has none"):
            resolve_device("cuda")
