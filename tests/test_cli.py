"""The command: what it prints, and what it ends with."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import siamesekit
from siamesekit.cli import main

Image = pytest.importorskip("PIL.Image", reason="the command reads pictures with Pillow")


def draw(root: Path, names: str, each: int = 4) -> Path:
    """Write pictures of one bar a class, at an angle of its own."""
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for k in range(each):
            picture = rng.integers(0, 40, (12, 12), dtype=np.uint8)
            picture[:, ord(name) % 11 : ord(name) % 11 + 2] = 220
            Image.fromarray(picture).save(root / name / f"{k}.png")
    return root


TRAIN = ["train", "{known}", "--out", "m", "--size", "12", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures to train on and pictures of others, and a classifier and a verifier trained."""
    root = tmp_path_factory.mktemp("cli")
    draw(root / "known", "abcdef")
    draw(root / "new", "ghi")
    for kind in ("classifier", "verifier"):
        more = ["--set", "held_out=null"] if kind == "verifier" else []
        common = ["--size", "12", "--kind", kind, "--quiet", "--set", "max_epochs=1", *more]
        assert main(["train", str(root / "known"), "--out", str(root / kind), *common]) == 0
    return root


def asked(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, object]:
    """Return what a command ends with, and its json."""
    code = main([*map(str, argv), "--json"])

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no json")

    return code, json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_a_model_is_trained_and_says_what_it_is(folder: Path, capsys) -> None:
    code, facts = asked(capsys, "info", folder / "classifier")
    assert code == 0
    assert facts["kind"] == "SiameseClassifier"
    assert facts["input_shape"] == [1, 12, 12]
    assert facts["classes"] == list("abcdef")
    assert facts["epochs"] == 1
    parts = [facts[name] for name in ("backbone", "head", "loss", "reader")]
    assert parts == ["auto", "cosine", "episodic", "ImageReader(size=12)"]


def test_new_classes_are_enrolled_and_identified(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "more"
    code, facts = asked(
        capsys, "enroll", folder / "classifier", folder / "new/g/0.png", "--label", "g",
        "--out", out,
    )  # fmt: skip
    assert (code, facts["classes"]) == (0, list("abcdefg"))
    code, facts = asked(capsys, "enroll", out, folder / "new")
    assert (code, facts["classes"]) == (0, list("abcdefghi"))
    files = folder / "new/g/0.png", folder / "new/h/1.png"
    code, (one, other) = asked(capsys, "identify", out, *files, "-k", 2)
    assert code == 0
    assert [len(one["labels"]), one["unknown"]] == [2, False]
    model = siamesekit.load(out)
    assert other["labels"][0] == model.predict([str(folder / "new/h/1.png")])[0]


def test_training_ends_when_time_is_up_or_nothing_is_gained(folder: Path, capsys) -> None:
    common = ["train", folder / "known", "--size", 12, "--quiet", "--set", "max_epochs=50"]
    short = asked(capsys, *common, "--out", folder / "short", "--time-limit", 1e-9)
    assert short[0] == 0
    assert siamesekit.load(folder / "short").history_.epochs == 1
    # No score is above 1, and few pictures are soon told apart.
    early = asked(
        capsys, *common, "--out", folder / "early", "--early-stopping", 1,
        "--set", "validation=0.4", "--set", 'callbacks=["time-limit"]',
    )  # fmt: skip
    assert early[0] == 0
    model = siamesekit.load(folder / "early")
    scores = model.history_["validation"]
    assert len(scores) < 50
    assert max(scores[:-1]) >= scores[-1]
    assert len(model.callbacks) == 2


def test_no_is_told_by_what_it_ends_with(folder: Path, capsys) -> None:
    pair = folder / "known/a/0.png", folder / "known/a/1.png"
    for model in ("classifier", "verifier"):
        code, facts = asked(capsys, "verify", folder / model, *pair, "--threshold", -1e6)
        assert (code, facts["same"]) == (0, True)
        code, facts = asked(capsys, "verify", folder / model, *pair, "--threshold", 1e6)
        assert (code, facts["same"]) == (1, False)
    assert asked(capsys, "parts", "losses", "no-such-loss") == (1, [])


def test_figures_are_those_of_classes_that_were_not_trained_on(folder: Path, capsys) -> None:
    code, facts = asked(
        capsys, "evaluate", folder / "classifier", folder / "new", "--way", 3, "--episodes", 20
    )
    assert code == 0
    assert 0 <= facts["value"] <= 1
    assert main(["evaluate", str(folder / "classifier"), str(folder / "known")]) == 2
    assert "shares 6 classes with training" in capsys.readouterr().err
    code, facts = asked(capsys, "evaluate", folder / "verifier", folder / "new")
    assert code == 0
    assert set(facts["eer"]) >= {"value"}


@pytest.mark.filterwarnings("ignore:The exported network computes in float32")
def test_what_is_exported_needs_no_torch(folder: Path, tmp_path: Path, capsys) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    code, facts = asked(capsys, "export", folder / "classifier", "--out", tmp_path / "served")
    assert (code, facts["kind"]) == (0, "SiameseClassifier")
    names = {path.name for path in (tmp_path / "served").iterdir()}
    assert {"reader.py", "serving.json", "CARD.md"} <= names
    assert main(["export", str(folder / "classifier"), "--out", str(folder / "known")]) == 2
    assert "known" in capsys.readouterr().err


def test_parts_and_the_machine_are_listed(capsys) -> None:
    code, parts = asked(capsys, "parts", "losses", "triplet")
    assert code == 0
    assert {"kind", "name", "summary", "distribution", "version"} == set(parts[0])
    code, facts = asked(capsys, "info")
    assert facts["siamesekit"] == siamesekit.__version__
    assert main(["parts", "heads"]) == 0
    assert "cosine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["info", "absent"], "absent"),
        (["parts", "hats"], "kind"),
        (["train", "absent", "--out", "m"], "absent"),
        (["train", "{known}", "--out", "{known}"], "--out"),
        (["train", "{known}", "--out", "hf:me/model"], "push_to_hub"),
        ([*TRAIN, "--out", ""], "--out must be a path"),
        (["enroll", "{classifier}", "{known}/a/0.png", "--label", "a", "--out", ""], "--out must"),
        (["export", "{classifier}", "--out", ""], "--out must be a path"),
        (["enroll", "hf:me/model", "a.png", "--label", "a"], "push_to_hub"),
        (["train", "{known}", "--out", "m", "--set", "los=triplet"], "los"),
        (["train", "{known}", "--out", "m", "--set", "loss"], "NAME=VALUE"),
        (["train", "{known}", "--out", "m", "--size", "0"], "size"),
        (["train", "{known}", "--out", "m", "--time-limit", "-1"], "seconds"),
        (["train", "{known}", "--out", "m", "--early-stopping", "2"], "needs a validation"),
        (["identify", "{classifier}", "absent.png"], "absent.png"),
        (["identify", "{verifier}", "absent.png"], "SiameseVerifier"),
        (["identify", "{classifier}", "{known}/a/0.png", "-k", "0"], "k"),
        (["enroll", "{classifier}", "{known}/a/0.png", "{known}/a/1.png"], "--label"),
        (
            ["enroll", "{classifier}", "{known}/a/0.png", "--label", " "],
            "--label must name a class",
        ),
        (["verify", "{classifier}", "{known}/a/0.png", "absent.png"], "absent.png"),
        (["verify", "{classifier}", "a.png", "b.png", "--threshold", "nan"], "--threshold"),
        (["info", "absent"], "absent cannot be loaded: there is nothing"),
        ([*TRAIN, "--set", "random_state=-3"], "random_state must be"),
        ([*TRAIN, "--set", "device=tpu"], "device must be"),
        ([*TRAIN, "--set", "reader=7"], "reader must be"),
        ([*TRAIN, "--set", "callbacks=3"], "callbacks must be a sequence"),
        ([*TRAIN, "--set", "callbacks=3", "--time-limit", "9"], "callbacks must be a sequence"),
        ([*TRAIN, "--set", "callbacks=time-limit", "--time-limit", "9"], "must be a sequence"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_stderr(
    argv: list[str], named: str, folder: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {name: str(folder / name) for name in ("known", "classifier", "verifier")}
    assert main([word.format(**places) for word in argv]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert named in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "argv", [[], ["fly"], ["verify", "m"], ["train", "x"], ["identify", "m", "f", "-k", "x"]]
)
def test_bad_usage_is_one_line_too(argv: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_fault_that_nobody_foresaw_is_not_taken_for_a_no(
    folder: Path, monkeypatch, capsys
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(siamesekit.SiameseClassifier, "identify", fail)
    assert main(["identify", str(folder / "classifier"), "who.png", "--quiet"]) == 2
    assert capsys.readouterr().err == "siamesekit: error: RuntimeError: no memory left\n"


def test_any_parameter_can_be_set_also_one_that_an_option_has(folder: Path, capsys) -> None:
    out = folder / "set"
    code, _ = asked(
        capsys, "train", folder / "known", "--out", out, "--quiet", "--set", "max_epochs=0",
        "--set", "random_state=3", "--set", "reader=image", "--set", "verbose=false",
    )  # fmt: skip
    model = siamesekit.load(out)
    assert (code, model.random_state, model.reader) == (0, 3, "image")


def test_it_is_a_module_as_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "siamesekit", "--version"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == siamesekit.__version__


def test_the_demo_recognises_digits_that_it_was_not_trained_on(capsys) -> None:
    code, facts = asked(capsys, "demo", "--quiet")
    assert code == 0
    assert facts["accuracy_of_8_and_9_among_10"] > 0.3
