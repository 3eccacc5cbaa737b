import json
from pathlib import Path

import numpy as np
import pytest

from siamesekit import SiameseClassifier, recipes
from siamesekit.errors import InvalidParameterError, RunMismatchError, SavedModelError
from siamesekit.experiments import claim_folder, read_json, recorded_parameters, write_json

RECORD = {"command": {"name": "a", "epochs": None}, "data": "digest", "recipe": {"rate": 1e-3}}


def test_a_run_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new", RECORD)
    (tmp_path / "new" / "weights").write_bytes(b"1")
    claim_folder(str(tmp_path / "new"), dict(reversed(RECORD.items())))


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    claim_folder(tmp_path, RECORD)
    other = {"command": {"name": "a", "epochs": 3}, "data": "other", "recipe": {"rate": 1e-3}}
    with pytest.raises(
        RunMismatchError,
        match=r"command\.epochs is None there, 3 here; data is 'digest' there, 'other' here\. Give",
    ):
        claim_folder(tmp_path, other)
    with pytest.raises(RunMismatchError, match=r"recipe\.new is 'absent' there, 5 here"):
        claim_folder(tmp_path, RECORD | {"recipe": {"rate": 1e-3, "new": 5}})
    assert read_json(tmp_path / "run.json") == RECORD


def test_a_folder_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(RunMismatchError, match=r"holds results\.json but no run\.json"):
        claim_folder(tmp_path, RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a": 1}{']
)
def test_a_damaged_record_is_named(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "run.json").write_bytes(damaged)
    with pytest.raises(SavedModelError, match=r"run\.json"):
        claim_folder(tmp_path, RECORD)


@pytest.mark.parametrize("folder", [5, "", b"x", None])
def test_a_folder_is_a_path(folder: object) -> None:
    with pytest.raises(InvalidParameterError, match="folder must be a path"):
        claim_folder(folder, RECORD)  # type: ignore[arg-type]


def test_json_is_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"history": [np.float32(0.5), float("nan")], "path": tmp_path})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["history"] == [
        0.5,
        "nan",
    ]


def test_parameters_are_recorded_by_value() -> None:
    first, second = (recorded_parameters(recipes.koch2015(n_pairs=n)) for n in (256, 256))
    assert first == second
    assert json.loads(json.dumps(first)) == first
    other = recorded_parameters(recipes.koch2015(n_pairs=512, rates=0.1))
    differ = {name for name in first if first[name] != other[name]}
    assert differ == {"optimizer", "sampler__n_pairs", "schedule"}
    assert recorded_parameters(SiameseClassifier())["learning_rate"] == 3e-3
