"""Products of bytes rule out what cannot be among the best, and nothing else."""

import numpy as np
import pytest
import torch

from siamesekit.errors import InvalidDataError
from siamesekit.gallery import ExactIndex
from siamesekit.gallery.indexes import _in_bytes as in_bytes

N, DIM = 20_011, 24


def rows(kind: str, n: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, DIM, generator=draw)
    if kind == "one is long":
        x[7] *= 1e4
    if kind == "far from the origin":
        x = x * 0.05 + 1
    if kind == "some are zero":
        x[::3] = 0
    if kind == "all alike":
        x[:] = x[0]
    return x


def wanted(Q: torch.Tensor, X: torch.Tensor, k: int) -> torch.Tensor:
    return (Q.double() @ X.double().T).topk(k).values


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize(
    "kind", ["plain", "one is long", "far from the origin", "some are zero", "all alike"]
)
def test_nothing_is_missed(kind: str, k: int) -> None:
    X, Q = rows(kind, N, 0), rows("plain", 40, 1)
    found = in_bytes.best_of(Q, X, in_bytes.pack(X), np.arange(N), k)
    if found is None:  # too many may be the best: all are then compared
        assert kind in ("far from the origin", "all alike")
        return
    places, products = found
    own = (Q[:, None].double() * X[torch.from_numpy(places)].double()).sum(2)
    np.testing.assert_allclose(own, wanted(Q, X, k), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(products, own, rtol=1e-4, atol=1e-4)
    assert (np.diff(products, axis=1) <= 0).all()


def test_of_equals_the_smaller_id_is_first() -> None:
    X, Q = rows("plain", N, 0), rows("plain", 40, 1)
    X[1000:1010] = X[5]
    Q[0] = 3 * X[5]
    ids = np.arange(N)[::-1].copy()
    found = in_bytes.best_of(Q, X, in_bytes.pack(X), ids, 4)
    assert found is not None
    assert ids[found[0][0]].tolist() == [N - 1 - place for place in (1009, 1008, 1007, 1006)]


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_an_index_answers_the_same_by_bytes(metric: str, monkeypatch) -> None:
    index = ExactIndex(metric)
    X, Q = rows("plain", N, 0).numpy(), rows("plain", 40, 1).numpy()
    index.add(X, np.arange(N))
    answers = []
    for fast in (False, True):
        monkeypatch.setattr(in_bytes, "is_fast", lambda dim, fast=fast: fast)
        first = index.search(Q, 3)
        index.remove(first.ids[:, 0][:1])
        second = index.search(Q, 3)
        assert first.ids[0, 0] not in second.ids
        index.add(X[first.ids[0, :1]], first.ids[0, :1])
        answers += [first, second]
    for plain, bytewise in zip(answers[:2], answers[2:], strict=True):
        np.testing.assert_array_equal(plain.ids, bytewise.ids)
        np.testing.assert_allclose(plain.scores, bytewise.scores, rtol=1e-5, atol=1e-5)


def test_a_processor_is_tried() -> None:
    assert in_bytes.is_fast(64) in (True, False)


@pytest.mark.parametrize("scale", [1e19, 1e25, 1e37])
def test_what_overflows_is_left_to_the_plain_way(scale: float) -> None:
    X, Q = rows("plain", N, 0) * scale, rows("plain", 40, 1) * scale
    assert in_bytes.best_of(Q, X, in_bytes.pack(X), np.arange(N), 3) is None


@pytest.mark.parametrize("scale", [1e-18, 1e-23, 1e-30, 1e-38, 1e-40])
@pytest.mark.parametrize("tiny", ["vectors", "queries", "both"])
def test_what_squares_to_zero_is_found_all_the_same(tiny: str, scale: float) -> None:
    X, Q = rows("plain", N, 0), rows("plain", 40, 1)
    X = X * scale if tiny != "queries" else X
    Q = Q * scale if tiny != "vectors" else Q
    found = in_bytes.best_of(Q, X, in_bytes.pack(X), np.arange(N), 3)
    if found is None:  # so near to zero that nothing is ruled out: all are then compared
        assert scale < 1e-30 or tiny == "both"
        return
    own = (Q[:, None].double() * X[torch.from_numpy(found[0])].double()).sum(2)
    best = wanted(Q, X, 3)
    np.testing.assert_allclose(own, best, rtol=1e-5, atol=1e-5 * float(best.max()))


@pytest.mark.parametrize("which", ["one vector", "one query", "all vectors", "zeros", "constant"])
def test_extremes_are_answered_as_by_the_plain_way(which: str, monkeypatch) -> None:
    X, Q = rows("plain", N, 0).numpy(), rows("plain", 40, 1).numpy()
    if which == "one vector":
        X[5] *= 1e37
    elif which == "one query":
        Q[3] *= 1e37
    elif which == "all vectors":
        X = np.copysign(np.float32(3e38), X)
    else:
        X[:] = which == "constant"
    answers = []
    for fast in (False, True):
        monkeypatch.setattr(in_bytes, "is_fast", lambda dim, fast=fast: fast)
        index = ExactIndex("dot")
        index.add(X, np.arange(N))
        answers.append(index.search(Q, 3).scores)
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-4, atol=1e-4)


def test_nan_among_many_is_refused() -> None:
    X = rows("plain", N, 0).numpy()
    X[9, 0] = np.nan
    index = ExactIndex("dot")
    with pytest.raises(InvalidDataError, match="number 9 is not"):
        index.add(X, np.arange(N))
    assert len(index) == 0
