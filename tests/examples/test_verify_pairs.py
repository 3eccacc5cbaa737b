"""The example of one's own pictures runs on folders and on pairs, and saves what it says."""

import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from _loading import load_module

from siamesekit import SiameseVerifier

pytest.importorskip("matplotlib")
Image: Any = pytest.importorskip("PIL.Image")

FILE = Path(__file__).parents[2] / "examples" / "verify_pairs.py"
PICTURES = ("roc", "det", "scores", "reliability", "training", "explanation")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return load_module(FILE)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve people's signatures: noise about a pattern of their own."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    for k in range(12):
        pattern = rng.integers(0, 256, (14, 12))
        (folder / f"p{k:02}").mkdir()
        for place in range(3):
            pixels = (pattern + rng.normal(0, 20, (14, 12))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"p{k:02}" / f"{place}.png")
    return folder


def run(example: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["verify_pairs.py", *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example.main()


def check(out: Path) -> SiameseVerifier:
    results = json.loads((out / "results.json").read_text())
    assert 0 <= results["eer"]["value"] <= 1
    assert results["n_same"] > 0
    for name in PICTURES:
        assert (out / f"{name}.png").stat().st_size > 1000, name
    return SiameseVerifier.load(out / "model")


def test_folders_are_learned_from_and_a_promise_too_great_is_refused(
    example: ModuleType,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(
        example, monkeypatch, "--root", str(root), "--out", str(tmp_path), "--epochs", "1",
        "--augment", "none", "--invert", "--fmr", "0.001",
    )  # fmt: skip
    told = capsys.readouterr().out
    assert "no promise of a false match rate of 0.1%" in told
    assert "36 pictures of 12 classes, (14, 12) pixels" in told
    assert "EER" in told
    assert check(tmp_path).input_shape_ == (1, 14, 12)


def test_pairs_of_a_table_are_learned_from(
    example: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.png"))
    lines = [
        f"{a},{b},{int(a[:3] == b[:3])}"
        for i, a in enumerate(files)
        for k, b in enumerate(files[i + 1 :])
        if a[:3] == b[:3] or k % 5 == 0
    ]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["a,b,same", *lines]) + "\n")
    run(
        example, monkeypatch, "--pairs", str(table), "--folder", str(root), "--out",
        str(tmp_path), "--epochs", "1", "--augment", "none", "--size", "12",
    )  # fmt: skip
    assert check(tmp_path).input_shape_ == (1, 12, 12)


def test_it_says_what_it_needs(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(example, monkeypatch)
    assert "--root --pairs --demo" in capsys.readouterr().err


def test_the_demonstration_is_written_as_folders_and_read_back(
    example: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from siamesekit.data import ImageSet, load_image_folder

    glyphs = ImageSet(np.zeros((4, 8, 8), np.uint8), np.array(["LATIN A", "LATIN B"] * 2))
    fake = ModuleType("_font_glyphs")
    fake.load_font_glyphs = lambda random_state: glyphs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "_font_glyphs", fake)
    images = load_image_folder(example.write_demo(tmp_path / "demo", 0))
    assert images.y.tolist() == ["LATIN_A", "LATIN_A", "LATIN_B", "LATIN_B"]
    assert "no signatures" in capsys.readouterr().out
