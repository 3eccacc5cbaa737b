import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from _loading import load_module

from siamesekit.data import ImageSet
from siamesekit.errors import DatasetNotFoundError, InvalidParameterError

pytest.importorskip("matplotlib")

font_glyphs = load_module(Path(__file__).parents[2] / "examples" / "_font_glyphs.py")
load_font_glyphs = font_glyphs.load_font_glyphs


@pytest.fixture
def two_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hebrew and the Latin capitals alone, to be quick."""
    scripts = {"Hebrew": (0x05D0, 0x05EB), "Latin": (0x0041, 0x005B)}
    monkeypatch.setattr(font_glyphs, "_SCRIPTS", scripts)


@pytest.fixture(scope="module")
def glyphs() -> ImageSet:
    return load_font_glyphs()


def faces_of(glyphs: ImageSet, script: str) -> dict[str, set[str]]:
    """Return the faces of each character of a script."""
    assert glyphs.groups is not None
    assert glyphs.drawers is not None
    faces: dict[str, set[str]] = {}
    mask = glyphs.groups == script
    for name, face in zip(glyphs.y[mask], glyphs.drawers[mask], strict=True):
        assert face not in faces.setdefault(name, set()), f"{name} twice in {face}"
        faces[name].add(face)
    return faces


def test_there_are_enough_scripts_and_characters_to_learn_from(glyphs: ImageSet) -> None:
    scripts = np.unique(glyphs.groups).tolist()
    assert {"Latin", "Greek", "Cyrillic", "Armenian", "Georgian", "Hebrew", "Arabic"} <= set(
        scripts
    )
    assert len(scripts) == 15
    assert len(np.unique(glyphs.y)) > 1000
    assert glyphs.X.shape == (len(glyphs), 28, 28)
    assert glyphs.X.dtype == np.uint8


def test_all_characters_of_a_script_are_in_the_same_faces(glyphs: ImageSet) -> None:
    for script in np.unique(glyphs.groups):
        faces = faces_of(glyphs, script)
        assert len(faces) >= 20, script
        (alike,) = {frozenset(own) for own in faces.values()}
        assert len(alike) >= 4, script


def test_a_character_lies_in_one_script_and_is_called_by_its_unicode_name(
    glyphs: ImageSet,
) -> None:
    pairs = {(name, script) for name, script in zip(glyphs.y, glyphs.groups, strict=True)}
    assert len(pairs) == len(np.unique(glyphs.y))
    assert all(unicodedata.lookup(name) for name, _ in pairs)


def test_every_image_has_ink_and_mostly_paper(glyphs: ImageSet) -> None:
    assert glyphs.X.max((1, 2)).min() > 60
    assert np.mean(glyphs.X) < 60


def test_no_two_prints_of_a_character_or_of_a_script_are_identical(two_scripts: None) -> None:
    printed, _, _, _ = font_glyphs._printed()
    assert len({glyph.tobytes() for glyph in printed}) == len(printed)


def test_look_alikes_of_a_script_are_left_out(glyphs: ImageSet) -> None:
    latin = set(faces_of(glyphs, "Latin"))
    assert "LATIN CAPITAL LETTER O" in latin
    assert "LATIN SMALL LETTER O" not in latin
    assert "LATIN CAPITAL LETTER A" in latin
    assert "LATIN SMALL LETTER A" in latin


def test_comparing_pixels_is_hard_but_better_than_chance(glyphs: ImageSet) -> None:
    rng = np.random.default_rng(0)
    correct = []
    X = glyphs.X.reshape(len(glyphs), -1).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    for script in np.unique(glyphs.groups):
        own = np.flatnonzero(glyphs.groups == script)
        # Within a script images stand class by class, in one order of faces.
        each = int((glyphs.y[own] == glyphs.y[own[0]]).sum())
        table = own.reshape(-1, each)
        for _ in range(40):
            classes = rng.choice(len(table), 20, replace=False)
            a, b = rng.choice(each, 2, replace=False)
            scores = X[table[classes, a]] @ X[table[classes, b]].T
            correct.append((scores.argmax(1) == np.arange(20)).mean())
    assert 0.2 < np.mean(correct) < 0.4


def test_the_warp_depends_on_the_random_state_alone(two_scripts: None) -> None:
    before = torch.get_rng_state()
    first, again, other = (load_font_glyphs(random_state=seed).X for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2)).all()
    assert torch.equal(before, torch.get_rng_state())


def test_without_distortion_glyphs_are_as_printed(two_scripts: None) -> None:
    a, b = (load_font_glyphs(distortion=0, random_state=seed).X for seed in (0, 1))
    np.testing.assert_array_equal(a, b)
    printed = font_glyphs._printed()[0]
    means = printed.reshape(-1, 28, 3, 28, 3).mean((2, 4))
    assert np.abs(a - means).mean() < 5


@pytest.mark.parametrize("size", [8, 28, 60, 105])
def test_images_have_the_size_asked_for(two_scripts: None, size: int) -> None:
    glyphs = load_font_glyphs(size=size)
    assert glyphs.X.shape[1:] == (size, size)
    assert glyphs.X.mean() == pytest.approx(load_font_glyphs().X.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("params", "name"),
    [({"size": 7}, "size"), ({"distortion": -1.0}, "distortion"), ({"random_state": -1}, "random")],
)
def test_a_bad_argument_is_named(params: dict[str, float], name: str) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        load_font_glyphs(**params)  # type: ignore[arg-type]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DatasetNotFoundError, match=r"siamesekit\[plot\]"):
        load_font_glyphs()


def test_a_matplotlib_without_its_fonts_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match=r"DejaVuSans\.ttf is missing"):
        load_font_glyphs()
