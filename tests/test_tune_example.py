"""The search of `examples/tune_koch.py`: its space, its shared study, and what it leaves."""

import importlib
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from siamesekit.backbones import KochNet
from siamesekit.data import ImageSet
from siamesekit.errors import InvalidDataError
from siamesekit.training import TrainingLine

optuna = pytest.importorskip("optuna", reason="the search needs optuna (extra 'tune')")
pytest.importorskip("matplotlib", reason="the search draws a picture (extra 'plot')")

EXAMPLES = Path(__file__).parents[1] / "examples"
TINY = {"side": 23, "filters": 16, "units": 128, "alphabets": 2, "pairs": 32, "epochs": 2}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the example, imported by name, so that the workers that it spawns find it too."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("tune_koch")


@pytest.fixture
def tune(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the example with noise for images: 2 alphabets of 20 characters, 2 drawings each."""
    X = np.random.default_rng(0).integers(0, 256, (80, 23, 23), dtype=np.uint8)
    y = np.repeat(np.arange(40), 2)
    images = ImageSet(X, y, y // 20, np.tile([1, 2], 40))
    monkeypatch.setattr(example, "load_images", lambda options: (images, images))
    return example


@pytest.fixture
def options(tmp_path: Path) -> Namespace:
    return Namespace(
        root=None, out=tmp_path, workers=1, trials=2, random_state=0, device="cpu", **TINY
    )


@pytest.mark.parametrize("side", [23, 35, 38, 105])
def test_kernels_always_fit(tune: ModuleType, side: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        kernels = tuple(tune.choose_kernels(study.ask(), side))
        with torch.device("meta"):
            KochNet((1, 1, 1, 1), kernels, 1).layers((1, side, side))
    assert side >= tune.smallest_side(side)
    assert tune.kernel_range(105) == (3, 20)


def test_the_ranges_are_the_papers(tune: ModuleType) -> None:
    trial = optuna.create_study().ask()
    tune.choose(trial, Namespace(**tune.FULL))
    ranges = {name: (d.low, d.high, d.step) for name, d in trial.distributions.items()}
    for layer in tune.LAYERS:
        assert ranges[f"rate_{layer}"] == (1e-4, 1e-1, None)
        assert trial.distributions[f"rate_{layer}"].log
        assert ranges[f"momentum_{layer}"] == (0, np.nextafter(1, 0), None)
        assert ranges[f"decay_{layer}"] == (0, 0.1, None)
    assert ranges["filters_conv1"] == (16, 256, 16)
    assert ranges["kernel_conv1"] == (3, 20, 1)
    assert ranges["units"] == (128, 4096, 16)
    assert len(ranges) == 3 * 6 + 2 * 4 + 1


def test_a_search_goes_on_where_it_was_stopped(
    tune: ModuleType, options: Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    tune.work(0, 0, options)
    options.trials = 4
    tune.work(0, 2, options)
    study = tune.open_study(options, worker=None)
    tune.check_settings(study, options)
    rates = [trial.params["rate_conv1"] for trial in study.trials]
    assert len(set(rates)) == 4  # a resumed sampler does not repeat its draws
    tune.report(study, options)
    assert (options.out / "search.png").stat().st_size > 1000
    found = json.loads((options.out / "best.json").read_text())
    assert found["complete"] + found["pruned"] == 4
    assert found["validation_accuracy"] == study.best_value
    assert found["recipe"]["rates"][0] == study.best_trial.params["rate_conv1"]
    assert tune.build(found, options).backbone.kernels == found["parts"]["backbone__kernels"]
    program = "\n".join(found["retrain"])
    compile(program, "retrain", "exec")
    assert program in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_two_workers_draw_otherwise(tune: ModuleType, options: Namespace) -> None:
    studies = [tune.open_study(options, worker=(position, 0)) for position in (0, 1)]
    assert studies[0].ask().suggest_float("x", 0, 1) != studies[1].ask().suggest_float("x", 0, 1)


def test_a_study_takes_no_trials_of_other_settings(tune: ModuleType, options: Namespace) -> None:
    study = tune.open_study(options, worker=None)
    tune.check_settings(study, options)
    options.side = 35
    with pytest.raises(SystemExit, match="'side': 23"):
        tune.check_settings(study, options)


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_the_trial_of_a_dead_worker_is_done_again(
    tune: ModuleType, options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "HEARTBEAT", 1)
    monkeypatch.setattr(tune, "SILENCE", 1)
    options.trials = 1
    study = tune.open_study(options, worker=None)
    trial = study.ask()
    study._storage.record_heartbeat(trial._trial_id)
    assert not tune.unfinished(study, 1)
    time.sleep(2.5)  # the database's clock counts whole seconds
    assert tune.unfinished(study, 1)
    assert study.trials[0].state == optuna.trial.TrialState.FAIL
    with pytest.raises(SystemExit, match="no trial is complete"):
        tune.report(study, options)


def test_a_network_that_blows_up_is_pruned(
    tune: ModuleType, options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_finite(line: TrainingLine) -> float:
        raise InvalidDataError("embeddings must be finite")

    monkeypatch.setattr(tune.recipes, "koch_trials", lambda images: not_finite)
    tune.work(0, 0, options)
    states = {trial.state for trial in tune.open_study(options, worker=None).trials}
    assert states == {optuna.trial.TrialState.PRUNED}


def test_the_command_starts_a_worker_and_reports(
    example: ModuleType, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [f"--{name}={value}" for name, value in (TINY | {"epochs": 1}).items()]
    given = [f"--root={data_root / 'omniglot'}", f"--out={tmp_path}", "--trials=1"]
    monkeypatch.setattr(sys, "argv", ["tune_koch.py", *given, *sizes])
    example.main()
    assert json.loads((tmp_path / "best.json").read_text())["complete"] == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--workers", "0"], "--workers must be at least 1; got 0"),
        (["--alphabets", "31"], "--alphabets must be at most 30; got 31"),
        (["--pairs", "1"], "--pairs must be at least 2; got 1"),
        (["--side", "8"], "--side 8 is too small"),
    ],
)
def test_options_that_cannot_work_are_refused_at_the_door(
    example: ModuleType,
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["tune_koch.py", *given])
    with pytest.raises(SystemExit):
        example.parse_options()
    assert said in capsys.readouterr().err
