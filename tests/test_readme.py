"""Each promise of the README and of docs has a test that holds it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from siamesekit import list_parts, registry

ROOT = Path(__file__).parents[1]
CLAIMS = ROOT / "docs" / "claims.md"


def claims() -> list[tuple[str, str, str]]:
    """Return the rows of docs/claims.md: what is promised, the test file, the test."""
    rows = re.findall(r"^\| (.+?) \| `(tests/\S+?)::(\w+)` \|$", CLAIMS.read_text("utf-8"), re.M)
    assert rows
    return rows


def test_every_row_of_the_claims_names_a_test() -> None:
    table = [line for line in CLAIMS.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(claims()) == len(table) - 2, "a row is not of the form | promise | `file::test` |"


@pytest.mark.parametrize(("promise", "file", "test"), claims(), ids=lambda value: value[:40])
def test_the_test_behind_a_promise_exists(promise: str, file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert test in names, f"{promise}: {file} has no {test}"


@pytest.mark.parametrize("kind", sorted(set(registry.KINDS) - {"readers"}))
def test_the_table_of_parts_names_all_that_are_built_in(kind: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {kind} \| (.+) \|$", readme, re.M)
    named = set(re.findall(r"`([^`]+)`", row))
    own = [part for part in list_parts(kind) if part.origin.startswith("siamesekit ")]
    assert own
    assert {part.name for part in own if ":" not in part.name} <= named


def test_the_figures_of_the_readme_stand_among_the_figures_with_their_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Figures")[2].partition("##")[0]
    shown = re.findall(r"\*\*(\d[^*]+)\*\*( \[[^\]]+\])?", table)
    assert len(shown) >= 7
    figures = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8").replace("**", "")
    for value, interval in shown:
        assert f"{value}{interval}" in figures


def test_the_readme_names_every_extra_of_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    extras = set(project["optional-dependencies"]) - {"test", "docs"}
    assert extras <= set(re.findall(r"`(\w+)`", readme.partition("## Install")[2]))
