"""Of equally good classes one is drawn by the item: a constant scorer gets exactly chance."""

import numpy as np
import pytest
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.gallery import Gallery
from siamesekit.gallery._twins import checksums, twins_of
from siamesekit.heads import CosineHead, EuclideanHead, Head, L1Head

M, K = 4000, 8
NAMES = np.array([f"class {k}" for k in range(K)])
ITEMS = torch.arange(M)[:, None].float()


class Constant(Head):
    """Every score is the same."""

    gives = "distance"

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a.new_full((len(a), len(b)), -1.0)

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return a.new_full((len(a),), -1.0)


@pytest.fixture(params=["prototype", "mean", "max"])
def gallery(request: pytest.FixtureRequest) -> Gallery:
    made = Gallery(Constant(), request.param)
    made.enroll(torch.randn(K + 3, 4), np.append(NAMES, NAMES[:3]))
    return made


def test_no_class_is_favoured(gallery: Gallery) -> None:
    chosen = gallery.best_classes(torch.zeros(M, 4), ITEMS)
    counts = np.array([(chosen == name).sum() for name in NAMES])
    assert np.abs(counts - M / K).max() < 6 * np.sqrt(M / K)
    # Nor does it go by what the classes are worth to somebody: right answers are chance too.
    assert gallery.worth(torch.zeros(M, 4), NAMES[np.arange(M) % K]) == pytest.approx(1 / K)
    assert np.mean(chosen == NAMES[np.arange(M) % K]) == pytest.approx(1 / K, abs=0.04)


def test_an_answer_depends_on_its_item_alone(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = torch.zeros(M, 4)
    chosen = gallery.best_classes(queries, ITEMS)
    order = torch.randperm(M, generator=torch.Generator().manual_seed(0))
    assert (gallery.best_classes(queries, ITEMS[order]) == chosen[order.numpy()]).all()
    assert (gallery.best_classes(queries[:7], ITEMS[40:47]) == chosen[40:47]).all()
    again = Gallery(Constant())
    again.enroll(torch.randn(K, 4), NAMES[::-1].copy())
    assert (again.best_classes(queries, ITEMS) == chosen).all()
    monkeypatch.setattr("siamesekit.gallery._prepared._SCORES", 3 * 64)
    monkeypatch.setattr("siamesekit.gallery._prepared._QUERIES", 64)
    assert (gallery.best_classes(queries, ITEMS) == chosen).all()


def test_who_did_not_get_a_forgotten_class_keeps_the_answer(gallery: Gallery) -> None:
    chosen = gallery.best_classes(torch.zeros(M, 4), ITEMS)
    gallery.forget(NAMES[:1])
    others = chosen != NAMES[0]
    assert (gallery.best_classes(torch.zeros(M, 4), ITEMS)[others] == chosen[others]).all()


def test_a_tie_of_some_is_shared_by_these_alone() -> None:
    gallery = Gallery(CosineHead())
    gallery.enroll(torch.eye(4)[[0, 0, 1]], ["a", "b", "c"])
    queries = torch.eye(4)[[0]].repeat(300, 1)
    assert set(gallery.best_classes(queries, ITEMS[:300]).tolist()) == {"a", "b"}
    assert gallery.worth(queries[:4], ["a", "b", "c", "d"]).tolist() == [0.5, 0.5, 0, 0]
    assert set(gallery.best_classes(queries, ITEMS[:300], classes=["b", "c"]).tolist()) == {"b"}


def test_many_classes_with_the_best_in_several_chunks() -> None:
    k = 1111
    z = torch.zeros(k, 3)
    z[:, 1] = 1
    z[[5, 700, 1110]] = torch.tensor([1.0, 0.0, 0.0])
    gallery = Gallery(CosineHead())
    gallery.enroll(z, np.arange(k))
    chosen = gallery.best_classes(torch.eye(3)[:1].repeat(200, 1), ITEMS[:200])
    assert set(chosen.tolist()) == {5, 700, 1110}
    assert gallery.worth(torch.eye(3)[:1], [700]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@pytest.mark.parametrize("head", [CosineHead(), EuclideanHead(), L1Head().build(37)])
@pytest.mark.parametrize("k", [3, 5, 17, 300])
def test_a_network_that_maps_all_to_one_place_gets_exactly_chance(
    head: Head, aggregate: str, k: int
) -> None:
    place = torch.randn(1, 37, generator=torch.Generator().manual_seed(k))
    labels = np.arange(k).repeat(1 + np.arange(k) % 4)
    gallery = Gallery(head, aggregate)  # type: ignore[arg-type]
    gallery.enroll(place.expand(len(labels), -1), labels)
    for m in (1, 5, 64):
        worth = gallery.worth(place.expand(m, -1), np.arange(m) % k)
        assert (worth == 1 / k).all()


def test_rows_that_agree_in_part_are_no_twins() -> None:
    rows = torch.zeros(50, 6)
    rows[:, 3] = torch.arange(50) // 2
    twins = twins_of(rows, checksums(rows))
    assert twins is not None
    assert twins.tolist() == [k - k % 2 for k in range(50)]
    assert twins_of(torch.eye(6), checksums(torch.eye(6))) is None
    # Unequal rows of one sum are told apart.
    assert twins_of(torch.eye(6), np.zeros(6, dtype=np.uint32)) is None


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@pytest.mark.parametrize("head", ["cosine", "cosine-concat", "euclidean", "l1", "sqeuclidean"])
def test_the_same_examples_under_two_names_tie_in_any_order(head: str, aggregate: str) -> None:
    with drawing_from(0):
        made = registry.create("heads", head).build(16).eval()
    examples = torch.randn(4, 30, 16, generator=torch.Generator().manual_seed(0)) + 1
    gallery = Gallery(made, aggregate)  # type: ignore[arg-type]
    for name, order in (("a", [0, 1, 2, 3]), ("b", [2, 3, 0, 1]), ("c", [3, 1, 2, 0])):
        for part in order:
            gallery.enroll(examples[part], [f"{name}{k}" for k in range(30)])
    # One that has more of them than the others.
    gallery.enroll(torch.randn(5, 16) - 9, ["d"] * 5)
    scores = gallery.class_scores(examples[0] + 0.1)[:, :90]
    for other in (scores[:, 30:60], scores[:, 60:]):
        assert torch.equal(scores[:, :30], other)
