"""Qdrant as an index: a folder within this process; what is asked of a server."""

import copy
import gc
import pickle
from pathlib import Path

import numpy as np
import pytest

from siamesekit.errors import (
    IndexUnavailableError,
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
)
from siamesekit.gallery import QdrantIndex
from siamesekit.gallery.indexes._qdrant_edge import Folder


def vectors(n: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("qdrant_edge")
    return tmp_path / "store"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """What clients were told; in the place of a server is the engine that the client brings."""
    client = pytest.importorskip("qdrant_client")
    engine, told = client.QdrantClient(":memory:"), []

    def connect(**given):
        told.append(given)
        return engine

    monkeypatch.setattr(client, "QdrantClient", connect)
    return told


# -- a folder -----------------------------------------------------------------------------------


def test_indexes_of_one_process_share_a_folder(folder: Path) -> None:
    here = QdrantIndex(folder)
    here.add(vectors(4), np.arange(4))
    there = copy.deepcopy(here)
    there.remove([0])
    assert len(here) == len(QdrantIndex(str(folder))) == 3
    here.save(folder.parent / "place")
    del here, there
    gc.collect()
    assert len(QdrantIndex.load(folder.parent / "place")) == 3
    assert len(pickle.loads(pickle.dumps(QdrantIndex(folder)))) == 3


def test_another_process_is_told(folder: Path) -> None:
    index = QdrantIndex(folder)
    index.add(vectors(2), [0, 1])
    with pytest.raises(IndexUnavailableError, match="open in another process"):
        Folder(folder.resolve(), "cosine")  # as another process would
    assert len(index) == 2


def test_saving_leaves_no_trace_of_what_was_removed(folder: Path, tmp_path: Path) -> None:
    index, X = QdrantIndex(folder, metric="euclidean"), vectors(20)
    index.add(X, np.arange(20))
    index.remove([7])
    index.save(tmp_path / "place")
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for order in ("<f4", ">f4"):
        assert X[7].astype(order).tobytes() not in held
    assert X[8].tobytes() in held


def test_without_a_folder_its_files_hold_the_vectors(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    index, X = QdrantIndex(metric="euclidean"), vectors(30)
    index.save(tmp_path / "empty")
    assert len(QdrantIndex.load(tmp_path / "empty")) == 0
    index.add(X, np.arange(30))
    index.remove([3])
    index.save(tmp_path / "index")
    again = QdrantIndex.load(tmp_path / "index")
    del index
    gc.collect()
    np.testing.assert_array_equal(again.search(X[4:], 1).ids[:, 0], np.arange(4, 30))


def test_a_graph_finds_what_is_near(folder: Path) -> None:
    index, X = QdrantIndex(folder, approximate=True), vectors(400)
    index.add(X, np.arange(400))
    index.remove(np.arange(40))
    assert (index.search(X[40:], 2).ids[:, 0] == np.arange(40, 400)).mean() > 0.95


def test_folders_that_hold_something_else_are_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    with pytest.raises(SavedModelError, match=r"'thesis\.tex'"):
        len(QdrantIndex(folder))
    other = folder.parent / "other"
    QdrantIndex(other, metric="dot").add(vectors(2), [0, 1])
    gc.collect()
    with pytest.raises(SavedModelError, match="metric 'dot'"):
        len(QdrantIndex(other))
    (folder.parent / "file").write_text("")
    with pytest.raises(IndexUnavailableError, match="cannot be written to"):
        len(QdrantIndex(folder.parent / "file"))


# -- a server -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Local mode")
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_a_server_is_asked_as_any_index(server, metric: str, tmp_path: Path) -> None:
    index = QdrantIndex(url="http://gate:6333", metric=metric)
    assert len(index) == 0
    X = vectors(30) / np.linalg.norm(vectors(30), axis=1, keepdims=True)
    index.add(X, np.arange(30) + 2**40)
    assert index.dim == 8
    index.remove([2**40])
    with pytest.raises(InvalidDataError, match="is in the index already"):
        index.add(X[:1], [2**40 + 1])
    found = index.search(X[1:], 2)
    assert (found.ids[:, 0] == np.arange(1, 30) + 2**40).all()
    np.testing.assert_allclose(found.scores[:, 0], 0 if metric == "euclidean" else 1, atol=1e-3)
    index.save(tmp_path / "place")
    assert len(QdrantIndex.load(tmp_path / "place")) == 29


def test_a_collection_of_another_metric_is_refused(server) -> None:
    QdrantIndex(url="http://gate:6333", collection="staff", metric="dot").add(vectors(2), [0, 1])
    with pytest.raises(SavedModelError, match="metric 'cosine'"):
        len(QdrantIndex(url="http://gate:6333", collection="staff"))


def test_no_file_and_no_pickle_holds_the_key(server, tmp_path: Path, monkeypatch) -> None:
    index = QdrantIndex(url="http://ann:hunter2@gate:6333", api_key="hunter3")
    index.add(vectors(2), [0, 1])
    assert server[-1]["api_key"] == "hunter3"
    index.save(tmp_path / "place")
    for kept in ((tmp_path / "place").read_bytes(), pickle.dumps(index)):
        assert b"hunter" not in kept
    monkeypatch.setenv("QDRANT_API_KEY", "hunter4")
    assert len(QdrantIndex.load(tmp_path / "place")) == 2
    assert (server[-1]["url"], server[-1]["api_key"]) == ("http://gate:6333", "hunter4")
    assert len(QdrantIndex.load(tmp_path / "place", api_key="hunter5")) == 2
    assert server[-1]["api_key"] == "hunter5"


def test_a_server_out_of_reach_is_named() -> None:
    pytest.importorskip("qdrant_client")
    index = QdrantIndex(url="http://127.0.0.1:1")
    with pytest.raises(IndexUnavailableError, match="within reach of a Qdrant server"):
        len(index)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": "a", "url": "http://b"}, "must not both be given"),
        ({"path": ":memory:"}, "local mode"),
        ({"url": ":memory:"}, "local mode"),
        ({"url": "gate:6333"}, "url must be as"),
        ({"url": "http://gate", "collection": ""}, "collection must be a name"),
        ({"url": "http://gate", "api_key": 3}, "api_key must be"),
        ({"path": "a", "ef_search": 0}, "ef_search must be"),
        ({"path": "a", "metric": "l1"}, "metric must be one of"),
    ],
)
def test_arguments_that_are_not_allowed_are_named(params, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        QdrantIndex(**params)
