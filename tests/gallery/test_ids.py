"""Ids of examples: given or counted up, never twice, and what is forgotten by them."""

import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError
from siamesekit.gallery import Gallery

DIM = 4


def vectors_of(ids: list[int]) -> torch.Tensor:
    """Return a direction for each id, the same at every call."""
    return torch.stack([torch.randn(DIM, generator=torch.Generator().manual_seed(i)) for i in ids])


def test_ids_are_counted_up_and_never_given_twice() -> None:
    gallery = Gallery("cosine")
    assert gallery.enroll(torch.randn(3, DIM), ["a", "b", "a"]).tolist() == [0, 1, 2]
    gallery.forget(ids=[2])
    assert gallery.enroll(torch.randn(1, DIM), ["c"]).tolist() == [3]
    gallery.forget(["a", "b", "c"])
    assert len(gallery) == 0
    assert pickle.loads(pickle.dumps(gallery)).enroll(torch.randn(1, DIM), ["a"]).tolist() == [4]
    assert gallery.enroll(torch.randn(2, DIM), ["a", "a"], ids=[9, 7]).tolist() == [9, 7]
    assert gallery.enroll(torch.randn(1, DIM), ["b"]).tolist() == [10]
    assert gallery.ids.tolist() == [9, 7, 10]


def test_a_class_lives_until_its_last_example_goes() -> None:
    gallery, z = Gallery("cosine"), torch.eye(4)
    ids = gallery.enroll(z, ["a", "a", "b", "b"])
    assert gallery.best_classes(z).tolist() == ["a", "a", "b", "b"]
    gallery.forget(ids=ids[:1])
    assert gallery.class_scores(z)[:, 0].tolist() == [-1, 0, -1, -1]
    gallery.forget(ids=int(ids[1]))
    assert gallery.classes.tolist() == ["b"]
    assert gallery.class_scores(z).tolist() == scores_of(z[2:], ["b", "b"], z)


def scores_of(z: torch.Tensor, labels: list[str], queries: torch.Tensor) -> list[list[float]]:
    fresh = Gallery("cosine")
    fresh.enroll(z, labels)
    scores: list[list[float]] = fresh.class_scores(queries).tolist()
    return scores


@pytest.mark.parametrize(
    "ids", [[1, 1], [1], [-1, 2], [0.5, 1.5], ["a", "b"], [[1], [2]], [2**63, 1], [0, 5], [5, 0]]
)
def test_ids_that_cannot_be_are_refused_and_nothing_changes(ids: object) -> None:
    gallery = Gallery("cosine")
    gallery.enroll(torch.randn(1, DIM), [1], ids=[0])
    before = gallery.snapshot
    with pytest.raises(InvalidDataError, match="ids must"):
        gallery.enroll(torch.randn(2, DIM), [1, 2], ids=ids)  # type: ignore[arg-type]
    assert gallery.snapshot is before


@pytest.mark.parametrize("ids", [[3], [0, 3], [1.0], ["0"], -1])
def test_who_is_not_here_cannot_be_forgotten(ids: object) -> None:
    gallery = Gallery("cosine")
    gallery.enroll(torch.randn(2, DIM), [1, 2])
    before = gallery.snapshot
    with pytest.raises(InvalidDataError, match="ids must"):
        gallery.forget(ids=ids)  # type: ignore[arg-type]
    for wrong in ({}, {"labels": [1], "ids": [0]}):
        with pytest.raises(InvalidDataError, match="labels, or ids"):
            gallery.forget(**wrong)
    assert gallery.snapshot is before


def test_the_largest_id_may_be_given_and_nothing_is_counted_up_behind_it() -> None:
    gallery = Gallery("cosine")
    gallery.enroll(torch.randn(1, DIM), [1], ids=[2**63 - 1])
    with pytest.raises(InvalidDataError, match="ids must be given"):
        gallery.enroll(torch.randn(1, DIM), [1])
    gallery.enroll(torch.randn(1, DIM), [1], ids=[5])
    assert gallery.ids.tolist() == [2**63 - 1, 5]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enroll"), st.integers(0, 5), st.integers(1, 3)),
        st.tuples(st.just("enroll with ids"), st.integers(0, 5), st.integers(0, 30)),
        st.tuples(st.just("forget class"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("forget id"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("ask"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_any_sequence_is_as_a_plain_dict(aggregate: str, steps: list[tuple[str, int, int]]) -> None:
    gallery = Gallery("euclidean", aggregate)  # type: ignore[arg-type]
    model: dict[int, int] = {}  # from id to label, in order
    top, queries = 0, vectors_of([100, 101, 102])
    for what, which, number in steps:
        if what == "enroll":
            ids = list(range(top, top + number))
            assert gallery.enroll(vectors_of(ids), [which] * number).tolist() == ids
            model |= dict.fromkeys(ids, which)
            top += number
        elif what == "enroll with ids" and number not in model:
            gallery.enroll(vectors_of([number]), [which], ids=[number])
            model[number] = which
            top = max(top, number + 1)
        elif what == "forget class" and which in model.values():
            gallery.forget([which])
            model = {key: label for key, label in model.items() if label != which}
        elif what == "forget id" and which in model:
            gallery.forget(ids=[which])
            del model[which]
        assert gallery.ids.tolist() == list(model)
        assert gallery.labels.tolist() == list(model.values())
        assert gallery.classes.tolist() == sorted(set(model.values()))
        assert len(gallery) == len(model)
        if model and what == "ask":
            fresh = Gallery("euclidean", aggregate)  # type: ignore[arg-type]
            fresh.enroll(vectors_of(list(model)), list(model.values()))
            torch.testing.assert_close(gallery.class_scores(queries), fresh.class_scores(queries))
    if model:
        assert torch.equal(gallery.vectors, vectors_of(list(model)))


def test_an_earlier_snapshot_keeps_who_is_forgotten_by_id() -> None:
    gallery, z = Gallery("cosine"), torch.randn(20, DIM)
    gallery.enroll(z, np.arange(20) % 5)
    held = gallery.snapshot
    for key in range(15):
        gallery.forget(ids=[key])
    assert held.ids.tolist() == list(range(20))
    assert torch.equal(held.vectors, z)
    assert gallery.ids.tolist() == list(range(15, 20))


def test_ids_cost_no_more_the_more_there_are() -> None:
    def seconds(n: int) -> float:
        gallery, z = Gallery("cosine"), torch.randn(n, DIM)
        order = np.random.default_rng(0).permutation(n)
        start = time.process_time()
        for row, key in enumerate(order.tolist()):
            gallery.enroll(z[row : row + 1], [row // 2], ids=[key])
        for key in order.tolist():
            gallery.forget(ids=[key])
        return time.process_time() - start

    few, many = seconds(500), seconds(4000)
    assert many < 8 * few * 4
