"""How the pages are built: ``make docs``."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE / "_ext"), str(_HERE.parent / "examples")]
# Data sets that may lie beside the repository, as its tests know them.
os.environ.setdefault("SIAMESEKIT_DATA", str(_HERE.parents[1] / "shared" / "data"))

import gallery  # noqa: E402

project = "siamesekit"
copyright = "the siamesekit developers"
release = version = version_of("siamesekit")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "gallery",
    "public_names",
    "written_pages",
]
exclude_patterns = ["_build", "_ext", "scripts"]

# A word between single backticks is a name of ours, or an argument; `public_names` tells which.
default_role = "py:obj"
nitpicky = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # docstrings have types with shapes
numpydoc_show_class_members = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": ["scripts/start", "scripts/tutorials"],
    "gallery_dirs": ["start", "tutorials"],
    "filename_pattern": gallery.to_run(),
    "within_subsection_order": "gallery.Order",
    "image_scrapers": ("gallery.save_figures",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "siamesekit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
}
# These are single pages: a side bar would have nothing to show.
html_sidebars = {"results": [], "zoo": [], "index": [], "start/five_minutes": []}
