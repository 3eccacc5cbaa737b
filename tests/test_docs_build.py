"""The pages build without a warning: every reference and link between them leads somewhere."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from _loading import load_module

ROOT = Path(__file__).parents[1]
SPHINX = ("sphinx", "pydata_sphinx_theme", "numpydoc", "myst_parser", "sphinx_design",
          "sphinx_gallery")  # fmt: skip
_MADE = shutil.ignore_patterns("_build", "__pycache__")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in SPHINX), reason="needs the extra `docs`"
)


# A page with mistakes: were they not told of, no other would be either.
BROKEN = """---
orphan: true
---
# Broken

{py:obj}`siamesekit.losses.TripletLos`, {doc}`nowhere`, [nowhere](#nowhere)
"""


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    for name in ("docs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=_MADE)
    for written in ("start", "tutorials"):  # by an earlier `make docs`
        shutil.rmtree(tmp_path / "docs" / written, ignore_errors=True)
    (tmp_path / "docs" / "broken.md").write_text(BROKEN)
    # Everything is read and every reference resolved; no html is written and no tutorial run.
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "dummy", "-D", "plot_gallery=0"]
    done = subprocess.run(
        [*command, str(tmp_path / "docs"), str(tmp_path / "built")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.strip()]
    expected = [line for line in told if "broken.md" in line]
    assert told == expected, "\n".join(line for line in told if line not in expected)
    for mistake in ("TripletLos", "unknown document", "cross-reference target"):
        assert any(mistake in line for line in expected), f"{mistake} passes for right"


def test_a_tutorial_whose_data_are_missing_is_shown_unrun_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = load_module(ROOT / "docs" / "_ext" / "gallery.py")
    scripts = ROOT / "docs" / "scripts" / "tutorials"
    assert {path.stem for path in scripts.glob("*.py")} == set(gallery.TUTORIALS)

    monkeypatch.setenv("SIAMESEKIT_DATA", str(tmp_path))
    assert not re.search(gallery.to_run(), str(scripts / "office_faces.py"))
    assert re.search(gallery.to_run(), str(scripts / "symbols.py"))
    source = ["Faces\n=====\n\nText\n"]
    gallery.say_what_was_not_run(None, "tutorials/office_faces", source)
    assert source[0].index("=====") < source[0].index("att_faces.zip") < source[0].index("Text")
    untouched = ["Symbols\n=======\n"]
    gallery.say_what_was_not_run(None, "tutorials/symbols", untouched)
    assert untouched == ["Symbols\n=======\n"]

    (tmp_path / "orl_faces").mkdir()
    (tmp_path / "orl_faces" / "att_faces.zip").touch()
    assert re.search(gallery.to_run(), str(scripts / "office_faces.py"))
