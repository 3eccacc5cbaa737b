"""Writes docs/zoo.md, the table of all parts that can be named, from the registry.

Run it where the extra ``zoo`` is installed: ``python docs/build_zoo.py``.
"""

import inspect
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from siamesekit import registry
from siamesekit._params import Part
from siamesekit.losses import pml as pml_losses
from siamesekit.miners import pml as pml_miners

PAGE = Path(__file__).with_name("zoo.md")
COMMAND = "python docs/build_zoo.py"
# A kind without built-in parts is for plugins alone.
KINDS = tuple(kind for kind in registry.KINDS if registry.names(kind, plugins=False))
FAMILIES = {"losses": pml_losses.UNFIT, "miners": pml_miners.UNFIT}


def page() -> str:
    """Return the whole page, as Markdown."""
    lines = [
        "# The zoo",
        "",
        f"<!-- Written by `{COMMAND}`; do not edit. -->",
        "",
        "Every part that can be named, with its parameters and their defaults. A name goes where",
        'the part goes, `SiameseClassifier(loss="triplet")`, and a parameter as `loss__margin`.',
    ]
    for kind in KINDS:
        lines += ["", f"## {kind.capitalize()}", "", *_built_in(kind)]
    lines += [
        "",
        f"## The zoo of pytorch-metric-learning {zoo_version()}",
        "",
        "Its losses and miners take their own parameters; sizes of the data (`num_classes`,",
        "`embedding_size`) are filled in. Losses and miners here work on embeddings, with a fixed",
        "head.",
    ]
    for kind, unfit in FAMILIES.items():
        lines += ["", f"### {kind.capitalize()} named `pml:`", "", *_of_the_zoo(kind)]
        lines += ["", f"### {kind.capitalize()} that do not fit", "", *_left_out(unfit)]
    return "\n".join(lines) + "\n"


def zoo_version() -> str:
    """Return the release of pytorch-metric-learning that the page is written from."""
    return version("pytorch-metric-learning")


def _built_in(kind: str) -> list[str]:
    rows = []
    for name in registry.names(kind):
        cls = None if ":" in name else registry.get(kind, name)
        # Plugins that happen to be installed are not this package's to document.
        if cls is not None and cls.__module__.partition(".")[0] == "siamesekit":
            summary = (inspect.getdoc(cls) or "").partition("\n")[0].replace("``", "`")
            summary = re.sub(r" \[\d+\]_", "", summary)  # references stand below
            rows.append((f"`{name}`", summary, _parameters(cls)))
    return _table(("name", "what it is", "parameters"), rows)


def _of_the_zoo(kind: str) -> list[str]:
    found = [name for name in registry.names(kind) if name.startswith("pml:")]
    rows = [(f"`{name}`", _parameters(registry.get(kind, name))) for name in found]
    return _table(("name", "parameters"), rows)


def _left_out(unfit: dict[str, str]) -> list[str]:
    rows = [(f"`{name}`", reason) for name, reason in sorted(unfit.items())]
    return _table(("name", "why"), rows)


def _parameters(cls: type[Part]) -> str:
    signature = inspect.signature(cls).parameters
    named = [signature[name] for name in cls.parameter_names()]
    return ", ".join(f"`{_parameter(parameter)}`" for parameter in named) or "none"


def _parameter(parameter: inspect.Parameter) -> str:
    required = parameter.default is inspect.Parameter.empty
    return parameter.name if required else f"{parameter.name}={parameter.default!r}"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return [f"| {' | '.join(_cell(text) for text in line)} |" for line in lines]


def _cell(text: str) -> str:
    # A bar would end the cell, even between backticks.
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
