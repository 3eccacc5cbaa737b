"""`examples/faces.py`: its figures on given scores, and that it runs."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from _loading import load_module

pytest.importorskip("matplotlib", reason="the example draws pictures (extra 'plot')")

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example() -> ModuleType:
    return load_module(EXAMPLES / "faces.py")


def test_figures_are_right_where_scores_say_all_and_chance_where_they_say_nothing(
    example: ModuleType,
) -> None:
    who = np.repeat([f"s{k}" for k in range(10)], 10)
    right = torch.from_numpy((who[:, None] == who).astype(np.float32))
    alike = example.Unseen(right, who, 20, 1.0)
    noise = example.Unseen(
        torch.rand(100, 100, generator=torch.Generator().manual_seed(0)), who, 20, 1.0
    )
    everybody = dict.fromkeys(np.unique(who), 1.0)
    assert alike.rates(everybody) == (100.0, 0.0)
    rank_1, eer = noise.rates(everybody)
    assert rank_1 == pytest.approx(10, abs=4)
    assert eer == pytest.approx(50, abs=4)
    row = example.summary("noise", [noise, noise], 50)
    low, high = row["rank_1"]["interval"]
    assert low < rank_1 < high
    assert row["eer"]["splits"] == [eer, eer]


def test_splits_are_of_ten_people_and_seeded(example: ModuleType) -> None:
    y = np.repeat([f"s{k}" for k in range(1, 41)], 10)
    splits = example.split_people(y, 5)
    assert [len(set(people)) for people in splits] == [10] * 5
    assert len({tuple(sorted(people)) for people in splits}) == 5
    assert all(map(np.array_equal, splits, example.split_people(y, 5)))


def test_it_runs_to_its_pictures(
    example: ModuleType, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["faces.py", "--quick", "--root", data_root / "orl_faces", "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    example.main()
    report = json.loads((tmp_path / "results.json").read_text())
    names = [row["name"] for row in report["results"]]
    assert names[0] == "recipe faces"
    assert {"pixels", "pixels, centred"} < set(names)
    assert report["results"][0]["rank_1"]["mean"] > 80
    assert len(list(tmp_path.glob("*.png"))) == 5
