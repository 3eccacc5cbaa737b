"""What the README says runs as it stands, and each of its promises has a test that holds it."""

import ast
import re
from pathlib import Path

import pytest

from siamesekit import registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
CLAIMS = ROOT / "docs" / "claims.md"


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_code_block_runs_as_it_stands(number: int, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write_pictures(tmp_path / "pictures")
    # What a block registers is gone after it.
    monkeypatch.setattr(registry, "_builtins", {k: dict(v) for k, v in registry._builtins.items()})
    exec(compile(BLOCKS[number], f"README.md block {number}", "exec"), {"__name__": "readme"})


def _write_pictures(folder: Path) -> None:
    """Write what a reader of the README has on disk: a folder a class."""
    for label, level in (("ann", 40), ("bob", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            pixels = b"%d " % level * (40 * 30 * 3)
            (folder / label / f"{number}.ppm").write_bytes(b"P3 40 30 255\n" + pixels)


def test_there_are_code_blocks() -> None:
    assert len(BLOCKS) >= 4


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
