"""One contract, tried on every index: what is found is what a sorted list of all scores says."""

from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit import registry
from siamesekit.errors import InvalidDataError, InvalidParameterError, SavedModelError
from siamesekit.gallery.indexes import Index

METRICS = ("cosine", "euclidean", "dot")
# Whose files hold vectors; those of the others say where the store is.
WITH_VECTORS = ("exact", "usearch", "faiss")


@pytest.fixture(params=registry.names("indexes", plugins=False))
def make(request, new_index):
    return lambda metric="cosine": new_index(request.param, metric=metric)


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)


def scores(metric: str, queries: np.ndarray, stored: np.ndarray) -> np.ndarray:
    a, b = queries.astype(np.float64), stored.astype(np.float64)
    if metric == "euclidean":
        return -np.linalg.norm(a[:, None] - b, axis=2)
    if metric == "cosine":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


@pytest.mark.parametrize("metric", METRICS)
def test_finds_what_a_sorted_list_says(make, metric: str) -> None:
    index, X, Q = make(metric), vectors(300), vectors(20, seed=1)
    ids = np.arange(300) * 7 + 2**40
    index.add(X[:100], ids[:100])
    index.add(X[100:], ids[100:])
    found = index.search(Q, 5)
    wanted = scores(metric, Q, X)
    best = np.argsort(-wanted, axis=1)[:, :5]
    assert len(index) == 300
    assert (found.ids == ids[best]).mean() > 0.98
    assert found.ids.dtype == np.int64
    assert (np.diff(found.scores, axis=1) <= 0).all()
    place = (found.ids - 2**40) // 7
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(wanted, place, 1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_removed_is_found_no_more_and_the_rest_still_is(make, metric: str) -> None:
    index, X = make(metric), vectors(400)
    index.add(X, np.arange(400))
    gone = np.random.default_rng(0).choice(400, 40, replace=False)
    index.remove(gone[:1])
    index.remove(gone[1:])
    assert len(index) == 360
    kept = np.setdiff1d(np.arange(400), gone)
    found = index.search(X, 3)
    assert not np.isin(found.ids, gone).any()
    wanted = kept[scores(metric, X[kept], X[kept]).argmax(1)]
    assert (found.ids[kept, 0] == wanted).mean() > 0.95
    index.add(X[gone], gone)
    assert (index.search(X[gone], 400).ids[:, :] == gone[:, None]).any(1).mean() > 0.95


def test_all_can_be_removed_and_others_added(make) -> None:
    index, X = make(), vectors(30)
    assert index.search(X, 3).ids.shape == (30, 0)
    index.add(X, np.arange(30))
    index.remove(np.arange(30))
    assert len(index) == 0
    assert index.search(X[:2], 3).ids.shape == (2, 0)
    index.add(X[::-1], np.arange(30))
    assert (index.search(X, 1).ids[:, 0] == np.arange(30)[::-1]).mean() > 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_saved_comes_back(make, metric: str, tmp_path: Path) -> None:
    index, X = make(metric), vectors(80)
    index.add(X, np.arange(80))
    index.remove([3, 4])
    index.save(tmp_path / "deep" / "index")
    again = type(index).load(tmp_path / "deep" / "index")
    assert again.get_params() == index.get_params()
    assert len(again) == 78
    found, wanted = again.search(X, 5), index.search(X, 5)
    assert (found.ids == wanted.ids).mean() > 0.98
    again.add(X[3:4], [3])
    assert again.search(X[3:4], 1).ids.shape == (1, 1)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index"]


def test_an_empty_one_is_saved_too(make, tmp_path: Path) -> None:
    make().save(tmp_path / "index")
    again = type(make()).load(tmp_path / "index")
    again.add(vectors(3), [0, 1, 2])
    assert len(again) == 3


@pytest.mark.parametrize("name", WITH_VECTORS)
def test_what_is_forgotten_leaves_no_bytes(name: str, new_index, tmp_path: Path) -> None:
    index, X = new_index(name, metric="euclidean"), vectors(50)
    index.add(X, np.arange(50))
    index.save(tmp_path / "before")
    assert X[7].tobytes() in (tmp_path / "before").read_bytes()
    index.remove([7])
    index.save(tmp_path / "after")
    assert X[7].tobytes() not in (tmp_path / "after").read_bytes()
    assert X[8].tobytes() in (tmp_path / "after").read_bytes()


def test_a_damaged_file_is_refused(make, tmp_path: Path) -> None:
    index, path = make(), tmp_path / "index"
    index.add(vectors(20), np.arange(20))
    index.save(path)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:10], b"", content[:60] + b"\x00" + content[61:]):
        if damaged == content:
            continue
        path.write_bytes(damaged)
        with pytest.raises(SavedModelError):
            type(index).load(path)
    with pytest.raises(SavedModelError, match="no file"):
        type(index).load(tmp_path / "nowhere")


def test_a_file_of_another_index_is_refused(tmp_path: Path) -> None:
    registry.create("indexes", "exact").save(tmp_path / "index")
    with pytest.raises(SavedModelError, match="'exact'"):
        registry.get("indexes", "faiss").load(tmp_path / "index")


@pytest.mark.parametrize(
    ("X", "ids", "message"),
    [
        (vectors(2), [5, 6], "5 is in the index already"),
        (vectors(2), [8, 8], "8 is there twice"),
        (vectors(2), [8], "one id a vector"),
        (vectors(2), [-1, 8], "at least 0"),
        (vectors(2), [1.5, 8], "integers"),
        (vectors(2), ["a", "b"], "integers"),
        (vectors(2)[:, :5], [8, 9], "must have 12 numbers"),
        (vectors(2)[0], [8], r"shape \(n, d\)"),
        (np.full((1, 12), np.nan), [8], "number 0 is not"),
        (np.full((1, 12), 1e300), [8], "number 0 is not"),
    ],
)
def test_what_cannot_be_added_changes_nothing(make, X, ids, message: str) -> None:
    index = make()
    index.add(vectors(6), np.arange(6))
    before = index.search(vectors(3, seed=2), 6)
    with pytest.raises(InvalidDataError, match=message):
        index.add(X, ids)
    after = index.search(vectors(3, seed=2), 6)
    assert len(index) == 6
    np.testing.assert_array_equal(before.ids, after.ids)


def test_bad_searches_and_removals_are_named(make) -> None:
    index: Index = make()
    index.add(torch.from_numpy(vectors(6)), torch.arange(6))
    with pytest.raises(InvalidDataError, match="9 is not"):
        index.remove([1, 9])
    assert len(index) == 6
    with pytest.raises(InvalidDataError, match="12 numbers"):
        index.search(vectors(2)[:, :3], 1)
    with pytest.raises(InvalidParameterError, match="k must be"):
        index.search(vectors(2), 0)
    with pytest.raises(InvalidParameterError, match="metric must be"):
        make("manhattan")


def test_many_added_one_by_one(make) -> None:
    index = make()
    n = 500 if index.kind in WITH_VECTORS else 60
    X = vectors(n)
    for row in range(n):
        index.add(X[row : row + 1], [row])
    assert (index.search(X, 1).ids[:, 0] == np.arange(n)).mean() > 0.95


def test_exact_takes_ranges_of_any_size() -> None:
    X = vectors(5000)
    index = registry.create("indexes", "exact", metric="euclidean")
    index.add(X + 1000, np.arange(5000))
    found = index.search(X[:4] + 1000, 5000)
    np.testing.assert_array_equal(np.sort(found.ids, 1), np.tile(np.arange(5000), (4, 1)))
    assert (found.ids[:, 0] == np.arange(4)).all()
