"""How the tutorials are run: their order, their pictures, and what some of them need.

A tutorial whose data or packages are not at hand is shown without having been run, and says so.
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst

TUTORIALS = (
    "symbols",
    "office_faces",
    "verify_pairs",
    "words",
    "molecules",
    "mnist_triplets",
    "koch2015",
)
# Files below $SIAMESEKIT_DATA, and modules.
FILES = {
    "office_faces": ("orl_faces/att_faces.zip",),
    "mnist_triplets": ("mnist/train-images-idx3-ubyte.gz", "mnist/t10k-images-idx3-ubyte.gz"),
}
MODULES = {"molecules": ("rdkit", "fastparquet", "datamol")}


class Order:
    """Sort key of sphinx-gallery: the order of `TUTORIALS`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, filename: str) -> int:
        """Return the place of a file."""
        name = Path(filename).stem
        return TUTORIALS.index(name) if name in TUTORIALS else -1


def missing(name: str) -> list[str]:
    """Return what a tutorial needs and this machine has not."""
    root = Path(os.environ.get("SIAMESEKIT_DATA", "."))
    files = [file for file in FILES.get(name, ()) if not (root / file).is_file()]
    return files + [m for m in MODULES.get(name, ()) if importlib.util.find_spec(m) is None]


def to_run() -> str:
    """Return the pattern of the scripts that can be run here."""
    names = ["five_minutes", *(name for name in TUTORIALS if not missing(name))]
    return rf"/({'|'.join(names)})\.py$"


def save_figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that a block of a script has made: those of `plots` are not pyplot's."""
    names = block_vars["example_globals"]
    shown = names.setdefault("__shown__", [])
    paths = []
    for figure in [value for value in list(names.values()) if isinstance(value, Figure)]:
        if not any(figure is old for old in shown):
            shown.append(figure)
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=110, bbox_inches="tight")
    title = next(iter(re.findall(r'"""\n?(.+)', Path(block_vars["src_file"]).read_text("utf-8"))))
    return figure_rst(paths, gallery_conf["src_dir"], fig_titles=title)


def say_what_was_not_run(app: Sphinx, docname: str, source: list[str]) -> None:
    """Say below the title of a tutorial that its outputs are missing, and for want of what."""
    folder, _, name = docname.partition("/")
    if folder == "tutorials" and (lacking := missing(name)):
        note = (
            "\n.. warning::\n\n   Not run when this page was built, so it shows no outputs: "
            f"{', '.join(f'``{item}``' for item in lacking)} not found.\n\n"
        )
        source[0] = re.sub(r"^(=+\n)", rf"\1{note}", source[0], count=1, flags=re.M)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to a build."""
    app.connect("source-read", say_what_was_not_run)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
