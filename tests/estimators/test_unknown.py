"""Estimators that say that it is nobody, and what they promise."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    LeakageError,
    TooFewTrialsError,
)
from siamesekit.gallery import TooFewPeopleWarning

KNOWN, OTHERS = np.arange(10), np.arange(10, 110)


def items(classes: np.ndarray, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points near a place of each class."""
    rng = np.random.default_rng(seed)
    places = 6 * np.stack([np.random.default_rng(k).normal(size=6) for k in classes])
    labels = classes.repeat(each)
    return places.repeat(each, 0) + 0.3 * rng.normal(size=(len(labels), 6)), labels


def fitted(**params: object) -> SiameseClassifier:
    made = SiameseClassifier(
        backbone=nn.Identity(), head="euclidean", max_epochs=0, random_state=0, **params
    )
    return made.fit(*items(KNOWN, 3))


def strangers() -> np.ndarray:
    return items(np.arange(500, 560), 2)[0]


def test_predict_says_unknown() -> None:
    clf = fitted(unknown_label=-1).set_background(*items(OTHERS, 3))
    X, y = items(KNOWN, 4, seed=1)
    assert (clf.predict(X) == y).mean() > 0.9
    assert (clf.predict(strangers()) == -1).mean() >= 0.95
    both = np.concatenate([X, strangers()]), np.concatenate([y, np.full(120, -1)])
    assert clf.score(*both) == pytest.approx((clf.predict(both[0]) == both[1]).mean())
    assert (clf.predict(X, classes=[3]) == np.where(y == 3, 3, -1)).mean() > 0.95
    assert clf.predict(X).dtype == y.dtype
    assert clf.predict_proba(X).shape == (40, 10)


def test_a_label_longer_than_the_classes_stays_whole() -> None:
    made = SiameseClassifier(max_epochs=0, head="euclidean", unknown_label="nobody at all")
    X, y = items(KNOWN, 3)
    made.fit(X, y.astype(str)).set_background(*items(OTHERS, 3))
    assert set(made.predict(strangers()).tolist()) >= {"nobody at all"}


def test_identify() -> None:
    clf = fitted().set_background(*items(OTHERS, 3))
    X, y = items(KNOWN, 2, seed=1)
    found = clf.identify(X, k=3, fpir=0.05)
    assert found.labels.shape == found.scores.shape == (20, 3)
    assert found.probabilities is not None
    assert (found.labels[:, 0] == y).all()
    assert not found.unknown.any()
    assert clf.identify(strangers(), fpir=0.05).unknown.mean() >= 0.95
    # Nothing is refused where nothing is promised.
    assert not clf.identify(strangers()).unknown.any()
    closed = clf.identify(X, k=10)
    proba = clf.predict_proba(X)
    assert closed.probabilities is not None
    np.testing.assert_allclose(closed.probabilities, -np.sort(-proba, axis=1), rtol=1e-5)
    refusing = clone(clf).set_params(unknown_label=-1, fpir=0.1).fit(*items(KNOWN, 3))
    refusing.set_background(*items(OTHERS, 3))
    threshold = refusing.identify(X).threshold
    assert threshold is not None
    assert threshold.promised == 0.1
    assert refusing.threshold() == threshold
    assert refusing.threshold(gallery_size=50) > threshold


def test_the_held_out_classes_of_validation_are_strangers() -> None:
    X, y = items(np.arange(200), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = SiameseClassifier(
            "mlp", max_epochs=1, validation=0.4, random_state=0, enroll_training=False
        ).fit(X, y)
        held_out = set(clf.chosen_classes_)
        assert clf.gallery_.background is not None
        assert set(clf.gallery_.background[1]) == held_out
        clf.enroll(*items(np.arange(900, 905), 1))
        assert clf.threshold(0.05).n_people == 80 + 5
        # Of those enrolled by fit, only the held-out ones are strangers to the rest.
        enrolling = clone(clf).set_params(enroll_training=True).fit(X, y)
        assert enrolling.threshold(0.05).n_people == len(enrolling.chosen_classes_)


def test_calibrate_hands_over_its_classes() -> None:
    clf = fitted()
    clf.calibrate(*items(OTHERS, 2))
    assert clf.threshold().n_people == 110
    clf.calibrate(*items(KNOWN, 2))
    assert clf.threshold().n_people == 110


def test_trained_classes_are_no_background() -> None:
    X, y = items(np.arange(20), 4)
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0, unknown_label=-1).fit(X, y)
    with pytest.raises(LeakageError, match=r"not trained on.*got 3"):
        clf.set_background(*items(np.array([300, 3]), 2))
    with pytest.raises(TooFewTrialsError, match="20 enrolled who were trained on"):
        clf.predict(X)
    clf.set_background(*items(np.arange(300, 310), 1))
    with pytest.warns(TooFewPeopleWarning, match="all that 10 people"):
        clf.predict(X)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("nobody", "of the kind of the classes, numbers; got 'nobody'"),
        (True, "of the kind of the classes, numbers; got True"),
        (3, "no class that anybody is of; got 3"),
        ([1, 2], "None, or one label"),
        (float("nan"), "None, or one label"),
        (object(), "None, or one label"),
    ],
)
def test_an_unknown_label_that_does_not_fit(label: object, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        fitted(unknown_label=label)


def test_nobody_is_enrolled_as_unknown() -> None:
    clf = fitted(unknown_label=-1)
    with pytest.raises(InvalidParameterError, match="no class that anybody is of"):
        clf.enroll(items(KNOWN, 1)[0][:1], [-1])
    assert len(clf.classes_) == 10
    with pytest.raises(InvalidParameterError, match="fpir must be"):
        fitted(fpir=0)


def test_a_saved_model_keeps_its_promise(tmp_path: Path) -> None:
    clf = fitted(unknown_label=-1, fpir=0.1).set_background(*items(OTHERS, 3))
    clf.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model", backbone=nn.Identity())
    assert loaded.threshold() == clf.threshold()
    assert loaded.threshold().upper == clf.threshold().upper
    assert loaded.predict(strangers()).tolist() == clf.predict(strangers()).tolist()


def test_groups_reach_the_gallery_and_the_file(tmp_path: Path) -> None:
    X, y = items(np.arange(40), 3)
    groups = y // 4
    clf = SiameseClassifier("mlp", max_epochs=1, validation=0.5, random_state=0)
    clf.fit(X, y, groups)
    known = clf.gallery_._strangers.background
    assert known is not None
    assert known.groups is not None
    assert len(np.unique(known.groups)) == 5
    clf.fit(X, y, np.where(y < 20, 0, 1))  # one group is left to judge: no kinds to compare
    known = clf.gallery_._strangers.background
    assert known is not None
    assert known.groups is None
    others, names = items(np.arange(100, 200), 2)
    searching = np.arange(len(names)) % 2 == 0
    clf.set_background(others, names, names % 7, searching)
    clf.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    kept = loaded.gallery_._strangers.background
    assert kept is not None
    assert kept.groups is not None
    assert kept.searching is not None
    assert (kept.searching == searching).all()
    assert loaded.threshold(0.1) == clf.threshold(0.1)


def test_unknowns_become_people() -> None:
    clf = fitted(unknown_label=-1).set_background(*items(np.arange(10, 510), 2))
    X, y = items(np.array([600, 601, 602]), 5)
    groups = clf.group_unknown(X)
    assert groups.n_groups == 3
    assert len({(a, b) for a, b in zip(groups.groups, y, strict=True)}) == 3
    clf.identify(X, remember=True)
    clf.enroll_group(clf.group_unknown(), 0, 77)
    assert (clf.predict(X) == 77).sum() == 5
    with pytest.raises(InvalidParameterError, match="no class that anybody is of"):
        clf.enroll_group(clf.group_unknown(), 0, -1)
    clf.gallery_.forget_refused()
    with pytest.raises(InvalidDataError, match="remember=True"):
        clf.group_unknown()
