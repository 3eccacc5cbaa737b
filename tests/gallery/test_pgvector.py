"""PostgreSQL as an index: what many machines see, and what goes wrong between them."""

import copy
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from siamesekit.errors import (
    IndexUnavailableError,
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
)

psycopg = pytest.importorskip("psycopg")
pytest.importorskip("pgvector")

from siamesekit.gallery import PgvectorIndex  # noqa: E402
from siamesekit.testing import check_plugin  # noqa: E402


def vectors(n: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.fixture
def new(new_index):
    return lambda **params: new_index("pgvector", **params)


def another(index: PgvectorIndex, **params: object) -> PgvectorIndex:
    """The same table from another machine."""
    return PgvectorIndex(**index.get_params() | params)


def test_it_keeps_the_contract_of_its_kind(new) -> None:
    check_plugin("indexes", new())


def test_without_a_url_libpq_says_where(new, postgres: str, monkeypatch) -> None:
    index = new()
    index.add(vectors(2), [0, 1])
    host = psycopg.conninfo.conninfo_to_dict(postgres)["host"]
    for name, value in (("PGHOST", host), ("PGUSER", "postgres"), ("PGDATABASE", "postgres")):
        monkeypatch.setenv(name, value)
    assert len(PgvectorIndex(table=index.table)) == 2


def test_machines_share_a_table(new) -> None:
    here = new()
    there = another(here)
    here.add(vectors(5), np.arange(5))
    assert len(there) == 5
    with pytest.raises(InvalidDataError, match="4 is in the index already"):
        there.add(vectors(2), [4, 9])
    there.remove([0])
    assert len(here) == 4
    assert 0 not in here.search(vectors(1), 4).ids


def test_a_name_can_do_no_harm(new, postgres: str) -> None:
    bystander = new()
    bystander.add(vectors(2), [1, 2])
    for name in ('x"; DROP TABLE t; --', f"{bystander.table}; DELETE", "Größe 'n' %s", "{dim}"):
        index = new(table=name)
        index.add(vectors(3), [1, 2, 3])
        assert len(another(index)) == 3
    assert len(bystander) == 2


def test_a_table_in_a_schema(new, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA staff")
    index = new(table="staff.faces")
    index.add(vectors(3), [1, 2, 3])
    assert len(another(index)) == 3
    assert index.dim == 8


def test_of_two_that_add_the_same_id_one_is_told(new) -> None:
    index = new()
    index.add(vectors(1), [0])
    machines = [another(index) for _ in range(4)]
    told: list[Exception] = []

    def add(machine: PgvectorIndex) -> None:
        try:
            machine.add(vectors(50, seed=1), np.arange(50) + 1)
        except InvalidDataError as error:
            told.append(error)

    threads = [threading.Thread(target=add, args=[machine]) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(told) == 3
    assert len(index) == 51


def test_tables_made_at_once_by_several_are_one(new) -> None:
    index = new()
    machines = [another(index) for _ in range(4)]
    errors: list[Exception] = []

    def add(place: int) -> None:
        try:
            machines[place].add(vectors(3, seed=place), np.arange(3) + 3 * place)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=[place]) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert len(index) == 12


def test_others_see_whole_states_only(new) -> None:
    writer = new()
    writer.add(vectors(40), np.arange(40))
    reader, stop, sizes = another(writer), threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            found = reader.search(vectors(2), 100).ids
            sizes.add(tuple((found >= 0).sum(1)))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(10):
            writer.add(vectors(30, seed=1), np.arange(30) + 100)
            writer.remove(np.arange(30) + 100)
    finally:
        stop.set()
        thread.join(timeout=60)
    # `k` is cut to how many there were a moment before.
    assert sizes <= {(40, 40), (70, 70)}


def test_a_graph_finds_what_is_near_and_only_where_it_is_asked_to(new) -> None:
    index = new(approximate=True, metric="euclidean")
    X = vectors(500)
    index.add(X, np.arange(500))
    index.remove(np.arange(50))
    found = index.search(X, 3)
    assert (found.ids[50:, 0] == np.arange(50, 500)).mean() > 0.95
    assert not np.isin(found.ids, np.arange(50)).any()
    with psycopg.connect(index.url) as connection:
        names = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = %s", [index.table]
        ).fetchall()
    assert any("hnsw" in name for (name,) in names)
    exact = another(index, approximate=False).search(X, 450)
    assert (exact.ids[50:, 0] == np.arange(50, 500)).all()
    assert (exact.ids >= 0).all()


def test_limits_of_pgvector_are_named(new) -> None:
    index = new(approximate=True)
    with pytest.raises(InvalidDataError, match=r"at most 2,000 .*approximate=False; got 2,001"):
        index.add(vectors(1, 2001), [0])
    with pytest.raises(InvalidDataError, match=r"at most 16,000 .*got 16,001"):
        new().add(vectors(1, 16_001), [0])
    wide = new()
    wide.add(vectors(2, 2001), [0, 1])
    assert wide.search(vectors(2, 2001), 1).ids.tolist() == [[0], [1]]


def test_no_file_and_no_pickle_holds_the_password(new, tmp_path: Path) -> None:
    index = new()
    index.add(vectors(3), [1, 2, 3])
    secret = another(index, url=index.url.replace("postgres:@", "postgres:hunter2@"))
    assert len(secret) == 3
    secret.save(tmp_path / "place")
    for kept in ((tmp_path / "place").read_bytes(), pickle.dumps(secret)):
        assert b"hunter2" not in kept
    assert len(PgvectorIndex.load(tmp_path / "place")) == 3
    assert PgvectorIndex.load(tmp_path / "place", url=secret.url).url == secret.url
    assert len(pickle.loads(pickle.dumps(secret))) == 3
    assert copy.deepcopy(secret).url == secret.url


def test_a_password_is_in_no_error() -> None:
    index = PgvectorIndex("postgresql://ann:hunter2@127.0.0.1:1/gate?connect_timeout=2")
    with pytest.raises(IndexUnavailableError, match="within reach") as caught:
        len(index)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidParameterError) as refused:
        PgvectorIndex("hunter2://ann:hunter2 nonsense")
    assert "hunter2" not in str(refused.value)


def test_a_lost_connection_is_named_and_mended(new) -> None:
    index = new()
    index.add(vectors(3), [1, 2, 3])

    def cut() -> None:
        with psycopg.connect(index.url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s",
                [index._connection.info.backend_pid],
            )

    cut()  # between two calls: another connection is made
    assert len(index) == 3

    def work(cursor) -> None:  # in the middle of one: it is named, and nothing is changed
        cursor.execute(index._sql("DELETE FROM {table}"))
        cut()
        cursor.execute("SELECT 1")

    with pytest.raises(IndexUnavailableError, match="within reach"):
        index._transaction(work)
    assert len(index) == 3


def test_tables_that_are_no_index_of_this_metric_are_refused(new, postgres: str) -> None:
    index = new()
    index.add(vectors(3), [1, 2, 3])
    with pytest.raises(SavedModelError, match="metric 'cosine'"):
        len(another(index, metric="dot"))
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE payroll (id int)")
    with pytest.raises(SavedModelError, match="no index of siamesekit"):
        new(table="payroll").add(vectors(1), [0])
    with psycopg.connect(postgres, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM payroll").fetchone() == (0,)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_makes_its_own_connection(new) -> None:
    index = new()
    index.add(vectors(3), [1, 2, 3])
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if len(index) == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert len(index) == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"url": 3}, "url must be a string"),
        ({"url": ""}, "url must be a string"),
        ({"table": ""}, "table must be a name"),
        ({"table": "a.b.c"}, "table must be a name"),
        ({"table": "x" * 64}, "1 to 63 bytes"),
        ({"table": "a\0b"}, "table must be a name"),
        ({"approximate": "yes"}, "approximate must be True or False"),
        ({"ef_search": 0}, r"ef_search must be an integer in \[1, 1000\]"),
        ({"ef_construction": 8}, r"ef_construction must be an integer in \[32, 1000\]"),
        ({"connectivity": 1}, r"connectivity must be an integer in \[2, 100\]"),
        ({"metric": "l1"}, "metric must be one of"),
    ],
)
def test_arguments_that_are_not_allowed_are_named(params, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        PgvectorIndex(**{"url": "postgresql://localhost/x"} | params)
