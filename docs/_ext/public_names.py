"""Pages of the reference: one for each public module and one for each name in its ``__all__``.

They are written into ``docs/reference/MODULE/`` when a build begins, so a new name has a page and
one that is gone has none. A page begins with the version that brought the name, which
``docs/versions.toml`` knows. References to names are resolved however they are spelt, by a bare
name, through a folder or through ``siamesekit``.
"""

import importlib
import inspect
import pkgutil
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer

import siamesekit

TOP = "siamesekit"
VERSIONS = Path(__file__).parents[1] / "versions.toml"
# In the order of the design: embed, compare, choose, charge; then what uses them.
MODULES = (
    "estimators", "gallery", "backbones", "heads", "miners", "losses", "samplers", "data",
    "training", "evaluation", "plots", "recipes", "catalogue", "registry", "testing",
    "experiments", "environment", "errors", "cli",
)  # fmt: skip
_MEMBERS = (FunctionType, classmethod, staticmethod, property, cached_property)


class PublicName(NamedTuple):
    """A name and the module that it is documented in: the shortest that it is imported from."""

    module: str
    name: str
    value: Any

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


def public_modules() -> list[ModuleType]:
    """Return `siamesekit` and its public modules, and say so if this file's list is not theirs."""
    shown = {name for name in dir(siamesekit) if name not in siamesekit.__all__}
    if shown != set(MODULES):
        raise ValueError(f"MODULES and the public modules differ: {sorted(shown ^ set(MODULES))}")
    return [siamesekit, *(importlib.import_module(f"{TOP}.{name}") for name in MODULES)]


@cache
def public_names() -> list[PublicName]:
    """Return every public name once, under the first module that has it."""
    found: dict[int | str, PublicName] = {}
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            own = inspect.isclass(value) or inspect.isroutine(value)
            key = id(value) if own else f"{module.__name__}.{name}"
            found.setdefault(key, PublicName(module.__name__, name, value))
    return list(found.values())


@cache
def versions() -> dict[str, str]:
    """Return the version that each public name came with, by its full name."""
    table = tomllib.loads(VERSIONS.read_text(encoding="utf-8"))
    return {
        f"{TOP}.{name}" if module == TOP else f"{TOP}.{module}.{name}": version
        for version, modules in table.items()
        for module, names in modules.items()
        for name in names
    }


def write_pages(app: Sphinx) -> None:
    """Write the pages anew; what did not change keeps its time, so that it is not read again."""
    folder = Path(app.srcdir) / "reference"
    pages = dict(_pages())
    for old in folder.glob("*/*.rst"):
        if str(old.relative_to(folder)) not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for empty in folder.iterdir():
        if empty.is_dir() and not any(empty.iterdir()):
            shutil.rmtree(empty)


def _pages() -> Iterator[tuple[str, str]]:
    names = public_names()
    homes = {id(name.value): name for name in names}
    classes = {name.value for name in names if inspect.isclass(name.value)}
    for module in public_modules():
        short = module.__name__.rpartition(".")[2]
        own = [name for name in names if name.module == module.__name__]
        elsewhere = [
            homes[id(value)]
            for value in (getattr(module, name) for name in module.__all__)
            if id(value) in homes and homes[id(value)].module != module.__name__
        ]
        yield f"{short}/index.rst", _page_of_module(module, own, elsewhere)
        for name in own:
            yield f"{short}/{name.name}.rst", _page_of_name(name, classes)


def _page_of_module(module: ModuleType, own: list[PublicName], other: list[PublicName]) -> str:
    title = module.__name__
    lines = [title, "=" * len(title), "", f".. automodule:: {title}", "   :no-members:", ""]
    for heading, names in (("", own), ("Also imported from here", other)):
        if names:
            lines += [f".. rubric:: {heading}", ""] if heading else []
            lines += [".. list-table::", "   :class: names", "   :widths: 30 70", ""]
            for name in names:
                lines += [f"   * - :py:obj:`~{name.full}`", f"     - {_summary(name.value)}"]
            lines += [""]
    if own:
        lines += [".. toctree::", "   :hidden:", "", *(f"   {name.name}" for name in own), ""]
    return "\n".join(lines)


def _page_of_name(name: PublicName, classes: set[type]) -> str:
    lines = [name.name, "=" * len(name.name), "", f".. versionadded:: {versions()[name.full]}", ""]
    lines += [f".. currentmodule:: {name.module}", ""]
    if inspect.isclass(name.value):
        kind = "autoexception" if issubclass(name.value, BaseException) else "autoclass"
        lines += [f".. {kind}:: {name.name}"]
        # That something is an `object` need not be said.
        lines += ["   :show-inheritance:", ""] if _public_bases(name.value, classes) else [""]
        for member in documented_members(name.value, classes):
            lines += [f"   .. {_directive(name.value, member)}:: {member}", ""]
    elif inspect.isroutine(name.value):
        lines += [f".. autofunction:: {name.name}", ""]
    else:
        lines += [f".. py:data:: {name.name}", "", *_about_constant(name), ""]
    return "\n".join(lines)


def _summary(value: Any) -> str:
    own = inspect.isclass(value) or inspect.isroutine(value)
    text = (inspect.getdoc(value) or "").partition("\n\n")[0] if own else ""
    # The references of a summary stand on its own page.
    return re.sub(r" \[\d+\]_", "", " ".join(text.split()))


def documented_members(cls: type, classes: set[type]) -> list[str]:
    """Return a class's public methods and properties that have a docstring.

    Of its own and of ancestors without a page; what a public ancestor has stands on its page.
    """
    elsewhere = {base for one in classes & set(cls.__mro__[1:]) for base in one.__mro__}
    found: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == TOP and base not in elsewhere:
            for name, value in vars(base).items():
                if not name.startswith("_") and isinstance(value, _MEMBERS):
                    found[name] = None
    return [name for name in found if inspect.getdoc(getattr(cls, name))]


def _directive(cls: type, member: str) -> str:
    value = inspect.getattr_static(cls, member)
    return "autoproperty" if isinstance(value, property | cached_property) else "automethod"


def _about_constant(name: PublicName) -> list[str]:
    """Return what stands below a constant in the module that sets it."""
    modules = [name.module, *sorted(m for m in _loaded() if m.startswith(name.module + "."))]
    for module in modules:
        found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name.name))
        if found:
            return [f"   {line}" for line in found]
    return [f"   A {type(name.value).__name__}."]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.startswith(TOP)]


class Spellings:
    """Full names by every way to write them."""

    def __init__(self) -> None:
        self._full: dict[str, str] = {}
        self._bare: dict[str, set[str]] = {}
        for name in public_names():
            self._bare.setdefault(name.name, set()).add(name.full)
            for module in _loaded():
                if getattr(sys.modules[module], name.name, None) is name.value:
                    self._full[f"{module}.{name.name}"] = name.full
        homes = {id(name.value): name.full for name in public_names()}
        for module in public_modules():
            for name in module.__all__:
                value = getattr(module, name)
                self._full[f"{module.__name__}.{name}"] = homes.get(
                    id(value), f"{module.__name__}.{name}"
                )

    def full(self, target: str, module: str | None) -> str | None:
        """Return the full name of a target, a class's member too; None where it is not ours."""
        for head, tail in _heads(target):
            bare = self._bare.get(head, set())
            near = f"{module}.{head}"
            if head in self._full:
                return self._full[head] + tail
            if near in self._full:
                return self._full[near] + tail
            if len(bare) == 1:
                return next(iter(bare)) + tail
        return None


def _heads(target: str) -> Iterator[tuple[str, str]]:
    parts = target.split(".")
    for n in range(len(parts), 0, -1):
        tail = "".join(f".{part}" for part in parts[n:])
        yield ".".join(parts[:n]), tail


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.Node | None:
    """Link a public name; leave an argument, or a name of another package, as it is written."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    full = app.siamesekit_spellings.full(target, node.get("py:module"))  # type: ignore[attr-defined]
    if full is not None:
        found = env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, "obj", full, node, contnode
        )
        if found is not None:
            return found
    # What is ours and has no page must at least be there: the modules inside a folder are.
    ours = target.startswith(f"{TOP}.") or (full is not None and "." in target)
    return None if ours and not _is_importable(target) else contnode


def _is_importable(target: str) -> bool:
    try:
        pkgutil.resolve_name(target)
    except (AttributeError, ImportError, ValueError):
        return False
    return not any(part.startswith("_") for part in target.split("."))


def show_public_bases(
    app: Sphinx, name: str, cls: type, options: object, bases: list[type | str]
) -> None:
    """Put the nearest public ancestors in the place of bases that are not public."""
    classes = {name.value for name in public_names() if inspect.isclass(name.value)}
    bases[:] = _public_bases(cls, classes)


def _public_bases(cls: type, classes: set[type]) -> list[type]:
    found: dict[type, None] = {}
    waiting = list(cls.__bases__)
    while waiting:
        base = waiting.pop(0)
        if base in classes or (base.__module__.partition(".")[0] != TOP and base is not object):
            found[base] = None
        elif base is not object:
            waiting[:0] = base.__bases__
    return list(found)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to a build."""
    app.siamesekit_spellings = Spellings()  # type: ignore[attr-defined]
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("builder-inited", write_pages)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
