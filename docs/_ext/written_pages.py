"""Pages that scripts beside them write: read anew from the scripts, so never stale.

The files in the repository are for those who read them there, and a test holds them up to date.
"""

from collections.abc import Callable

import build_performance
import build_results
import build_zoo
from sphinx.application import Sphinx

PAGES: dict[str, Callable[[], str]] = {
    "results": build_results.page,
    "performance": build_performance.page,
    "zoo": build_zoo.page,
}


def write(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put what the script says now in the place of the file."""
    if docname in PAGES:
        source[0] = PAGES[docname]()


def outdated(app: Sphinx, *_: object) -> list[str]:
    """Return the pages that are to be read in every build."""
    return list(PAGES)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to a build."""
    app.connect("source-read", write)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
