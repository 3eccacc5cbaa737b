"""A PostgreSQL for the tests of a session, from the wheel pgserver."""

import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterator

import pytest

from siamesekit import registry
from siamesekit.gallery.indexes import Index

# What an index needs that is no part of siamesekit.
NEEDS = {
    "exact": (),
    "usearch": ("usearch",),
    "faiss": ("faiss",),
    "pgvector": ("psycopg", "pgvector", "pgserver"),
    "qdrant": ("qdrant_edge",),
}

_count = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server of this session; skips where it cannot start."""
    for name in NEEDS["pgvector"]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    import pgserver

    try:
        # Not below pytest's folders: a server that root starts runs as another user, whom they
        # do not let in.
        server = pgserver.get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    except Exception as error:
        pytest.skip(f"pgserver cannot start PostgreSQL here: {error}")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def new_index(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Index]:
    """Makes an empty index of a name, each with a store of its own; skips what is not installed."""

    def make(name: str, **params: object) -> Index:
        for package in NEEDS[name]:
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"{package} is not installed")
        own: dict[str, object] = {}
        if name == "pgvector":
            own = {"url": request.getfixturevalue("postgres"), "table": f"t{next(_count)}"}
        if name == "qdrant":
            own = {"path": tmp_path_factory.mktemp("qdrant") / "store"}
        index: Index = registry.create("indexes", name, **own | params)
        return index

    return make
