"""Vectors in a table of PostgreSQL, by its extension pgvector: for galleries of many machines."""

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from siamesekit._checks import check_flag, check_integer, shown
from siamesekit._types import FloatArray, IntArray, Neighbours
from siamesekit.errors import (
    IndexUnavailableError,
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
)
from siamesekit.gallery.indexes._store import StoreIndex
from siamesekit.gallery.indexes.base import Metric
from siamesekit.gallery.indexes.exact import unit
from siamesekit.registry import register

__all__ = ["PgvectorIndex"]

_T = TypeVar("_T")

_FORMAT = 1
# Operators of pgvector, and the class by which a graph serves each.
_OPERATORS = {"cosine": "<#>", "euclidean": "<->", "dot": "<#>"}
_CLASSES = {
    "cosine": "vector_ip_ops",
    "euclidean": "vector_l2_ops",
    "dot": "vector_ip_ops",
}
# Most numbers that a vector has in pgvector, and in its graph; most candidates of a graph.
_WIDEST, _WIDEST_IN_GRAPH, _MOST_CANDIDATES = 16_000, 2_000, 1_000
# Bytes of a name, beyond which PostgreSQL cuts it off.
_LONGEST = 63
# Of a URL, what is written to a file: where the table is, and nothing secret.
_PLACE = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "sslmode",
    "sslrootcert",
    "service",
    "passfile",
    "connect_timeout",
]
# Queries of one statement.
_QUERIES = 256
# Key of the lock under which tables are made.
_LOCK = 0x51A3E5E

_EXTENSION = "SELECT 1 FROM pg_extension WHERE extname = 'vector'"
_ABOUT = """
SELECT obj_description(c.oid, 'pg_class'), a.atttypmod
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'vector'
WHERE c.oid = to_regclass(%s)
"""
_CREATE = "CREATE TABLE {table} (id bigint PRIMARY KEY, vector vector({dim}) NOT NULL)"
_GRAPH = (
    "CREATE INDEX IF NOT EXISTS {name} ON {table} USING hnsw (vector {kind}) "
    "WITH (m = {m}, ef_construction = {ef})"
)
_SEARCH = """
SELECT q.place, f.id, f.distance
FROM unnest(%s::vector[]) WITH ORDINALITY AS q(asked, place)
CROSS JOIN LATERAL (
    SELECT id, vector {operator} q.asked AS distance FROM {table} ORDER BY {order} LIMIT %s
) f ORDER BY q.place, f.distance, f.id
"""


class _About(NamedTuple):
    metric: str
    dim: int


@register("indexes", "pgvector")
class PgvectorIndex(StoreIndex):
    """Vectors in a table of PostgreSQL, which any number of machines share (extra ``pgvector``).

    Each call is one transaction: others see all of what it adds or removes, or nothing, and a
    search answers from one moment. Exact by default: each query is compared with all vectors.

    Parameters
    ----------
    url : str, optional
        ``"postgresql://user@host:5432/database"``, or another form that libpq reads. A password
        had better come from ``PGPASSWORD`` or ``~/.pgpass``; where it stands in the URL it is
        written to no file. By default the server that ``PGHOST`` and its like name.
    table : str
        Its name, or ``"schema.name"``. It is made, as is the extension ``vector``, when the first
        vectors are added. Any characters will do; up to 63 bytes.
    metric : {"cosine", "euclidean", "dot"}
    approximate : bool
        Search by a graph of near neighbours (HNSW), which is made with the table or by the next
        vectors added: for vectors of up to 2,000 numbers.
    connectivity : int
        Neighbours of a vector in the graph, in [2, 100].
    ef_construction, ef_search : int
        Candidates kept while a vector is added, in ``[2 connectivity, 1000]``, and while one is
        searched for, in [1, 1000]: more of them miss less and take longer. A graph finds at most
        1,000; for more, all vectors are compared.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed, or psycopg or pgvector is not installed.
    IndexUnavailableError
        From any call: if the server cannot be reached, the connection is lost or the server
        refuses. Nothing is changed then, unless the connection was lost while the server was
        confirming. The next call connects anew.
    SavedModelError
        From any call: if the table is there and is no index of this kind and metric.

    Notes
    -----
    For ``"cosine"`` vectors are stored with length 1. pgvector compares in float32. A vector has
    up to 16,000 numbers. What is removed no search and no backup by ``pg_dump`` finds; the
    server's own files are rid of it by ``VACUUM FULL``, and its log when that is recycled.

    Examples
    --------
    >>> index = PgvectorIndex("postgresql://ann@gate/staff", table="faces")  # doctest: +SKIP
    >>> index.add(vectors, ids)  # doctest: +SKIP
    """

    kind: ClassVar[str] = "pgvector"

    def __init__(
        self,
        url: str | None = None,
        table: str = "siamesekit",
        metric: Metric = "cosine",
        approximate: bool = False,
        connectivity: int = 16,
        ef_construction: int = 64,
        ef_search: int = 64,
    ) -> None:
        super().__init__(metric)
        self.url = None if url is None else _check_url(url)
        self.table = _check_table(table)
        self.approximate = check_flag("approximate", approximate)
        self.connectivity = check_integer("connectivity", connectivity, low=2, high=100)
        self.ef_construction = check_integer(
            "ef_construction", ef_construction, low=2 * self.connectivity, high=1000
        )
        self.ef_search = check_integer("ef_search", ef_search, low=1, high=_MOST_CANDIDATES)
        self._connection: Any = None
        self._owner = os.getpid()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Return the number of vectors."""

        def count(cursor: Any) -> int:
            if self._about(cursor) is None:
                return 0
            cursor.execute(self._sql("SELECT count(*) FROM {table}"))
            return int(cursor.fetchone()[0])

        return self._transaction(count)

    @property
    def dim(self) -> int | None:
        """Numbers in a vector; None as long as there is no table."""
        about = self._transaction(self._about)
        return None if about is None else about.dim

    @classmethod
    def load(cls, path: str | os.PathLike[str], url: str | None = None) -> Self:
        """Return the index whose place `save` wrote.

        Parameters
        ----------
        path : path-like
        url : str, optional
            In place of the one that was saved, which has no password: needed where libpq finds
            none in ``PGPASSWORD`` or ``~/.pgpass``, or where the server has moved.

        Raises
        ------
        SavedModelError
            If the file is missing, damaged, or of another kind of index.
        """
        facts, _ = cls._read(path)
        params = {name: facts[name] for name in cls.parameter_names()}
        return cls(**params if url is None else params | {"url": url})

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        with self._lock:
            connection, self._connection = self._connection, None
            # A connection that came over a fork is the parent's.
            if connection is not None and self._owner == os.getpid():
                with suppress(Exception):
                    connection.close()

    # -- below the door -----------------------------------------------------------------------

    def _holds(self, ids: IntArray) -> np.ndarray:
        def known(cursor: Any) -> list[int]:
            if self._about(cursor) is None:
                return []
            cursor.execute(self._sql("SELECT id FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])
            return [key for (key,) in cursor]

        return np.isin(ids, np.array(self._transaction(known), np.int64))

    def _add(self, vectors: FloatArray, ids: IntArray) -> None:
        psycopg, Vector = _psycopg(), _vector_type()
        dim = vectors.shape[1]
        self._check_width(dim)
        stored = unit(vectors) if self.metric == "cosine" else vectors

        def add(cursor: Any) -> None:
            about = self._make_table(cursor, dim)
            if about.dim != dim:
                raise InvalidDataError(
                    f"vectors must have {about.dim} numbers each, as those in table "
                    f"{self.table!r}; got {dim}."
                )
            statement = self._sql("COPY {table} (id, vector) FROM STDIN WITH (FORMAT BINARY)")
            with cursor.copy(statement) as copy:
                copy.set_types(["int8", "vector"])
                for key, row in zip(ids.tolist(), stored, strict=True):
                    copy.write_row((key, Vector(row)))

        try:
            self._transaction(add)
        except psycopg.errors.UniqueViolation as error:  # another machine was quicker
            raise InvalidDataError(
                "ids must be new; one of them is in the index already: another machine has added "
                "it meanwhile."
            ) from error

    def _remove(self, ids: IntArray) -> None:
        def remove(cursor: Any) -> None:
            if self._about(cursor) is not None:
                cursor.execute(self._sql("DELETE FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])
            if cursor.rowcount != len(ids):
                raise InvalidDataError(
                    "ids must be in the index; one of them is not: another machine has removed it "
                    "meanwhile."
                )

        self._transaction(remove)

    def _search(self, queries: FloatArray, k: int) -> Neighbours:
        Vector = _vector_type()
        asked = unit(queries) if self.metric == "cosine" else queries
        ids = np.full((len(asked), k), -1, np.int64)
        distances = np.full((len(asked), k), np.inf, np.float32)

        def search(cursor: Any) -> None:
            if self._about(cursor) is None:  # dropped meanwhile
                return
            statement = self._prepare_search(cursor, k)
            for first in range(0, len(asked), _QUERIES):
                block = [Vector(row) for row in asked[first : first + _QUERIES]]
                cursor.execute(statement, (block, k), binary=True)
                found = cursor.fetchall()
                if found:
                    place, keys, values = zip(*found, strict=True)
                    row = np.array(place) - 1
                    column = np.arange(len(row)) - np.searchsorted(row, row)
                    ids[first + row, column] = keys
                    distances[first + row, column] = values

        self._transaction(search, of_one_moment=True)
        return Neighbours(ids, -distances)

    def _prepare_search(self, cursor: Any, k: int) -> Any:
        """Choose between graph and all vectors; return the statement."""
        cursor.execute("SET LOCAL jit = off")
        by_graph = self.approximate and k <= _MOST_CANDIDATES
        # Another machine may have made a graph that this index is not to use.
        cursor.execute(f"SET LOCAL enable_{'seq' if by_graph else 'index'}scan = off")
        nearest = f"vector {_OPERATORS[self.metric]} q.asked"
        if by_graph:
            candidates = str(max(self.ef_search, k))
            cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [candidates])
        order = nearest if by_graph else f"{nearest}, id"
        return self._sql(_SEARCH, operator=_OPERATORS[self.metric], order=order)

    def _about(self, cursor: Any) -> _About | None:
        """Return what the table says of itself; None where there is none."""
        cursor.execute(_ABOUT, [self._sql("{table}").as_string(cursor)])
        row = cursor.fetchone()
        if row is None:
            return None
        try:
            said = json.loads(row[0] or "null")["siamesekit"]
            about, found = _About(said["metric"], int(row[1])), said["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise SavedModelError(
                f"table {self.table!r} is there and is no index of siamesekit; give another table."
            ) from error
        if found != _FORMAT or about.metric != self.metric:
            raise SavedModelError(
                f"table {self.table!r} holds an index of metric {about.metric!r}, format {found}; "
                f"wanted {self.metric!r}, format {_FORMAT}."
            )
        return about

    def _make_table(self, cursor: Any, dim: int) -> _About:
        """Return what the table says of itself, which is made if it is not there."""
        about = self._about(cursor)
        if about is None:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            about = self._about(cursor)
        if about is None:
            about = _About(self.metric, dim)
            cursor.execute(self._sql(_CREATE, dim=str(dim)))
            said = json.dumps({"siamesekit": {"format": _FORMAT, "metric": self.metric}})
            sql = _psycopg().sql
            comment = self._sql("COMMENT ON TABLE {table} IS ") + sql.Literal(said)
            cursor.execute(comment)
        if self.approximate:
            cursor.execute(
                self._sql(
                    _GRAPH,
                    name=_psycopg().sql.Identifier(_graph_name(self.table)),
                    kind=_CLASSES[self.metric],
                    m=str(self.connectivity),
                    ef=str(self.ef_construction),
                )
            )
        return about

    def _check_width(self, dim: int) -> None:
        most = _WIDEST_IN_GRAPH if self.approximate else _WIDEST
        if dim > most:
            graph = f"; up to {_WIDEST:,} with approximate=False" if self.approximate else ""
            raise InvalidDataError(
                f"vectors must have at most {most:,} numbers each, as pgvector's "
                f"{'graphs' if self.approximate else 'tables'} take{graph}; got {dim:,}. "
                "A gallery's compact storage makes them shorter."
            )

    def _sql(self, text: str, **parts: Any) -> Any:
        """Return a statement with the table's name, and parts that are text of our own."""
        sql = _psycopg().sql
        table = sql.Identifier(*_parts(self.table))
        return sql.SQL(text).format(
            table=table,
            **{
                name: sql.SQL(part) if isinstance(part, str) else part
                for name, part in parts.items()
            },
        )

    def saved_params(self) -> dict[str, Any]:
        """Return the arguments, of the URL what says where the table is."""
        conninfo = _psycopg().conninfo
        given = conninfo.conninfo_to_dict(self.url or "")
        place = {name: value for name, value in given.items() if name in _PLACE}
        url = self.url if place == given else conninfo.make_conninfo("", **place)
        return self.get_params() | {"url": url}

    # -- the connection -----------------------------------------------------------------------

    def _transaction(self, work: Callable[[Any], _T], of_one_moment: bool = False) -> _T:
        """Do all of some work, or nothing of it; if asked for, on the state of one moment."""
        psycopg = _psycopg()
        with self._lock:
            connection = self._connected()
            try:
                with connection.transaction(), connection.cursor() as cursor:
                    if of_one_moment:
                        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    return work(cursor)
            except psycopg.errors.UniqueViolation:
                raise
            except psycopg.Error as error:
                if connection.broken or connection.closed:
                    self.close()
                raise self._unavailable(error) from error

    def _connected(self) -> Any:
        psycopg = _psycopg()
        if self._connection is not None and self._owner == os.getpid():
            # A server that was restarted meanwhile is no reason to refuse a call.
            with suppress(psycopg.Error):
                self._connection.execute("SELECT 1")
                return self._connection
        self.close()
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            raise self._unavailable(error) from error
        self._owner = os.getpid()
        return self._connection

    def _connect(self) -> Any:
        psycopg = _psycopg()
        given = psycopg.conninfo.conninfo_to_dict(self.url or "")
        connection = psycopg.connect(
            **{"connect_timeout": "10", "application_name": "siamesekit"} | given, autocommit=True
        )
        try:
            if connection.execute(_EXTENSION).fetchone() is None:
                with connection.transaction():
                    # Two machines at once: the second waits, and finds it made.
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            _register(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _unavailable(self, error: Exception) -> IndexUnavailableError:
        # Neither the URL, which may hold a password, nor what a statement held.
        said = str(error).partition("\n")[0].strip()
        return IndexUnavailableError(
            f"table {self.table!r} must be within reach, in a PostgreSQL that has the extension "
            f"vector (pgvector); got {type(error).__name__}: {said}"
        )


def _check_url(url: object) -> str:
    psycopg = _psycopg()
    if isinstance(url, str) and url.strip():
        with suppress(psycopg.Error):
            psycopg.conninfo.conninfo_to_dict(url)
            return url
    # Not shown where it may hold a password.
    got = "one that libpq cannot read" if isinstance(url, str) and url else shown(url)
    raise InvalidParameterError(
        f'url must be a string as "postgresql://user@host:5432/database"; got {got}.'
    )


def _check_table(table: object) -> str:
    parts = _parts(table) if isinstance(table, str) else ()
    fits = 1 <= len(parts) <= 2 and all(
        part and "\0" not in part and len(part.encode(errors="replace")) <= _LONGEST
        for part in parts
    )
    if not isinstance(table, str) or not fits:
        raise InvalidParameterError(
            f'table must be a name, or "schema.name", of 1 to 63 bytes each; got {shown(table)}.'
        )
    return table


def _parts(table: str) -> tuple[str, ...]:
    return tuple(table.split("."))


def _graph_name(table: str) -> str:
    """Return a name for the graph of a table that fits in what PostgreSQL allows."""
    name = _parts(table)[-1].encode()[: _LONGEST - 5].decode(errors="ignore")
    return f"{name}_hnsw"


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise _not_installed() from error
    return psycopg


def _vector_type() -> Any:
    try:
        from pgvector import Vector
    except ImportError as error:
        raise _not_installed() from error
    return Vector


def _register(connection: Any) -> None:
    try:
        from pgvector.psycopg import register_vector
    except ImportError as error:
        raise _not_installed() from error
    register_vector(connection)


def _not_installed() -> InvalidParameterError:
    return InvalidParameterError(
        'index "pgvector" needs psycopg and pgvector: pip install "siamesekit[pgvector]".'
    )
