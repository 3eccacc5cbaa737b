"""`examples/reproduce.py` goes on with its own runs, and refuses to sign another's."""

import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from _digits import digits_like_mnist
from _loading import load_module

from siamesekit import SiameseClassifier
from siamesekit.data import LAKE_ALPHABETS, ImageSet, Omniglot, OneShotRun
from siamesekit.heads import CosineHead

pytest.importorskip("matplotlib", reason="the runs draw pictures (extra 'plot')")

Run = Callable[..., int]


def tiny(
    max_epochs: int = 1, learning_rate: float = 1e-3, random_state: int = 0
) -> SiameseClassifier:
    return SiameseClassifier(
        backbone="mnist-mlp",
        sampler="random",
        max_epochs=max_epochs,
        learning_rate=learning_rate,
        enroll_training=False,
        random_state=random_state,
    )


def drawings(seed: int) -> Omniglot:
    """Two characters to learn from, one that chose, one to be tested on; 20 drawings each."""
    names = ("Angelic/character01", f"{LAKE_ALPHABETS[0]}/character01", "Greek/a", "Greek/b")
    return Omniglot(
        X=np.random.default_rng(seed).integers(0, 2, (4, 20, 105, 105), dtype=np.uint8) * 255,
        alphabets=np.array([name.split("/")[0] for name in names]),
        characters=np.array(names),
        drawers=np.arange(1, 21),
    )


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script with one tiny experiment on noise."""
    module = load_module(Path(__file__).parents[1] / "examples" / "reproduce.py")
    images = drawings(0)
    tests = images.X[1]
    run = OneShotRun(LAKE_ALPHABETS[0], tests[:2], tests[2:4], np.array([0, 1]))
    monkeypatch.setattr(module, "load_omniglot", lambda root, split: images)
    monkeypatch.setattr(module, "load_omniglot_runs", lambda root: [run])

    def greek(options: object) -> ImageSet:
        flat = images.flat()
        return flat.subset(flat.groups == "Greek")

    experiment = module.Experiment(tiny, greek, "noise", 8, (module.lake,))
    monkeypatch.setattr(module, "EXPERIMENTS", {"tiny": experiment})
    return module


@pytest.fixture
def run(example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    def call(*arguments: str) -> int:
        argv = ["reproduce.py", "tiny", "--out", str(tmp_path), *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        code: int = example.main()
        return code

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_finished_run_is_not_done_again_and_more_seeds_are_added(
    run: Run, example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run() == 0
    first = contents(tmp_path / "tiny" / "seed0")
    assert run("--seeds", "2") == 0
    assert contents(tmp_path / "tiny" / "seed0") == first
    monkeypatch.setattr(example, "fit", None)
    assert run("--seeds", "2") == 0


def test_a_report_carries_its_facts(run: Run, tmp_path: Path) -> None:
    assert run() == 0
    summary = json.loads((tmp_path / "tiny" / "results.json").read_text())
    (report,) = summary["runs"]
    assert summary["command"].endswith("tiny --root DIR --seeds 1")
    assert report["trained_classes"] == ["Greek/a", "Greek/b"]
    assert report["chosen_classes"] == ["Angelic/character01"]
    record = report["record"]
    assert record["recipe"]["name"] == "tiny"
    assert record["recipe"]["parameters"]["learning_rate"] == 1e-3
    assert set(record) == {"command", "recipe", "data", "commit", "code"}
    (result,) = report["results"]
    assert result["tested_classes"] == [f"{LAKE_ALPHABETS[0]}/character01"]
    assert "none of the 2 trained on or of the 1 chosen on" in result["protocol"]
    assert result["environment"]["affinity"]


@pytest.mark.parametrize("change", ["epochs", "device", "recipe", "data", "commit", "code"])
def test_another_run_is_refused_and_nothing_is_changed(
    run: Run,
    example: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    assert run() == 0
    before = contents(tmp_path)
    arguments = {"epochs": ("--epochs", "2"), "device": ("--device", "cpu")}.get(change, ())
    if change == "recipe":
        experiment = example.EXPERIMENTS["tiny"]
        other = example.replace(experiment, arguments={"learning_rate": 0.5})
        monkeypatch.setitem(example.EXPERIMENTS, "tiny", other)
    if change == "data":
        others = drawings(1)
        monkeypatch.setattr(example, "load_omniglot", lambda root, split: others)
    if change == "commit":
        monkeypatch.setattr(example, "commit", lambda: "0" * 40)
    if change == "code":
        monkeypatch.setattr(example, "digest_of_code", lambda: "another")
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert "seed0 is of another run" in said
    assert change in said
    assert contents(tmp_path) == before


def test_results_of_another_folder_are_not_signed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--seeds", "2") == 0
    seeds = [tmp_path / "tiny" / f"seed{seed}" / "results.json" for seed in range(2)]
    shutil.copy(seeds[0], seeds[1])
    assert run("--seeds", "2") == 2
    assert "seed1/results.json is not of the run" in capsys.readouterr().err
    (tmp_path / "tiny" / "seed2").mkdir()
    (tmp_path / "tiny" / "seed2" / "results.json").write_text("{}")
    assert run("--seeds", "3") == 2
    assert "no run.json" in capsys.readouterr().err


@pytest.mark.parametrize("seen", ["trained on", "chosen by"])
def test_a_class_that_was_seen_is_an_error(
    run: Run,
    example: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seen: str,
) -> None:
    change = {
        "trained on": {"training": lambda options: drawings(0).flat()},
        "chosen by": {"chosen_on": LAKE_ALPHABETS},
    }[seen]
    other = example.replace(example.EXPERIMENTS["tiny"], **change)
    monkeypatch.setitem(example.EXPERIMENTS, "tiny", other)
    assert run() == 2
    assert "test split shares 1 characters" in capsys.readouterr().err


@pytest.mark.parametrize("epochs", ["0", "-1", "1.5", "ten", ""])
def test_epochs_are_counted(run: Run, epochs: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--epochs", epochs)
    assert caught.value.code == 2


class Pixels:
    """Stands for a trained model: embeds images as their pixels, counts how often it is asked."""

    head_ = CosineHead()
    asked = 0

    def transform(self, X: np.ndarray) -> np.ndarray:
        self.asked += 1
        return X.reshape(len(X), -1).astype(np.float32)


def test_digits_are_embedded_once_in_each_way_and_scored_by_shots(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = digits_like_mnist()
    monkeypatch.setattr(example, "load_mnist", lambda root, split: digits)
    monkeypatch.setattr(example, "N_DIGITS", 300)
    monkeypatch.setattr(example, "N_EPISODES", 20)
    model, none = Pixels(), np.array([])
    trained = example.Trained(model, 16, Namespace(mnist_root=Path("mnist")), 0, none, none)
    results = {
        result.name.rpartition("MNIST 10-way ")[2]: result.value
        for result in example.mnist_any_pen(trained)
    }
    assert model.asked == 3
    assert list(results) == [
        "one-shot, no fine-tuning",
        "one-shot, no fine-tuning, redrawn with a thin pen",
        "one-shot, no fine-tuning, cut out by DrawingReader",
        "five-shot, no fine-tuning, cut out by DrawingReader",
    ]
    one, five = list(results.values())[2:]
    assert 0.3 < one < five
    trained.options.mnist_root = None
    assert example.mnist_any_pen(trained) == []
