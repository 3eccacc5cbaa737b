"""The verifier: items and classes or given pairs, thresholds of people never trained on."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    LeakageError,
    SavedModelError,
    SiamesekitError,
    TooFewTrialsError,
)
from siamesekit.estimators._pairs import Pairs, distinct, hold_out_pairs, tie
from siamesekit.training import TrainingHealthWarning

LINES = [
    {"head": "cosine"},
    {"head": "l1", "loss": "bce"},
    {"head": "l1", "loss": "bce", "sampler": "pairs"},
    {"head": "squared", "loss": "triplet"},
    {"head": "euclidean", "loss": "contrastive"},
    {"head": "cosine-concat", "loss": "bce"},
    {"loss": "pml:NTXentLoss"},
]
PAIR_LINES = [
    {},
    {"head": "l1"},
    {"head": "squared", "loss": "bce"},
    {"head": "euclidean", "loss": "contrastive"},
    {"head": "cosine-concat", "sampler": "pairs"},
]


def clouds(n_classes: int = 30, each: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), each)
    return rng.normal(size=(n_classes, 6))[y] * 3 + rng.normal(size=(len(y), 6)), y


X, Y = clouds()
NEW_X, NEW_Y = clouds(40, 5, seed=1)


def drawn_pairs(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pairs of items, half of one class."""
    rng = np.random.default_rng(seed)
    i = rng.integers(len(X), size=n)
    mate = i // 8 * 8 + (i % 8 + rng.integers(1, 8, size=n)) % 8
    j = np.where(np.arange(n) % 2 == 0, mate, (i + 8 * rng.integers(1, 30, size=n)) % len(X))
    return i, j


FIRST, SECOND = drawn_pairs()
A, B, SAME = X[FIRST], X[SECOND], Y[FIRST] == Y[SECOND]


def verifier(**given: object) -> SiameseVerifier:
    return SiameseVerifier(
        **{"max_epochs": 3, "random_state": 0, "device": "cpu", **given}  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def fitted() -> SiameseVerifier:
    return verifier().fit(X, Y)


@pytest.fixture
def own(fitted: SiameseVerifier) -> SiameseVerifier:
    return copy.deepcopy(fitted)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_every_line_tells_new_people_apart_and_says_how_surely(line: dict[str, object]) -> None:
    found = verifier(**line).fit(X, Y)
    a, b = NEW_X[:100], np.roll(NEW_X, 1, axis=0)[:100]
    same = NEW_Y[:100] == np.roll(NEW_Y, 1)[:100]
    scores = found.decision_function(a, b)
    np.testing.assert_array_equal(scores, found.decision_function(b, a))
    probability = found.predict_proba(a, b)
    assert probability.shape == (100, 2)
    np.testing.assert_allclose(probability.sum(1), 1)
    ratio = found.log_likelihood_ratio(a, b)
    np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-ratio)))
    np.testing.assert_array_equal(found.predict(a, b), scores >= found.threshold_)
    assert ((ratio >= 0) == found.predict(a, b)).mean() > 0.98
    assert found.score(a, b, same) > 0.75
    np.testing.assert_allclose(
        found.similarity(a[:5], b[:5]).diagonal(), probability[:5, 1], atol=1e-4
    )
    assert np.isfinite(found.threshold(strategy="eer"))


@pytest.mark.parametrize("line", PAIR_LINES, ids=str)
def test_given_pairs_teach_without_any_class(line: dict[str, object]) -> None:
    found = verifier(**line, max_epochs=5).fit(A, B, SAME)
    assert found.trained_classes_ is None
    assert found.calibration_source_ == "held-out classes"
    new = NEW_X[:100], np.roll(NEW_X, 1, axis=0)[:100]
    assert found.score(*new, NEW_Y[:100] == np.roll(NEW_Y, 1)[:100]) > 0.7
    assert len(found.history_["loss"]) == 5
    assert found.history_["loss"][-1] < found.history_["loss"][0]
    assert found.calibrate(NEW_X, NEW_Y).threshold(fmr=0.05).n_people == 40


def test_all_spellings_of_given_pairs_are_one() -> None:
    stacked = np.stack([A, B], axis=1)
    first = verifier().fit(A, B, SAME)
    others = [
        verifier().fit((A, B), SAME),
        verifier().fit_pairs(A, B, SAME.astype(int)),
        verifier().fit(stacked, np.where(SAME, 1, -1)),
        verifier().fit(torch.from_numpy(stacked), SAME.tolist()),
    ]
    expected = first.decision_function(A, B)
    for other in others:
        np.testing.assert_array_equal(other.decision_function(stacked), expected)
        np.testing.assert_array_equal(other.decision_function((A, B)), expected)
        assert other.score(stacked, SAME) == first.score(A, B, SAME)


def test_nobody_who_is_held_out_is_trained_on() -> None:
    found = verifier(held_out=0.3, validation=0.2).fit(X, Y)
    trained, chosen = found.trained_classes_, found.chosen_classes_
    assert trained is not None
    assert chosen is not None
    assert len(trained) + len(chosen) == 30 - 9
    assert not np.isin(trained, chosen).any()
    pairs = found.held_out_pairs_
    assert pairs is not None
    assert len(np.unique(np.concatenate([pairs.first, pairs.second]))) == 9
    assert not np.isin(pairs.first, np.concatenate([trained, chosen])).any()


@pytest.mark.parametrize("groups", ["none", "people", "tuple", "one a pair"])
def test_what_belongs_together_is_on_one_side_of_given_pairs(groups: str) -> None:
    given = {
        "none": None,
        "people": np.stack([Y[FIRST], Y[SECOND]], axis=1),
        "tuple": (Y[FIRST].astype(str), Y[SECOND].astype(str)),
        "one a pair": np.arange(len(FIRST)) % 20,
    }[groups]
    place = np.unique(np.r_[FIRST, SECOND], return_inverse=True)[1]
    first, second = np.split(place, 2)
    clusters, units = tie(place.max() + 1, first, second, SAME, given)  # type: ignore[arg-type]
    assert (clusters[first] == clusters[second])[SAME].all()
    if groups in ("people", "tuple"):
        owner = np.empty(place.max() + 1, dtype=int)
        owner[place] = np.r_[Y[FIRST], Y[SECOND]]
        assert len(np.unique(np.stack([clusters, owner]), axis=1).T) == len(np.unique(owner))
    pairs = Pairs(torch.zeros(len(units), 1), first, second, SAME, clusters, units)
    kept, held = hold_out_pairs(pairs, 0.3, seed=0)
    if groups == "one a pair":  # all are linked in the end
        assert kept.all()
        return
    assert 0 < SAME[held].sum() < held.sum()
    assert 0 < SAME[kept].sum() < kept.sum()
    sides = [set(units[np.r_[first[own], second[own]]].tolist()) for own in (kept, held)]
    assert not sides[0] & sides[1]


def test_same_need_not_be_transitive() -> None:
    # Father and child are kin, mother and child are; the parents are not.
    people = np.random.default_rng(0).normal(size=(40, 3, 5))
    father, mother, child = people.transpose(1, 0, 2)
    a, b = np.concatenate([father, mother, father]), np.concatenate([child, child, mother])
    kin = np.repeat([1, 1, 0], 40)
    found = verifier().fit(a, b, kin, groups=np.tile(np.arange(40), 3))
    assert found.threshold(strategy="eer").n_people == 12
    assert found.report().n_people == 12


def test_identical_items_are_one_item_in_whatever_pairs_they_stand() -> None:
    items, place = distinct(torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
    assert items.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert place.tolist() == [0, 1, 0]
    with pytest.raises(InvalidDataError, match="pair 0 holds one item twice"):
        verifier().fit(A, np.concatenate([A[:1], B[1:]]), np.r_[False, SAME[1:]])


def test_a_threshold_is_set_by_a_promise_and_stays(own: SiameseVerifier, tmp_path: object) -> None:
    even = own.threshold_
    found = own.threshold(fmr=0.2)
    assert found.fmr_bound <= 0.2
    assert own.threshold_ == found != even
    np.testing.assert_array_equal(own.predict(A, B), own.decision_function(A, B) >= found)
    with pytest.raises(TooFewTrialsError, match="pairs of people"):
        own.threshold(fmr=0.001)
    with pytest.raises(InvalidParameterError, match="fmr or strategy"):
        own.threshold()
    assert own.threshold_ == found
    own.save(f"{tmp_path}/model")
    for again in (SiameseVerifier.load(f"{tmp_path}/model"), pickle.loads(pickle.dumps(own))):
        assert vars(again.threshold_) == vars(found)
        np.testing.assert_array_equal(again.predict(A, B), own.predict(A, B))
        assert again.threshold(strategy="eer") == own.threshold(strategy="eer")
        assert again.report().to_dict() == own.report().to_dict()
        own.set_threshold(found)
    assert own.fit(X, Y).threshold_ == even


def test_a_threshold_of_zero_is_one(own: SiameseVerifier, tmp_path: object) -> None:
    own.set_threshold(0.0)
    assert own.threshold_ == 0
    assert not own.predict(A, B).any()  # minus a distance
    own.save(f"{tmp_path}/model")
    again = SiameseVerifier.load(f"{tmp_path}/model")
    assert again.threshold_ == 0
    assert not again.predict(A, B).any()
    own.set_threshold(-0.3)
    assert own.predict(A, B).any()
    assert not own.predict(A, B, threshold=0.0).any()
    assert not own.predict(A, B, threshold=0).any()


def test_thresholds_come_from_nobody_who_was_trained_on(tmp_path: object) -> None:
    found = verifier(held_out=None).fit(X, Y)
    assert found.held_out_pairs_ is None
    with pytest.raises(
        TooFewTrialsError,
        match=r"fit with held_out=0.3.*held_out=None.*calibrate",
    ):
        found.threshold(strategy="accuracy")
    with pytest.raises(TooFewTrialsError, match="X must be given"):
        found.report()
    found.calibrate(X[:80], Y[:80])
    with pytest.raises(TooFewTrialsError):
        found.threshold(fmr=0.2)
    found.calibrate(NEW_X, NEW_Y + 100)
    assert found.threshold(fmr=0.05).n_people == 40
    a, b = NEW_X[::2], NEW_X[1::2]
    found.calibrate(a, b, NEW_Y[::2] == NEW_Y[1::2])
    assert found.threshold(strategy="eer").n_people > 40  # none of them known to be one
    # What was learned before there was a verifier.
    clf = SiameseClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, Y)
    clf.save(f"{tmp_path}/clf")
    taken = SiameseVerifier.load(f"{tmp_path}/clf", held_out=None)
    with pytest.raises(TooFewTrialsError):
        taken.threshold(fmr=0.2)
    assert taken.calibrate(NEW_X, NEW_Y + 100).threshold(fmr=0.2).promised == 0.2
    taken.save(f"{tmp_path}/verifier")
    embedder = SiameseEmbedder.load(f"{tmp_path}/verifier")
    np.testing.assert_array_equal(embedder.transform(X), clf.transform(X))


@pytest.mark.parametrize(
    ("X_", "y"),
    [(X[Y < 3], Y[Y < 3]), (X[:16], np.repeat(["ann", "bob"], 8))],
    ids=["three", "two of text"],
)
def test_where_nobody_can_be_held_out_all_are_trained_on_and_no_threshold_given(
    X_: np.ndarray, y: np.ndarray
) -> None:
    with pytest.warns(TrainingHealthWarning, match="Nobody is held out") as told:
        found = verifier().fit(X_, y)
    assert told[0].filename == __file__
    assert found.trained_classes_ is not None
    assert len(found.trained_classes_) == len(np.unique(y))
    with pytest.raises(TooFewTrialsError):
        found.threshold(strategy="eer")
    assert 0 <= found.score(X_, y) <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verifier(held_out=None).fit(X_, y)


def test_a_report_tells_of_new_people_only(own: SiameseVerifier) -> None:
    own.threshold(strategy="eer")
    report = own.report(NEW_X, NEW_Y + 100)
    assert report.n_people == 40
    assert report.threshold == own.threshold_
    assert report.min_cllr.value <= report.cllr.value < 1
    assert report.eer.interval is not None
    assert report.eer.interval[0] <= report.eer.value <= report.eer.interval[1]
    with pytest.raises(LeakageError):
        own.report(X, Y)
    pairs = own.report(A, B, SAME, groups=(Y[FIRST], Y[SECOND]), n_resamples=100)
    assert (pairs.n_people, pairs.n_same) == (30, SAME.sum())


def test_scikit_learns_tools_take_pairs_and_items() -> None:
    pairs = np.stack([A, B], axis=1)
    for scoring in (None, "roc_auc", "neg_log_loss", "f1"):
        scores = cross_val_score(
            verifier(), pairs, SAME, cv=2, scoring=scoring, error_score="raise"
        )
        assert np.isfinite(scores).all()
    search = GridSearchCV(
        verifier(loss="contrastive", max_epochs=1), {"loss__margin": [0.5, 1.0]}, cv=2,
        error_score="raise",
    )  # fmt: skip
    assert search.fit(pairs, SAME.astype(int)).predict(pairs[:3]).shape == (3,)
    assert (cross_val_score(verifier(max_epochs=1), X, Y, cv=2, error_score="raise") > 0.5).all()
    copied = clone(verifier(held_out=0.4, loss="contrastive"))
    assert copied.get_params()["held_out"] == 0.4
    assert copied.set_params(loss__margin=2.0).loss.margin == 2.0  # type: ignore[union-attr]


def test_images_as_pairs_and_as_items() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 4)
    images = np.clip(
        rng.integers(0, 200, (8, 16, 16))[y] + rng.integers(0, 50, (32, 16, 16)), 0, 255
    )
    images = images.astype(np.uint8)
    a, b = images[:16], images[16:]
    same = np.arange(16) % 2 == 0
    for pairs in (np.stack([a, b], axis=1), np.stack([a, b], axis=1)[:, :, None]):
        found = verifier(backbone="conv4", max_epochs=1, held_out=None).fit(pairs, same)
        assert found.input_shape_ == (1, 16, 16)
        assert found.predict(a, b).shape == (16,)
        assert found.predict(pairs).dtype == np.bool_
    items = verifier(backbone="conv4", max_epochs=1).fit(images, y)
    found = items.decision_function(images[:5], images[5:10])
    assert found.shape == (5,)
    mixed = items.decision_function(images[:5], images[5:10].astype(np.float32) / 255)
    np.testing.assert_allclose(mixed, found, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((A, B[:-1], SAME), "A and B must hold as many items"),
        ((A, B, SAME[:-1]), "same must hold one label an item"),
        ((A, B[:, :3], SAME), "3 features.* expecting 6"),
        ((A, B, np.ones(len(A))), "both|got one kind"),
        ((A, B, np.zeros(len(A), int)), "got one kind"),
        ((A, B, np.where(SAME, "same", "other")), "same must hold True and False.*got '"),
        ((A, B, np.arange(len(A))), "same must hold True and False"),
        ((A, B, [None] * len(A)), "same"),
        ((np.where(A[3] == A, np.nan, A), B, SAME), "NaN"),
        (((A, B, B), SAME), "a tuple of 3"),
        ((X, Y, Y), "y must hold items.*groups="),
        ((X, None), "y must be given"),
        ((X, np.zeros(len(X))), "at least 2 classes"),
        ((A, B, SAME, Y), "groups must hold"),
        ((A, B, SAME, (Y, Y, Y)), "groups must hold one group a pair"),
    ],
)
def test_what_cannot_be_trained_on_is_named_and_nothing_is_lost(
    given: tuple[object, ...], message: str, own: SiameseVerifier
) -> None:
    before = own.decision_function(A, B)
    with pytest.raises(SiamesekitError, match=message):
        own.fit(*given)  # type: ignore[arg-type]
    np.testing.assert_array_equal(own.decision_function(A, B), before)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"loss": "triplet"}, "a loss on pairs"),
        ({"miner": "batch-hard"}, "no miner"),
        ({"sampler": "balanced"}, "sampler must be 'auto' or 'pairs'"),
        ({"held_out": 1.5}, "held_out must be"),
        ({"validation": 0.5}, "validation=0.5 leaves too few"),
    ],
)
def test_lines_that_pairs_cannot_teach_are_named(line: dict[str, object], message: str) -> None:
    with pytest.raises(SiamesekitError, match=message):
        verifier(**{"held_out": None, **line}).fit(A[:3], B[:3], SAME[:3])


def test_questions_that_cannot_be_asked_are_named(own: SiameseVerifier) -> None:
    for ask in (own.predict, own.predict_proba, own.decision_function, own.log_likelihood_ratio):
        with pytest.raises(InvalidDataError, match=r"as many items.* got 3 and 2"):
            ask(A[:3], B[:2])  # type: ignore[operator]
        with pytest.raises(InvalidDataError, match="B must be given"):
            ask(A)  # type: ignore[operator]
        with pytest.raises(InvalidDataError, match="A contains NaN"):
            ask(np.full_like(A, np.nan), B)  # type: ignore[operator]
    for wrong in (np.nan, "high", None, True):
        with pytest.raises(InvalidParameterError, match="threshold must be"):
            own.set_threshold(wrong)  # type: ignore[arg-type]


def test_pairs_are_compared_row_by_row_in_linear_memory(own: SiameseVerifier) -> None:
    many = np.tile(A, (200, 1))
    assert len(own.predict(many, np.roll(many, 1, axis=0))) == 60_000


def test_a_verifier_with_a_validation_on_pairs_keeps_the_best_epoch() -> None:
    found = verifier(validation=0.3, max_epochs=4).fit(A, B, SAME, groups=(Y[FIRST], Y[SECOND]))
    scores = found.history_["validation"]
    assert len(scores) == 4
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("spoilt", [{"threshold": {"$dict": []}}, {"n_pairs": -1}, {"n_pairs": 7}])
def test_a_spoilt_state_is_refused(
    spoilt: dict[str, object], own: SiameseVerifier, tmp_path: object
) -> None:
    own.threshold(strategy="eer")
    state, tensors = own._state()
    own._state = lambda: (state | spoilt, tensors)  # type: ignore[method-assign]
    own._at_once = lambda: own  # type: ignore[method-assign]
    own.save(f"{tmp_path}/model")
    with pytest.raises(SavedModelError):
        SiameseVerifier.load(f"{tmp_path}/model")
