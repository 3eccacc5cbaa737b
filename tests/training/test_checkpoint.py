"""A checkpoint belongs to one run, and training goes on from it as if it had never stopped."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import Tensor, nn
from torch.optim import lr_scheduler

from siamesekit import SiameseClassifier
from siamesekit.errors import CheckpointMismatchError, InvalidParameterError, SavedModelError
from siamesekit.samplers import BalancedSampler
from siamesekit.training import Checkpoint, History, TrainingLine, checkpoint
from siamesekit.training.fingerprint import digest
from siamesekit.training.packing import pack, unpack

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]


def weights(line: TrainingLine) -> Tensor:
    return torch.cat([p.detach().flatten() for p in line.parameters()])


class StoppedError(Exception):
    """Ends training from within."""


def stop_after(epochs: int) -> Callable[[TrainingLine, History], None]:
    def stop(line: TrainingLine, history: History) -> None:
        if history.epochs == epochs:
            raise StoppedError

    return stop


def plateau(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.ReduceLROnPlateau:
    return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)


def warm(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.SequentialLR:
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3),
        lr_scheduler.CosineAnnealingLR(optimizer, steps),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, [3])


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.OneCycleLR:
    return lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps + 1)


SCHEDULES: dict[str, Any] = {
    "constant": "constant",
    "cosine": "cosine",
    "one-cycle": "one-cycle",
    "plateau": plateau,
    "warm": warm,
    "torch's one-cycle": one_cycle,
    "class": lr_scheduler.CosineAnnealingLR,
}


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_broken_run_ends_where_an_unbroken_one_does_and_goes_on_with_more_epochs(
    make: Make, fit: Fit, tmp_path: Path, schedule: Any
) -> None:
    plan = {"max_epochs": 5, "schedule": schedule, "averaging": 0.9}
    whole = make()
    unbroken = fit(whole, **plan)
    file = Checkpoint(tmp_path / "run.ckpt", every=2)
    with pytest.raises(StoppedError):
        fit(make(), checkpoint=file, callbacks=[stop_after(4)], **plan)
    resumed = make()
    history = fit(resumed, checkpoint=file, **plan)
    assert torch.equal(weights(whole), weights(resumed))
    assert history["loss"] == unbroken["loss"]
    assert history["learning_rate"] == unbroken["learning_rate"]
    longer = fit(make(), checkpoint=file, **{**plan, "max_epochs": 8})
    assert longer["loss"][:5] == unbroken["loss"]
    # What is to come has the rates of a run of the new length.
    new = fit(make(), **{**plan, "max_epochs": 8})
    if schedule is not plateau:
        assert longer["learning_rate"][5:] == new["learning_rate"][5:]


@pytest.mark.parametrize(
    "optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop, torch.optim.SGD]
)
def test_every_optimiser_goes_on(make: Make, fit: Fit, tmp_path: Path, optimizer: Any) -> None:
    whole, resumed = make(), make()
    fit(whole, optimizer=optimizer)
    file = Checkpoint(tmp_path / "run.ckpt")
    with pytest.raises(StoppedError):
        fit(make(), optimizer=optimizer, checkpoint=file, callbacks=[stop_after(2)])
    fit(resumed, optimizer=optimizer, checkpoint=file)
    assert torch.equal(weights(whole), weights(resumed))


def make_optimizer(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda line: torch.optim.SGD(line.parameters(), lr=rate)


def validation(value: float) -> Callable[[TrainingLine], float]:
    return lambda line: value


OTHERS: dict[str, dict[str, Any]] = {
    "data": {"items": torch.zeros(48, 6)},
    "learning_rate": {"learning_rate": 1e-3},
    "weight_decay": {"weight_decay": 0.1},
    "optimizer": {"optimizer": "sgd"},
    "schedule": {"schedule": "constant"},
    "averaging": {"averaging": 0.5},
    "validation": {"validate": validation(0.5)},
    "random_state": {"seed": 1},
    "augment": {"augment": lambda x, generator: x + 1},
    "sampler": {"sampler": BalancedSampler(4, 4)},
}


@pytest.mark.parametrize("aspect", OTHERS)
def test_another_run_is_refused_by_what_differs(
    make: Make, fit: Fit, tmp_path: Path, aspect: str
) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file, max_epochs=1)
    before = file.path.read_bytes()
    with pytest.raises(CheckpointMismatchError, match=rf"run.ckpt.*differs in {aspect}\."):
        fit(make(), checkpoint=file, max_epochs=1, **OTHERS[aspect])
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("aspect", "parts"),
    [
        ("head", {"head": "euclidean"}),
        ("loss", {"head": "cosine", "loss": "batch-all"}),
        ("miner", {"miner": "semihard", "loss": "triplet"}),
        ("backbone", {"backbone": nn.Sequential(nn.Linear(6, 8), nn.Tanh())}),
    ],
)
def test_other_parts_are_refused(
    make: Make, fit: Fit, tmp_path: Path, aspect: str, parts: dict[str, Any]
) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file, max_epochs=1)
    with pytest.raises(CheckpointMismatchError, match=rf"differs in .*{aspect}"):
        fit(make(**parts), checkpoint=file, max_epochs=1)


def test_functions_are_told_apart_by_what_they_enclose(
    make: Make, fit: Fit, tmp_path: Path
) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file, optimizer=make_optimizer(0.1), max_epochs=1)
    fit(make(), checkpoint=file, optimizer=make_optimizer(0.1), max_epochs=2)
    with pytest.raises(CheckpointMismatchError, match="differs in optimizer"):
        fit(make(), checkpoint=file, optimizer=make_optimizer(0.2), max_epochs=2)


def test_fewer_epochs_than_are_trained_are_refused(make: Make, fit: Fit, tmp_path: Path) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file, max_epochs=3)
    with pytest.raises(CheckpointMismatchError, match=r"max_epochs .3 are trained, 2 asked for"):
        fit(make(), checkpoint=file, max_epochs=2)


def test_digests_tell_types_shapes_and_contents_apart() -> None:
    values = [
        0, 0.5, "0", None, True, (), [1, 2], [[1], 2], {"a": 1}, b"0", np.zeros(2), np.ones((1, 2)),
        torch.zeros(2), torch.zeros(2, dtype=torch.int64), np.array(["a"], dtype=object), nn.ReLU(),
        nn.Linear(1, 1), make_optimizer(0.1), make_optimizer(0.2), float, torch.float32, {1, 2},
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)
    assert digest(np.float64(0.5)) == digest(0.5)
    assert digest(make_optimizer(0.1)) == digest(make_optimizer(0.1))
    cycle: list[Any] = []
    cycle.append(cycle)
    assert digest(cycle) == digest(cycle)


X, Y = make_blobs(90, 6, centers=3, cluster_std=4.0, random_state=0)


def estimator(**params: Any) -> SiameseClassifier:
    return SiameseClassifier(
        **{"max_epochs": 2, "random_state": 0, "device": "cpu", "augment": None, **params}
    )


def test_a_folder_serves_cross_validation_and_searches(tmp_path: Path) -> None:
    kept = estimator(checkpoint=tmp_path / "runs")
    plain = cross_val_score(estimator(), X, Y, cv=3)
    for _ in range(2):  # trained, then read
        np.testing.assert_array_equal(cross_val_score(kept, X, Y, cv=3), plain)
    assert len(list((tmp_path / "runs").iterdir())) == 3
    grid = {"learning_rate": [1e-6, 1e-2], "max_epochs": [1, 3]}
    found = [
        GridSearchCV(model, grid, cv=2).fit(X, Y).cv_results_["mean_test_score"]
        for model in (estimator(), kept)
    ]
    np.testing.assert_array_equal(*found)


def test_labels_and_groups_and_start_weights_count(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    network = nn.Linear(6, 4)
    estimator(backbone=network, checkpoint=path).fit(X, Y)
    with pytest.raises(CheckpointMismatchError, match=r"differs in labels\."):
        estimator(backbone=network, checkpoint=path).fit(X, np.roll(Y, 1))
    with pytest.raises(CheckpointMismatchError, match=r"differs in groups\."):
        estimator(backbone=network, checkpoint=path).fit(X, Y, groups=Y // 2)
    with pytest.raises(CheckpointMismatchError, match=r"differs in weights\."):
        estimator(backbone=nn.Linear(6, 4), checkpoint=path).fit(X, Y)


def test_numpy_numbers_survive(make: Make, fit: Fit, tmp_path: Path) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    options: dict[str, Any] = {
        "learning_rate": np.logspace(-2, -1, 2)[0], "validate": lambda line: np.float32(0.5),
        "averaging": np.float64(0.9), "patience": np.int64(5), "checkpoint": file,
    }  # fmt: skip
    fit(make(), **options)
    assert fit(make(), **{**options, "max_epochs": np.int64(4)}).epochs == 4


def test_a_file_that_was_tampered_with_is_refused_by_name(
    make: Make, fit: Fit, tmp_path: Path
) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file)
    good = file.path.read_bytes()
    spoiled = [good[:7], good[: len(good) // 2], good[:-1], b"", b"\xff" * 64, good + b"0"]
    spoiled += [
        good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        for place in range(0, len(good), max(1, len(good) // 40))
    ]
    for content in spoiled:
        file.path.write_bytes(content)
        with pytest.raises(SavedModelError, match=r"run\.ckpt"):
            fit(make(), checkpoint=file)


def test_moments_of_other_sizes_never_reach_a_fused_optimiser(
    make: Make, fit: Fit, tmp_path: Path
) -> None:
    """Even with a right checksum."""
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file)
    good = file.path.read_bytes()

    def spoil(state: dict[str, Any], kind: int) -> None:
        moments = state["optimizer"]["state"][0]
        if kind == 0:
            moments["exp_avg"] = torch.zeros(1)
        elif kind == 1:
            moments["exp_avg_sq"] = moments["exp_avg_sq"].to(torch.int64)
        elif kind == 2:
            del moments["exp_avg"]
        elif kind == 3:
            moments["step"] = torch.zeros(5)
        elif kind == 4:
            state["optimizer"]["state"][99] = dict(moments)
        elif kind == 5:
            state["optimizer"]["param_groups"][0]["params"] = [0]
        elif kind == 6:
            state["line"].pop(next(iter(state["line"])))
        elif kind == 7:
            state["optimizer"] = 5
        elif kind == 8:
            state["history"]["loss"] = "x"
        elif kind == 9:
            del state["history"]["loss"][0]
        else:
            state["steps"] = ["many", 10**18, -1, None][kind - 10]

    for kind in range(14):
        tree = unpack(good)
        spoil(tree["state"], kind)
        file.path.write_bytes(pack(tree, "test"))
        line = make()
        before = weights(line)
        with pytest.raises(SavedModelError, match=r"run\.ckpt"):
            fit(line, checkpoint=file)
        assert torch.equal(weights(line), before)


def test_the_description_is_strict_json(make: Make, fit: Fit, tmp_path: Path) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file)
    content = file.path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(header["__metadata__"]["tree"], parse_constant=refuse)
    values = {"n": float("nan"), 3: (1.5, [float("inf"), b"a"]), "t": torch.arange(3)}
    back = unpack(pack(values, "test"))
    assert np.isnan(back["n"])
    assert back[3] == (1.5, [float("inf"), b"a"])
    assert torch.equal(back["t"], torch.arange(3))
    with pytest.raises(InvalidParameterError, match="object"):
        pack({"x": object()}, "test")


@pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
def test_the_file_honours_the_umask_and_follows_no_planted_link(
    make: Make, fit: Fit, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("untouched")
    for name in ("run.ckpt.partial", ".run.ckpt.partial"):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "real.ckpt").touch()
    (tmp_path / "real.ckpt").unlink()
    (tmp_path / "run.ckpt").symlink_to(tmp_path / "real.ckpt")
    old = os.umask(0o077)
    try:
        fit(make(), checkpoint=Checkpoint(tmp_path / "run.ckpt"))
    finally:
        os.umask(old)
    assert target.read_text() == "untouched"
    assert (tmp_path / "run.ckpt").is_symlink()
    assert stat.S_IMODE((tmp_path / "real.ckpt").stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 5


def test_a_full_disk_leaves_the_old_file(
    make: Make, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file)
    before = file.path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(SavedModelError, match=r"run.ckpt cannot be written.*No space"):
        fit(make(), checkpoint=file, max_epochs=5)
    assert file.path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.ckpt"]


@pytest.mark.parametrize("path", [5, [], b"", True, None, "", "a\0b"])
def test_paths_are_checked_at_once(path: object) -> None:
    with pytest.raises(InvalidParameterError, match="checkpoint"):
        Checkpoint(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("every", [0, "3", 1.5, None])
def test_every_is_checked_at_once(every: object) -> None:
    with pytest.raises(InvalidParameterError, match="every"):
        Checkpoint("run.ckpt", every)  # type: ignore[arg-type]


class WithExtra(nn.Module):
    """Tied weights, and state beside tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight
        self.out = nn.Linear(6, 8)
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        out: Tensor = self.out(self.second(torch.relu(self.first(x))))
        return out

    def get_extra_state(self) -> dict[str, Any]:
        return {"seen": self.seen, "note": ("a", None)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


@pytest.mark.parametrize("averaging", [None, 0.9])
def test_tied_weights_and_extra_state_go_on(
    make: Make, fit: Fit, tmp_path: Path, averaging: float | None
) -> None:
    plan = {"averaging": averaging, "validate": validation(0.5)}
    whole, resumed = make(WithExtra), make(WithExtra)
    fit(whole, **plan)
    file = Checkpoint(tmp_path / "run.ckpt")
    with pytest.raises(StoppedError):
        fit(make(WithExtra), checkpoint=file, callbacks=[stop_after(2)], **plan)
    fit(resumed, checkpoint=file, **plan)
    assert torch.equal(weights(whole), weights(resumed))
    assert resumed.backbone.seen == whole.backbone.seen > 0
    assert resumed.backbone.first.weight is resumed.backbone.second.weight
