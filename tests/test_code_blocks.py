"""Every block of code in the README and in docs runs, and every link within them leads somewhere.

The blocks of a page run in their order, in one namespace and one temporary folder, which holds
pictures (`_write_pictures`) as a reader's folder would. A comment before a block says what it is
not run for, or which packages it needs; it shows neither on the site nor on GitHub::

    <!-- not run: needs a cluster -->
    <!-- needs: onnxruntime -->

Python runs as it stands; of a shell block each line must be a command ``siamesekit``, and runs in
this process. Blocks that are not run are counted in `NOT_RUN`, page by page.
"""

import importlib.util
import os
import re
import shlex
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from siamesekit import registry
from siamesekit.cli import main

ROOT = Path(__file__).parents[1]
# What Sphinx makes is no source.
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts),
]
NOT_RUN = {
    "README.md": 1,
    "docs/cluster.md": 6,
    "docs/howto/from-deepface.md": 1,
    "docs/howto/many-processes.md": 1,
    "docs/howto/plugin.md": 1,
    "docs/howto/faster.md": 1,
    "docs/howto/reproduce.md": 1,
}
"""Blocks that cannot be run here, by page; each says why."""

SHELLS = ("sh", "bash", "console")
PLAIN = ("text", "toml", "json")
"""What is not run; toml is read."""

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^`\n]*)\n(?P<code>.*?)^ *(?P=ticks) *$",
    re.M | re.S,
)
_MARK = re.compile(r"<!-- (?P<kind>not run|needs): (?P<what>[^>]+?) -->\s*\Z")
# Names of people in the folder of pictures, and how many there are of each.
_PEOPLE, _EACH = ("ann", "bob", "cleo", "dan", "eve", "finn", "gus", "hal"), 4


class Block(NamedTuple):
    """A block of code in a page.

    Attributes
    ----------
    page : str
        Path below the root.
    line : int
        Of the page, on which its code begins.
    language : str
    code : str
    not_run : str or None
        Why it is not run.
    needs : tuple of str
        Modules without which it cannot be.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str | None
    needs: tuple[str, ...]

    def why_not(self) -> str | None:
        """Return why it is not run here; None if it is."""
        lacking = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return self.not_run or (f"needs {', '.join(lacking)}" if lacking else None)

    def run(self, namespace: dict[str, object]) -> None:
        """Run it in a namespace."""
        if self.language == "toml":
            tomllib.loads(self.code)
        elif self.language in SHELLS:
            for words in commands(self.code):
                _run_command(words, f"{self.page}:{self.line}")
        else:
            # Blank lines before it, so that an error names the line of the page.
            lines = "\n" * (self.line - 1) + self.code
            exec(compile(lines, str(ROOT / self.page), "exec"), namespace)


def blocks_of(text: str, page: str) -> list[Block]:
    """Return the blocks of a page."""
    found = []
    for fence in _FENCE.finditer(text):
        marks, before = {}, text[: fence.start()]
        while mark := _MARK.search(before):
            marks[mark["kind"]] = mark["what"]
            before = before[: mark.start()]
        found.append(
            Block(
                page,
                text.count("\n", 0, fence.start("code")) + 1,
                fence["language"].strip(),
                textwrap.dedent(fence["code"]),
                marks.get("not run"),
                tuple(re.findall(r"[\w.]+", marks.get("needs", ""))),
            )
        )
    return found


def commands(code: str) -> list[list[str]]:
    """Return the words of each command of a shell block."""
    lines = code.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line for line in words if line]


def _run_command(words: list[str], where: str) -> None:
    assert words[0] == "siamesekit", f"{where}: {words[0]} is not run; say so before the block"
    try:
        code = main(words[1:])
    except SystemExit as end:  # --help
        code = end.code  # type: ignore[assignment]
    # Where the answer may be no, that is an answer too.
    allowed = (0, 1) if words[1] in ("identify", "verify") else (0,)
    assert code in allowed, f"{where}: `{shlex.join(words)}` ends with {code}"


class Reading:
    """A page as it is run: up to which block, and what that left behind."""

    def __init__(self, page: str, folder: Path) -> None:
        self.folder = folder
        self.module = ModuleType("page")
        self.parts = {kind: dict(parts) for kind, parts in registry._builtins.items()}
        self._blocks = [block for block in CODE if block.page == page]
        self._done = 0
        self._broken: Block | None = None

    def reach(self, block: Block) -> None:
        """Run the blocks up to this one that have not been yet."""
        while self._done <= self._blocks.index(block):
            assert self._broken is None, f"the block of line {self._broken.line} failed before"
            one = self._blocks[self._done]
            self._done += 1
            if one.why_not() is None:
                self._broken = one
                one.run(vars(self.module))
                self._broken = None


TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
# Other pages that readers follow links in.
LINKED = TEXTS | {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for pattern in ("CHANGELOG.md", ".github/*.md", "examples/**/*.md", "siamesekit/**/*.md")
    for page in sorted(ROOT.glob(pattern))
}
BLOCKS = [block for page, text in TEXTS.items() for block in blocks_of(text, page)]
CODE = [block for block in BLOCKS if block.language in ("python", "toml", *SHELLS)]


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    """Every page, in a folder of its own with pictures in it."""
    made = {}
    for page in {block.page for block in CODE}:
        folder = tmp_path_factory.mktemp(page.replace("/", "-").removesuffix(".md"))
        _write_pictures(folder)
        made[page] = Reading(page, folder)
    return made


@pytest.fixture
def reading(
    block: Block, readings: dict[str, Reading], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reading]:
    """The page of a block, with all that it may leave behind in Python kept to itself."""
    own = readings[block.page]
    monkeypatch.chdir(own.folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setitem(sys.modules, "page", own.module)
    monkeypatch.setattr(registry, "_builtins", own.parts)
    return own


@pytest.mark.parametrize("block", CODE, ids=[f"{block.page}:{block.line}" for block in CODE])
def test_a_code_block_runs_as_it_stands(block: Block, reading: Reading) -> None:
    if (reason := block.why_not()) is not None:
        pytest.skip(reason)
    reading.reach(block)


def _write_pictures(folder: Path) -> None:
    """Write what a reader has on disk: a folder for each of eight people, and some strangers."""
    image = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow")
    rng = np.random.default_rng(0)

    def draw(name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 40, (40, 30, 3), dtype=np.uint8)
        turn = sum(map(ord, name)) % 20
        pixels[turn : turn + 20, 5 + turn % 12 : 12 + turn % 12] = (200, 10 * turn, 120)
        image.fromarray(pixels).save(path)

    for name in _PEOPLE:
        for number in range(_EACH):
            draw(name, folder / "pictures" / name / f"{number}.png")
    for name in ("ida", "joe", "kim", "lea", "max", "noa"):
        for number in range(_EACH):
            draw(name, folder / "new" / name / f"{number}.png")
    draw("ann", folder / "who.png")


def test_blocks_that_are_not_run_are_counted() -> None:
    counted = Counter(block.page for block in CODE if block.not_run is not None)
    assert counted == NOT_RUN


def test_most_blocks_run() -> None:
    assert len([block for block in CODE if block.not_run is None]) > len(CODE) / 2


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_names_its_language(page: str) -> None:
    for block in BLOCKS:
        if block.page == page:
            directive = re.fullmatch(r"\{(?!code|literal)[\w-]+\}.*", block.language)
            assert directive or block.language in ("python", *SHELLS, *PLAIN), block
    # A fence that the expression above does not understand would hide a block.
    fences = re.findall(r"^ *`{3,}", TEXTS[page], re.M)
    assert len(fences) == 2 * len([block for block in BLOCKS if block.page == page])


@pytest.mark.parametrize("page", TEXTS)
def test_scripts_are_there_and_know_their_options(page: str) -> None:
    script = r"python3? ((?:examples|benchmarks|docs)/[\w/.-]+\.py)([^`\n|]*)"
    for path, arguments in re.findall(script, TEXTS[page].replace("\\\n", " ")):
        text = (ROOT / path).read_text(encoding="utf-8")
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments):
            assert f'"{option}"' in text, f"{page}: {path} has no {option}"


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page: str) -> None:
    text = _FENCE.sub("", LINKED[page])
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in _anchors(there), f"{page}: {target}"


def _anchors(page: Path) -> set[str]:
    """Return what the headings of a page are called in links, as GitHub and MyST call them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+?) *$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- what is relied on above ------------------------------------------------------------------


def test_marks_and_lines_are_read() -> None:
    text = (
        "# Page\n\n<!-- not run: needs a cluster -->\n```sh\nsrun x\n```\n\n- item\n\n"
        "  <!-- needs: onnx, os -->\n  ```python\n  x = 1\n  ```\n\n```text\n```\n"
    )
    shell, code, plain = blocks_of(text, "page.md")
    assert (shell.language, shell.not_run, shell.line) == ("sh", "needs a cluster", 5)
    assert (code.code, code.needs, code.line) == ("x = 1\n", ("onnx", "os"), 12)
    assert plain.language == "text"
    assert blocks_of("```python\n```\n", "page.md")[0].why_not() is None
    missing = blocks_of("<!-- needs: no_such_module -->\n```python\n```\n", "page.md")[0]
    assert missing.why_not() == "needs no_such_module"


def test_what_is_wrong_in_a_block_is_an_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = blocks_of("\n```python\nx = 1\nraise KeyError(x)\n```\n", "page.md")[0]
    with pytest.raises(KeyError) as found:
        wrong.run({})
    assert found.traceback[-1].lineno + 1 == 4
    for line in ("ls", "siamesekit info nowhere"):
        with pytest.raises(AssertionError):
            blocks_of(f"```sh\n{line}\n```\n", "page.md")[0].run({})
    assert os.listdir(tmp_path) == []


def test_commands_are_read_as_a_shell_does() -> None:
    code = '$ siamesekit parts \\\n  losses  # all of them\n\n# nothing\nsiamesekit parts "a b"\n'
    assert commands(code) == [["siamesekit", "parts", "losses"], ["siamesekit", "parts", "a b"]]
