"""Every part of this plugin keeps the contract of its kind, as siamesekit's own do."""

import pytest

from siamesekit.testing import check_plugin

PARTS = {
    "heads": "example-manhattan",
    "losses": "example-contrast",
    "indexes": "example-flat",
}


@pytest.mark.parametrize(("kind", "name"), PARTS.items())
def test_it_keeps_its_contract(kind: str, name: str) -> None:
    check_plugin(kind, name)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_the_index_knows_every_metric(metric: str) -> None:
    from siamesekit_example_plugin.index import FlatIndex

    check_plugin("indexes", FlatIndex(metric))
