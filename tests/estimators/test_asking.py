"""Who is it: ties, threads, blocks, and what is refused."""

import copy
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError

RNG = np.random.default_rng(0)
CENTRES = 6 * np.eye(8)
Y = np.arange(80) % 8
X = (CENTRES[Y] + RNG.normal(size=(80, 8))).astype(np.float32)
NAMES = np.array([f"person{k}" for k in range(8)])
SECONDS = 1.5


class Collapsed(nn.Module):
    """Maps all items to one place."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.linspace(-1, 1, 37))

    def forward(self, x: Tensor) -> Tensor:
        return self.place.expand(len(x), -1)


@pytest.fixture(scope="module")
def fitted() -> SiameseClassifier:
    return SiameseClassifier(max_epochs=3, random_state=0, device="cpu").fit(X, NAMES[Y])


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def collapsed(request: pytest.FixtureRequest) -> SiameseClassifier:
    clf = SiameseClassifier(Collapsed(), request.param, max_epochs=0, random_state=0, device="cpu")
    frequent = np.append(Y, np.zeros(400, dtype=int))  # a class with most of the items
    return clf.fit(np.concatenate([X, RNG.normal(size=(400, 8)).astype(np.float32)]), frequent)


def test_a_collapsed_network_scores_exactly_chance(collapsed: SiameseClassifier) -> None:
    assert collapsed.score(X, Y) == pytest.approx(1 / 8)
    assert collapsed.score(X, np.zeros(80, dtype=int)) == pytest.approx(1 / 8)


def test_a_collapsed_network_names_no_class_more_often(collapsed: SiameseClassifier) -> None:
    items = RNG.normal(size=(1600, 8)).astype(np.float32)
    counts = np.bincount(collapsed.predict(items), minlength=8)
    assert np.abs(counts - 200).max() < 6 * np.sqrt(200)
    order = RNG.permutation(1600)
    answers = collapsed.predict(items)
    np.testing.assert_array_equal(collapsed.predict(items[order]), answers[order])
    np.testing.assert_array_equal(collapsed.predict(items[5:6]), answers[5:6])


def test_without_ties_score_is_the_accuracy(fitted: SiameseClassifier) -> None:
    weights = RNG.random(80)
    for own in (None, weights):
        expected = accuracy_score(NAMES[Y], fitted.predict(X), sample_weight=own)
        assert fitted.score(X, NAMES[Y], sample_weight=own) == pytest.approx(expected)


@pytest.mark.parametrize(
    "weights", [[1.0], np.zeros(80), np.full(80, -1.0), np.full(80, np.nan), "heavy", [[1.0]] * 80]
)
def test_weights_that_do_not_fit_are_named(fitted: SiameseClassifier, weights: object) -> None:
    with pytest.raises(InvalidDataError, match="sample_weight must hold"):
        fitted.score(X, NAMES[Y], sample_weight=weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "classes",
    [["person3", "person1"], {"person1", "person3"}, np.array(["person1", "person3", "person3"])],
)
def test_among_some_classes(fitted: SiameseClassifier, classes: object) -> None:
    answers = fitted.predict(X, classes=classes)  # type: ignore[arg-type]
    assert set(answers.tolist()) == {"person1", "person3"}
    own = np.isin(Y, [1, 3])
    np.testing.assert_array_equal(answers[own], NAMES[Y][own])
    assert set(fitted.predict(X, classes="person5").tolist()) == {"person5"}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least one enrolled class"),
        ([["person1"]], "classes must"),
        ([3], "classes must hold strings"),
        (["person11"], "'person11' is not.*Did you mean 'person1'"),
        ([None], "classes must"),
    ],
)
def test_classes_that_cannot_be_asked_for_are_named(
    fitted: SiameseClassifier, classes: object, message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message):
        fitted.predict(X, classes=classes)  # type: ignore[arg-type]
    if classes:
        with pytest.raises(InvalidDataError):
            fitted.forget(classes)  # type: ignore[arg-type]
    assert len(fitted.classes_) == 8


def test_one_long_embedding_does_not_take_its_class_along() -> None:
    clf = SiameseClassifier(nn.Linear(8, 8), max_epochs=3, random_state=0, device="cpu")
    clf.fit(X, Y)
    before = clf.score(X, Y)
    clf.enroll(np.full((1, 8), 1e15, np.float32), [3])
    assert clf.score(X, Y) == pytest.approx(before, abs=0.05)


def test_answers_and_saved_models_are_of_one_moment_while_others_come_and_go(
    fitted: SiameseClassifier, tmp_path: Path
) -> None:
    clf, some = copy.copy(fitted), NAMES[2:5]
    truth, truth_of_some = clf.predict(X), clf.predict(X, classes=some)
    far = np.full((1, 8), -50, np.float32)
    assert (clf.enroll(far, ["far"]).predict(X) == truth).all()
    clf.forget("far")
    raised: list[BaseException] = []
    end = time.monotonic() + SECONDS

    def again(call: Callable[[], bool]) -> None:
        try:
            while time.monotonic() < end and not raised:
                assert call()
        except BaseException as error:
            raised.append(error)

    def visitor(name: str) -> Callable[[], bool]:
        return lambda: len(clf.enroll(far, [name]).enroll(far, [name]).forget([name]).classes_) > 7

    def saved() -> bool:
        clf.save(tmp_path / "model")
        loaded = SiameseClassifier.load(tmp_path / "model", device="cpu")
        return bool((loaded.predict(X) == truth).all())

    calls: list[Callable[[], bool]] = [
        *[lambda: bool((clf.predict(X) == truth).all())] * 4,
        *[lambda: bool((clf.predict(X, classes=some) == truth_of_some).all())] * 2,
        lambda: clf.score(X, truth) == 1,
        lambda: bool(np.allclose(clf.predict_proba(X).sum(1), 1)),
        saved,
        *map(visitor, ("a", "person2b", "z")),  # first, among the others, last
    ]
    threads = [threading.Thread(target=again, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert clf.classes_.tolist() == NAMES.tolist()


def test_a_copy_and_its_original_have_a_gallery_each(fitted: SiameseClassifier) -> None:
    for how in (copy.copy, copy.deepcopy):
        twin = how(fitted)
        twin.enroll(X[:1], ["guest"])
        twin.forget(["person0"])
        assert fitted.classes_.tolist() == NAMES.tolist()
        assert "guest" in twin.classes_.tolist()
