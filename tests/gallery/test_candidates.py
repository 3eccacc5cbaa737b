"""A gallery that searches by an index gives the answers of one that compares with all."""

import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit import Gallery, SiameseClassifier, registry
from siamesekit.errors import (
    IndexUnavailableError,
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
)
from siamesekit.gallery import ExactIndex, PgvectorIndex
from siamesekit.heads import CosineHead, Head

N, DIM = 300, 16


def embeddings(n: int = N, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed))


def built(name: str) -> Head:
    head = registry.create("heads", name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head.build(DIM)
    if hasattr(head, "weight"):  # as after training: numbers that matter more and less
        torch.nn.init.uniform_(head.weight, -1.0, 0.0)
    if name == "cosine-concat":  # likewise: what is alike counts for it
        with torch.no_grad():
            head.logit.weight.abs_()
            head.dense.weight.abs_()
            head.dense.weight[:, :DIM] *= -0.1
            head.dense.weight[:, DIM : 2 * DIM] *= 0.1
            head.dense.weight[:, 2 * DIM] *= 10
            head.dense.bias.fill_(1.0)
    return head.eval()


def pair(head: Head, aggregate: str = "max", **options: object) -> tuple[Gallery, Gallery]:
    """A gallery that compares with all, and one that searches."""
    return Gallery(head, aggregate), Gallery(head, aggregate, **{"index": "exact"} | options)


@pytest.mark.parametrize("name", ["cosine", "euclidean", "sqeuclidean", "squared"])
@pytest.mark.parametrize("shot", [1, 3])
def test_by_an_exact_index_nothing_is_missed(name: str, shot: int) -> None:
    plain, indexed = pair(built(name), n_candidates=10)
    labels = np.arange(N) // shot
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), labels)
        gallery.forget([5, 6])
        gallery.forget(ids=[0])
    Q = embeddings(50, seed=1)
    np.testing.assert_array_equal(plain.best_classes(Q), indexed.best_classes(Q))
    np.testing.assert_array_equal(plain.worth(Q, labels[:50]), indexed.worth(Q, labels[:50]))
    all_of_them, found = plain.identify(Q, k=3), indexed.identify(Q, k=3)
    if shot == 1:
        np.testing.assert_array_equal(all_of_them.labels, found.labels)
        np.testing.assert_array_equal(all_of_them.scores, found.scores)
    assert indexed.index.metric == {"cosine": "cosine"}.get(name, "euclidean")


@pytest.mark.parametrize("name", ["l1", "cosine-concat"])
@pytest.mark.parametrize("index", ["exact", "usearch", "faiss"])
def test_learned_heads_choose_among_candidates(name: str, index: str) -> None:
    if index != "exact":
        pytest.importorskip(index)
    plain, indexed = pair(built(name), index=index, n_candidates=150)
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), np.arange(N))
    Q = embeddings()[:60] + 0.3 * embeddings(60, seed=1)
    right = plain.best_classes(Q) == indexed.best_classes(Q)
    assert right.mean() > 0.9
    found, wanted = indexed.identify(Q, k=1), plain.identify(Q, k=1)
    # Whoever is found is scored as always.
    np.testing.assert_array_equal(found.scores[right], wanted.scores[right])


@pytest.mark.parametrize("aggregate", ["prototype", "mean"])
def test_several_examples_are_compared_as_always(aggregate: str) -> None:
    plain, indexed = pair(CosineHead(), aggregate, n_candidates=60)
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), np.arange(N) // 3)
    Q = embeddings()[::3] + 0.2 * embeddings(100, seed=1)
    right = plain.best_classes(Q) == indexed.best_classes(Q)
    assert right.mean() > 0.9
    found, wanted = indexed.identify(Q, k=1), plain.identify(Q, k=1)
    np.testing.assert_array_equal(found.scores[right], wanted.scores[right])


def test_ties_are_drawn_as_always() -> None:
    plain, indexed = pair(CosineHead(), n_candidates=40)
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(10).repeat(3, 1), np.arange(30))
    Q = embeddings(10)
    np.testing.assert_array_equal(plain.best_classes(Q), indexed.best_classes(Q))
    assert (indexed.worth(Q, np.arange(10)) == 1 / 3).all()


def test_where_too_few_are_found_all_are_compared() -> None:
    plain, indexed = pair(CosineHead(), n_candidates=1)
    labels = np.repeat(["many", "few", "one"], [200, 99, 1])
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), labels)
    Q = embeddings(20, seed=2)
    np.testing.assert_array_equal(indexed.identify(Q, k=3).labels, plain.identify(Q, k=3).labels)


def test_classes_alone_and_claims_and_thresholds_look_at_all() -> None:
    plain, indexed = pair(CosineHead(), n_candidates=1)
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), np.arange(N))
        gallery.set_background(embeddings(100, seed=3), np.arange(100) + 1000)
    Q = embeddings(20, seed=2)
    some = [250, 251, 252]
    np.testing.assert_array_equal(
        indexed.best_classes(Q, classes=some), plain.best_classes(Q, classes=some)
    )
    np.testing.assert_array_equal(indexed.class_scores(Q), plain.class_scores(Q))
    np.testing.assert_array_equal(indexed.verify(Q, [7] * 20), plain.verify(Q, [7] * 20))
    assert indexed.threshold(fpir=0.1, confidence=None) == plain.threshold(
        fpir=0.1, confidence=None
    )


@pytest.mark.parametrize("index", ["exact", "usearch", "faiss"])
def test_a_gallery_is_saved_with_its_index(index: str, tmp_path: Path) -> None:
    if index != "exact":
        pytest.importorskip(index)
    gallery = Gallery("euclidean", "max", index=index, n_candidates=7)
    gallery.enroll(embeddings(60), np.arange(60))
    gallery.forget([3])
    gallery.save(tmp_path / "gallery")
    again = Gallery.load(tmp_path / "gallery")
    assert again.index.kind == index
    assert again.index.get_params() == gallery.index.get_params()
    assert (again.n_candidates, len(again.index)) == (7, 59)
    Q = embeddings(60)
    np.testing.assert_array_equal(again.best_classes(Q), gallery.best_classes(Q))
    assert Gallery.load(tmp_path / "gallery", index=None).index is None


def test_copies_have_indexes_of_their_own() -> None:
    gallery = Gallery("cosine", index="exact")
    gallery.enroll(embeddings(20), np.arange(20))
    for other in (
        copy.copy(gallery),
        copy.deepcopy(gallery),
        pickle.loads(pickle.dumps(gallery)),
    ):
        other.enroll(embeddings(5, seed=1), np.arange(5) + 100)
        assert (other.best_classes(embeddings(5, seed=1)) == np.arange(5) + 100).all()
        assert len(other.index) == 25
    assert len(gallery.index) == 20


def test_a_head_that_changes_is_searched_anew() -> None:
    head = built("squared")
    plain, indexed = pair(head, n_candidates=5)
    for gallery in (plain, indexed):
        gallery.enroll(embeddings(), np.arange(N))
    Q = embeddings(30, seed=1)
    indexed.best_classes(Q)
    with torch.no_grad():
        head.weight[:8] = -5.0
        head.weight[8:] = -0.01
    np.testing.assert_array_equal(indexed.best_classes(Q), plain.best_classes(Q))


def test_an_index_can_be_changed() -> None:
    gallery = Gallery("cosine")
    gallery.enroll(embeddings(30), np.arange(30))
    index = ExactIndex("cosine")
    gallery.use_index(index)
    assert gallery.index is index
    assert len(index) == 30
    gallery.forget(range(30))
    assert len(index) == 0
    gallery.use_index(None)
    assert gallery.index is None


class Unreliable(ExactIndex):
    """A store that fails when it is told to."""

    fails = False

    def _add(self, vectors, ids) -> None:
        if self.fails:
            raise IndexUnavailableError("no")
        super()._add(vectors, ids)

    def _remove(self, ids) -> None:
        if self.fails:
            raise IndexUnavailableError("no")
        super()._remove(ids)


def test_what_the_index_refuses_changes_nothing() -> None:
    index = Unreliable("cosine")
    gallery = Gallery("cosine", index=index)
    gallery.enroll(embeddings(10), np.arange(10))
    index.fails = True
    for change in (
        lambda: gallery.enroll(embeddings(2, seed=1), [50, 51]),
        lambda: gallery.forget([3]),
        lambda: gallery.forget(ids=[3]),
    ):
        with pytest.raises(IndexUnavailableError):
            change()
        assert len(gallery) == len(index) == 10
    index.fails = False
    assert gallery.enroll(embeddings(1, seed=1), [50]).tolist() == [10]
    assert gallery.best_classes(embeddings(1, seed=1)).tolist() == [50]


def test_threads_ask_while_others_enroll_and_forget() -> None:
    gallery = Gallery("cosine", index="exact", n_candidates=5)
    gallery.enroll(embeddings(50), np.arange(50))
    errors: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(30):
                assert (gallery.best_classes(embeddings(50)) == np.arange(50)).all()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(30):
        gallery.enroll(embeddings(3, seed=1 + turn), [100, 101, 102])
        gallery.forget([100, 101, 102])
    for thread in threads:
        thread.join(timeout=60)
    assert not errors


def test_what_is_no_index_is_named() -> None:
    for wrong in (3, [], dict, object()):
        with pytest.raises(InvalidParameterError, match="index must be a name"):
            Gallery("cosine", index=wrong)
    with pytest.raises(ValueError, match="exact"):
        Gallery("cosine", index="exakt")
    with pytest.raises(InvalidParameterError, match="n_candidates"):
        Gallery("cosine", n_candidates=0)


# -- a store that others share ------------------------------------------------------------------


def test_a_gallery_in_postgresql(new_index, tmp_path: Path) -> None:
    index = new_index("pgvector")
    gallery = Gallery("cosine", "max", index=index)
    gallery.enroll(embeddings(40), np.arange(40))
    gallery.forget([3])
    assert len(index) == 39
    assert gallery.best_classes(embeddings(3)).tolist() == [0, 1, 2]
    gallery.save(tmp_path / "gallery")
    with pytest.raises(SavedModelError, match="PgvectorIndex"):
        Gallery.load(tmp_path / "gallery")
    there = PgvectorIndex(**index.get_params())
    again = Gallery.load(tmp_path / "gallery", index=there)
    assert again.best_classes(embeddings(3)).tolist() == [0, 1, 2]
    again.enroll(embeddings(1, seed=5), [77])
    assert len(index) == 40
    # The other gallery knows nobody of that id, and is told when it would give it away.
    assert 77 not in gallery.identify(embeddings(1, seed=5), k=5).labels
    with pytest.raises(InvalidDataError, match="is in the index already"):
        gallery.enroll(embeddings(1, seed=6), [78])
    assert len(gallery) == 39


# -- estimators ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 6
    return (rng.normal(size=(6, 8))[y] * 3 + rng.normal(size=(60, 8))).astype(np.float32), y


def test_a_classifier_searches_by_index_and_is_saved_so(data, tmp_path: Path) -> None:
    X, y = data
    plain = SiameseClassifier(max_epochs=1, random_state=0).fit(X, y)
    model = SiameseClassifier(max_epochs=1, random_state=0, index="exact").fit(X, y)
    assert len(model.gallery_.index) == 60
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    model.forget(2)
    model.save(tmp_path / "model")
    again = SiameseClassifier.load(tmp_path / "model")
    assert again.index == "exact"
    assert isinstance(again.gallery_.index, ExactIndex)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    fresh = SiameseClassifier(index=ExactIndex("euclidean")).set_params(index__metric="cosine")
    assert fresh.index.metric == "cosine"
    with pytest.raises(InvalidParameterError, match="index must be"):
        SiameseClassifier(index=3).fit(X, y)


def test_a_store_out_of_reach_loses_nothing_that_was_learned(data, tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    X, y = data
    index = PgvectorIndex("postgresql://ann:hunter2@127.0.0.1:1/gate?connect_timeout=2")
    model = SiameseClassifier(max_epochs=0, random_state=0, index=index)
    with pytest.warns(UserWarning, match="cannot be used"):
        model.fit(X, y)
    assert model.gallery_.index is None
    assert model.predict(X).shape == (60,)
    model.save(tmp_path / "model")
    written = b"".join(path.read_bytes() for path in (tmp_path / "model").iterdir())
    assert b"hunter2" not in written
    assert SiameseClassifier.load(tmp_path / "model").gallery_.index is None
