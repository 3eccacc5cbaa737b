"""Is it who it says it is; and galleries that are given items, which an estimator embeds."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from siamesekit import Gallery, SiameseClassifier
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    SavedModelError,
    TooFewTrialsError,
)
from siamesekit.gallery import _claims


@pytest.mark.parametrize("head", ["cosine", "euclidean", "l1"])
@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_a_claim_is_scored_against_that_class_alone(
    head: str, aggregate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    gallery = Gallery(head, aggregate)  # type: ignore[arg-type]
    gallery.head.build(5).eval()
    gallery.enroll(rng.normal(size=(30, 5)), rng.integers(0, 8, 30))
    gallery.forget(ids=[3, 4])
    gallery.forget(gallery.classes[:1])
    queries = rng.normal(size=(25, 5))
    claims = rng.choice(gallery.classes, 25)
    scores = gallery.class_scores(queries).numpy()
    wanted = scores[np.arange(25), gallery.positions_of(claims)]
    np.testing.assert_allclose(gallery.verify(queries, claims), wanted, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(_claims, "_NUMBERS", 20)  # many blocks
    np.testing.assert_allclose(gallery.verify(queries, claims), wanted, rtol=1e-5, atol=1e-6)
    middle = float(np.median(wanted))
    assert (gallery.verify(queries, claims, threshold=middle + 1e-4) == (wanted > middle)).all()


def test_all_may_claim_to_be_one(tmp_path: Path) -> None:
    gallery = Gallery()
    gallery.enroll(np.eye(3), ["a", "b", "a"])
    assert gallery.verify(np.eye(3), "b").tolist() == [-1, 0, -1]
    assert gallery.verify(np.eye(1, 3), ["b"]).tolist() == [-1]
    assert gallery.verify(np.empty((0, 3)), np.array([], dtype=str)).shape == (0,)
    assert gallery.verify(np.eye(3), "b", threshold=-0.5).dtype == bool


@pytest.mark.parametrize(
    ("vectors", "labels", "options"),
    [
        (np.eye(3), ["a", "b", "nobody"], {}),
        (np.eye(3), ["a", "b"], {}),
        (np.eye(3), ["a"], {}),
        (np.eye(3), [1, 2, 3], {}),
        (np.eye(3), None, {}),
        (np.eye(4), ["a"] * 4, {}),
        (np.full((1, 3), np.nan), ["a"], {}),
        (np.eye(3), ["a"] * 3, {"threshold": np.nan}),
        (np.eye(3), ["a"] * 3, {"threshold": "high"}),
    ],
)
def test_claims_that_cannot_be_are_named(vectors: object, labels: object, options: dict) -> None:
    gallery = Gallery()
    gallery.enroll(np.eye(3), ["a", "b", "a"])
    with pytest.raises((InvalidDataError, InvalidParameterError)):
        gallery.verify(vectors, labels, **options)  # type: ignore[arg-type]


def test_strangers_claims_are_believed_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=(500, 8))
    gallery = Gallery()
    gallery.enroll(people[:5], np.arange(5))
    with pytest.raises(TooFewTrialsError):
        gallery.verify(people[:5], np.arange(5), fmr=0.05)
    gallery.set_background(people[5:250], np.arange(5, 250))
    assert gallery.verify(people[:5], np.arange(5), fmr=0.05).all()
    strangers = people[250:]
    believed = [gallery.verify(strangers, claim, fmr=0.05).mean() for claim in range(5)]
    assert np.mean(believed) <= 0.06
    with pytest.raises(InvalidParameterError, match="fmr must be None"):
        gallery.verify(people[:5], np.arange(5), fmr=0.05, threshold=0)
    with pytest.raises(InvalidParameterError, match="fmr must be"):
        gallery.verify(people[:5], np.arange(5), fmr=1.5)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 12)
    return (rng.normal(size=(8, 10))[y] + 0.2 * rng.normal(size=(96, 10))).astype(np.float32), y


def test_a_gallery_of_items_embeds_them_as_the_estimator_does(
    data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = data
    clf = SiameseClassifier(max_epochs=1, random_state=0, enroll_training=False).fit(X, y)
    clf.enroll(X[:1], y[:1])
    assert clf.verify(X[:1], y[:1], threshold=-1e-3).all()
    gallery = Gallery(estimator=clf)
    assert gallery.head is clf.head_
    gallery.enroll(X[::3], y[::3])
    plain = Gallery(clf.head_)
    plain.enroll(clf.transform(X[::3]), y[::3])
    assert torch.equal(gallery.vectors, plain.vectors)
    answers = plain.best_classes(clf.transform(X[1::3]))
    assert (gallery.best_classes(X[1::3]) == answers).all()
    assert (gallery.verify(X[1::3], y[1::3]) == plain.verify(clf.transform(X[1::3]), y[1::3])).all()
    copied = pickle.loads(pickle.dumps(gallery))
    assert (copied.best_classes(X[1::3]) == answers).all()
    with pytest.raises(InvalidDataError):
        gallery.enroll(X[:1, :4], [1])

    gallery.save(tmp_path / "people")
    again = Gallery.load(tmp_path / "people", estimator=clf)
    assert (again.best_classes(X[1::3]) == answers).all()
    bare = Gallery.load(tmp_path / "people")
    assert (bare.best_classes(clf.transform(X[1::3])) == answers).all()

    clf.save(tmp_path / "model")
    reloaded = SiameseClassifier.load(tmp_path / "model")
    assert (
        Gallery.load(tmp_path / "people", estimator=reloaded).best_classes(X[1::3]) == answers
    ).all()

    clf.fit(X * 2, y)  # a network of other weights: what is here stays of one kind
    assert (gallery.best_classes(X[1::3]) == answers).all()
    with pytest.raises(SavedModelError, match="another network"):
        Gallery.load(tmp_path / "people", estimator=clf)


def test_whatever_transforms_may_embed(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    gallery = Gallery("euclidean", estimator=PCA(4).fit(X))
    gallery.enroll(X[::2], y[::2])
    assert gallery.vectors.shape == (48, 4)
    assert (gallery.best_classes(X[1::2]) == y[1::2]).mean() > 0.9
    for wrong in (3, "clf", PCA):
        with pytest.raises(InvalidParameterError, match="transform"):
            Gallery(estimator=wrong)  # type: ignore[arg-type]
