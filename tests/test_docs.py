"""The pages that are written from the code and from results are up to date."""

from pathlib import Path
from types import ModuleType

import pytest
from _loading import load_module

from siamesekit import registry

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def build_zoo() -> ModuleType:
    pytest.importorskip(
        "pytorch_metric_learning", reason="the zoo's page lists its losses and miners"
    )
    return load_module(DOCS / "build_zoo.py")


def test_the_page_of_the_zoo_is_up_to_date(build_zoo: ModuleType) -> None:
    written = build_zoo.PAGE.read_text(encoding="utf-8")
    if f"pytorch-metric-learning {build_zoo.zoo_version()}" not in written:
        pytest.skip(
            f"{build_zoo.PAGE.name} lists another release of pytorch-metric-learning than the "
            f"installed {build_zoo.zoo_version()}"
        )
    assert written == build_zoo.page(), (
        f"docs/zoo.md is out of date; `{build_zoo.COMMAND}` writes it anew"
    )


def test_the_page_names_every_part(build_zoo: ModuleType) -> None:
    page = build_zoo.page()
    for kind in build_zoo.KINDS:
        for name in registry.names(kind):
            of_a_plugin = registry.get(kind, name).__module__.partition(".")[0] != "siamesekit"
            assert of_a_plugin or f"| `{name}` |" in page
    for unfit in build_zoo.FAMILIES.values():
        for name, reason in unfit.items():
            assert f"| `{name}` | {reason} |" in page


def test_the_page_of_results_is_what_the_folders_hold() -> None:
    build_results = load_module(DOCS / "build_results.py")
    assert list(build_results.FOLDER.glob("*.json"))
    assert build_results.PAGE.read_text(encoding="utf-8") == build_results.page(), (
        f"docs/results.md is out of date; `{build_results.COMMAND}` writes it anew"
    )


def test_the_page_of_performance_is_what_was_measured() -> None:
    build_performance = load_module(DOCS / "build_performance.py")
    assert build_performance.PAGE.read_text(encoding="utf-8") == build_performance.page(), (
        f"docs/performance.md is out of date; `{build_performance.COMMAND}` writes it anew"
    )
    for name, plot in build_performance.plots().items():
        assert (build_performance.FOLDER / name).read_text(encoding="utf-8") == plot
