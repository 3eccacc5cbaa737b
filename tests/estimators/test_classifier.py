"""The classifier as its users meet it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import MLP, Conv4
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    UnknownPartError,
)
from siamesekit.heads import CosineHead, L1Head
from siamesekit.losses import BCELoss, TripletLoss
from siamesekit.training import History, TrainingLine


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X.reshape(-1, 8, 8) / 16.0, y


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> SiameseClassifier:
    """Trained on the digits 0 to 6; nothing may change it."""
    X, y = digits
    return SiameseClassifier(backbone="mlp", max_epochs=4, random_state=0).fit(X[y < 7], y[y < 7])


@pytest.fixture
def clf(fitted: SiameseClassifier) -> SiameseClassifier:
    """A copy of `fitted` that a test may change."""
    import copy

    return copy.deepcopy(fitted)


Digits = tuple[np.ndarray, np.ndarray]


def test_five_lines_classify(digits: Digits) -> None:
    X, y = digits
    clf = SiameseClassifier(random_state=0).fit(X[:600], y[:600])
    assert clf.score(X[600:900], y[600:900]) > 0.9


def test_new_classes_are_enrolled_from_one_example(clf: SiameseClassifier, digits: Digits) -> None:
    X, y = digits
    new = [np.flatnonzero(y == c)[0] for c in (7, 8, 9)]
    before = clf.transform(X[:5])
    clf.enroll(X[new], y[new])
    assert clf.classes_.tolist() == list(range(10))
    np.testing.assert_array_equal(clf.transform(X[:5]), before)
    queries = np.flatnonzero(np.isin(y, (7, 8, 9)))[3:]
    assert np.mean(clf.predict(X[queries], classes=[7, 8, 9]) == y[queries]) > 0.6
    assert clf.predict_proba(X[:4]).shape == (4, 10)


def test_forgotten_classes_are_predicted_no_more(clf: SiameseClassifier, digits: Digits) -> None:
    X, _ = digits
    clf.forget([0, 1])
    assert clf.classes_.tolist() == [2, 3, 4, 5, 6]
    assert set(clf.predict(X[:100])) <= {2, 3, 4, 5, 6}
    clf.forget(2)
    assert clf.classes_.tolist() == [3, 4, 5, 6]


def test_probabilities_agree_with_predictions(fitted: SiameseClassifier, digits: Digits) -> None:
    X, _ = digits
    proba = fitted.predict_proba(X[:50])
    np.testing.assert_allclose(proba.sum(1), 1.0)
    np.testing.assert_array_equal(fitted.classes_[proba.argmax(1)], fitted.predict(X[:50]))


def test_similarity_is_a_probability_of_same(fitted: SiameseClassifier, digits: Digits) -> None:
    X, y = digits
    A, B = X[y < 7][:40], X[y < 7][40:90]
    similarity = fitted.similarity(A, B)
    same = y[y < 7][:40, None] == y[y < 7][None, 40:90]
    assert similarity.shape == (40, 50)
    assert similarity.dtype == np.float32
    assert ((similarity >= 0) & (similarity <= 1)).all()
    assert similarity[same].mean() > 0.5 + similarity[~same].mean() / 2
    np.testing.assert_allclose(similarity, fitted.similarity(B, A).T, atol=1e-5)


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_every_aggregate_classifies(aggregate: str, digits: Digits) -> None:
    X, y = digits
    clf = SiameseClassifier("mlp", aggregate=aggregate, max_epochs=4, random_state=0)  # type: ignore[arg-type]
    assert clf.fit(X[:600], y[:600]).score(X[600:900], y[600:900]) > 0.8


FORMS = {
    "(n, h, w) float": lambda X: X,
    "(n, c, h, w) float": lambda X: X[:, None],
    "(n, f) float": lambda X: X.reshape(len(X), -1),
    "uint8": lambda X: (X * 255).astype(np.uint8),
    "bool": lambda X: X > 0.5,
    "torch": lambda X: torch.from_numpy(X),
    "torch uint8": lambda X: torch.from_numpy((X * 255).astype(np.uint8)),
    "float16": lambda X: X.astype(np.float16),
    "read-only": lambda X: np.broadcast_to(X, X.shape),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("labels", ["int", "str", "bool", "torch"])
def test_every_form_of_input_works(form: str, labels: str, digits: Digits) -> None:
    X, y = FORMS[form](digits[0][:120]), digits[1][:120] % 2
    y = {
        "int": y,
        "str": np.where(y == 1, "odd", "even"),
        "bool": y == 1,
        "torch": torch.from_numpy(y),
    }[labels]
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(X, y)
    assert clf.predict(X[:3]).dtype == clf.classes_.dtype
    assert clf.transform(X[:3]).dtype == np.float32


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone": "conv4", "head": "l1", "loss": "bce", "sampler": "pairs"},
        {"backbone": Conv4, "head": L1Head, "loss": BCELoss},
        {"backbone": Conv4(width=8), "head": L1Head(), "loss": BCELoss(balance=True)},
        {"head": "euclidean", "loss": "contrastive", "sampler": "pairs"},
        {"head": "sqeuclidean", "loss": "triplet", "miner": "semihard", "sampler": "balanced"},
        {"loss": "pml:NTXentLoss", "miner": "pml:MultiSimilarityMiner"},
        {"loss": "pml:ArcFaceLoss"},
        {"sampler": "random", "loss": "triplet", "miner": "tf-semihard"},
        {"augment": None, "optimizer": "sgd", "schedule": "cosine", "averaging": 0.9},
    ],
    ids=lambda parts: "-".join(str(getattr(v, "__name__", v))[:12] for v in parts.values()),
)
def test_parts_by_name_class_and_instance(parts: dict[str, object]) -> None:
    generator = np.random.default_rng(0)
    X = generator.random((80, 16, 16), dtype=np.float32)
    y = np.arange(80) % 8
    clf = SiameseClassifier(max_epochs=2, random_state=0, **parts).fit(X, y)  # type: ignore[arg-type]
    assert clf.predict(X).shape == (80,)
    assert all(np.isfinite(clf.history_["loss"]))


def test_a_plain_module_is_a_backbone_and_keeps_its_weights_in_a_clone(digits: Digits) -> None:
    X, y = digits
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    clf = SiameseClassifier(net, max_epochs=1, random_state=0)
    copied = clone(clf)
    assert torch.equal(copied.backbone[1].weight, net[1].weight)
    before = net[1].weight.clone()
    assert clf.fit(X[:200], y[:200]).transform(X[:2]).shape == (2, 8)
    assert torch.equal(net[1].weight, before)


def test_parameters_of_parts_are_reached(digits: Digits) -> None:
    clf = SiameseClassifier(loss="triplet")
    assert clf.get_params()["loss__margin"] == TripletLoss().margin
    clf.set_params(loss__margin=0.7)
    assert clf.loss.margin == 0.7
    assert clone(clf).loss.margin == 0.7
    clf.set_params(loss="contrastive", loss__margin=2.0)
    assert type(clf.loss).__name__ == "ContrastiveLoss"
    with pytest.raises(InvalidParameterError, match="margn"):
        clf.set_params(loss__margn=1.0)


def test_grid_search_reaches_into_a_pipeline(digits: Digits) -> None:
    X, y = digits
    flat = X.reshape(len(X), -1)[:150]
    pipeline = make_pipeline(
        StandardScaler(),
        SiameseClassifier(MLP(hidden=(), units=8), loss="triplet", head="sqeuclidean",
                          max_epochs=2, random_state=0),
    )  # fmt: skip
    grid = {"siameseclassifier__loss__margin": [0.2, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(flat, y[:150])
    assert search.best_params_["siameseclassifier__loss__margin"] in (0.2, 1.0)
    assert search.best_score_ > 0.5


def test_equal_random_states_give_equal_models(digits: Digits) -> None:
    X, y = digits
    torch.manual_seed(0)
    first = SiameseClassifier(max_epochs=2, random_state=3).fit(X[:200], y[:200])
    state = torch.get_rng_state()
    torch.manual_seed(1)
    second = SiameseClassifier(max_epochs=2, random_state=3).fit(X[:200], y[:200])
    np.testing.assert_array_equal(first.transform(X[:9]), second.transform(X[:9]))
    third = SiameseClassifier(max_epochs=2, random_state=4).fit(X[:200], y[:200])
    assert not np.array_equal(first.transform(X[:9]), third.transform(X[:9]))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_holds_classes_out_and_they_are_enrolled_all_the_same(digits: Digits) -> None:
    X, y = digits
    clf = SiameseClassifier("mlp", validation=0.3, patience=2, max_epochs=8, random_state=0)
    clf.fit(X[:500], y[:500])
    assert len(clf.history_["validation"]) == clf.history_.epochs
    assert all(0.3 < score <= 1 for score in clf.history_["validation"])
    assert clf.n_classes_trained_ == 7
    assert clf.classes_.tolist() == list(range(10))


def test_callbacks_see_every_epoch_and_may_give_up(digits: Digits) -> None:
    X, y = digits
    seen = []

    def give_up(line: TrainingLine, history: History) -> None:
        seen.append(history.epochs)
        if history.epochs == 2:
            raise StopIteration("not promising")

    clf = SiameseClassifier("mlp", callbacks=[give_up], max_epochs=4, random_state=0)
    with pytest.raises(StopIteration, match="not promising"):
        clf.fit(X[:200], y[:200])
    assert seen == [1, 2]
    assert not vars(clf).keys() & {"history_", "gallery_"}


def test_groups_are_held_out_whole() -> None:
    generator = np.random.default_rng(0)
    X, y = generator.random((240, 6)), np.repeat(np.arange(60), 4)
    clf = SiameseClassifier(validation=0.25, max_epochs=1, random_state=0)
    clf.fit(X, y, groups=np.array([f"script {c % 4}" for c in y]))
    assert clf.n_classes_trained_ == 45


def test_checkpoints_resume(tmp_path: Path, digits: Digits) -> None:
    X, y = digits
    path = tmp_path / "run.pt"
    SiameseClassifier("mlp", max_epochs=3, random_state=0, checkpoint=path).fit(X[:200], y[:200])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = SiameseClassifier("mlp", max_epochs=3, random_state=0, checkpoint=path)
        again.fit(X[:200], y[:200])
    assert again.history_.epochs == 3


# -- bad input --------------------------------------------------------------------------------

X3, Y3 = np.zeros((6, 8, 8)), np.array([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((2, 1, 1, 8, 8)), [0, 1], r"X must have shape"),
        (np.zeros((0, 8, 8)), [], r"X must hold at least one item"),
        (np.full((4, 8, 8), np.nan), [0, 0, 1, 1], r"X contains NaN, infinity"),
        (np.full((4, 8, 8), np.inf), [0, 0, 1, 1], r"X contains NaN, infinity"),
        (np.full((4, 8, 8), 1e300), [0, 0, 1, 1], r"too large for float32"),
        (np.zeros((4, 8, 8), dtype=complex), [0, 0, 1, 1], r"X must be real"),
        (np.full((4, 8, 8), "a"), [0, 0, 1, 1], r"X must hold numbers"),
        (X3, [0] * 6, r"y must hold at least 2 classes"),
        (X3, [0, 1], r"6 items were given 2"),
        (X3, range(6), r"two items|at least"),
        (X3, None, r"y must hold one label"),
    ],
)
def test_bad_data_is_named(X: np.ndarray, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SiameseClassifier(max_epochs=1).fit(X, y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"backbone": "residal"}, UnknownPartError, "Did you mean 'residual'"),
        ({"loss": "tripet"}, UnknownPartError, "Did you mean 'triplet'"),
        ({"miner": "seminard"}, UnknownPartError, "Did you mean 'semihard'"),
        ({"head": 3}, InvalidParameterError, "head must be a name"),
        ({"augment": "afine"}, InvalidParameterError, "augment must be"),
        ({"aggregate": "sum"}, InvalidParameterError, "aggregate"),
        ({"device": "tpu9"}, InvalidParameterError, "device"),
        ({"precision": "half"}, InvalidParameterError, "precision"),
        ({"max_epochs": -1}, InvalidParameterError, "max_epochs"),
        ({"learning_rate": -1}, InvalidParameterError, "learning_rate"),
        ({"validation": 1.5}, InvalidParameterError, "validation"),
        ({"validation": 0.9}, InvalidDataError, "too few"),
        ({"patience": 3}, InvalidParameterError, "patience"),
        ({"random_state": "x"}, InvalidParameterError, "random_state"),
        ({"head": "l1", "loss": "pml:ArcFaceLoss"}, InvalidParameterError, "never train head"),
        ({"sampler": "pairs"}, InvalidParameterError, "loss on pairs"),
    ],
)
def test_bad_parameters_are_named(
    params: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SiameseClassifier(**{"max_epochs": 1, **params}).fit(X3, Y3)  # type: ignore[arg-type]


def test_groups_must_fit() -> None:
    with pytest.raises(InvalidDataError, match="groups"):
        SiameseClassifier(max_epochs=1).fit(X3, Y3, groups=[0, 1])


def test_what_is_not_fitted_says_so(tmp_path: Path) -> None:
    clf = SiameseClassifier()
    for call in (
        lambda: clf.predict(X3),
        lambda: clf.transform(X3),
        lambda: clf.enroll(X3, Y3),
        lambda: clf.forget([0]),
        lambda: clf.save(tmp_path / "m"),
    ):
        with pytest.raises(NotFittedError):
            call()


def test_a_refused_fit_keeps_what_was_fitted(clf: SiameseClassifier, digits: Digits) -> None:
    before = clf.transform(digits[0][:5])
    with pytest.raises(InvalidDataError, match="2 classes"):
        clf.fit(np.zeros((4, 3)), [0, 0, 0, 0])
    np.testing.assert_array_equal(clf.transform(digits[0][:5]), before)
    assert clf.classes_.tolist() == list(range(7))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((1, 9, 9)), [7], r"X must hold items of shape \(1, 8, 8\)"),
        (np.zeros((1, 64)), [7], r"X must hold items of shape \(1, 8, 8\)"),
        (np.zeros((2, 8, 8)), [7], r"2 items were given 1"),
        (np.zeros((1, 8, 8)), ["seven"], r"y must hold numbers"),
        (np.full((1, 8, 8), np.nan), [7], r"NaN"),
    ],
)
def test_a_refused_enrolment_changes_nothing(
    clf: SiameseClassifier, X: np.ndarray, y: list[object], message: str
) -> None:
    size = len(clf.gallery_)
    with pytest.raises(InvalidDataError, match=message):
        clf.enroll(X, y)
    assert len(clf.gallery_) == size


def test_forgetting_the_unknown_is_refused(clf: SiameseClassifier) -> None:
    with pytest.raises(InvalidDataError, match=r"classes must be enrolled; 42 is not"):
        clf.forget([0, 42])
    assert 0 in clf.classes_


def test_a_gallery_can_be_emptied_and_filled_with_other_labels(
    clf: SiameseClassifier, digits: Digits
) -> None:
    X, y = digits
    clf.forget(clf.classes_)
    with pytest.raises(InvalidDataError, match="gallery is empty"):
        clf.predict(X[:2])
    clf.enroll(X[:10], [f"digit {c}" for c in y[:10]])
    assert clf.predict(X[:1]).tolist() == [f"digit {y[0]}"]


def test_predicting_among_unknown_classes_is_refused(fitted: SiameseClassifier) -> None:
    with pytest.raises(InvalidDataError, match=r"99 is not"):
        fitted.predict(X3, classes=[0, 99])


def test_heads_are_found_by_instance_too() -> None:
    assert isinstance(
        SiameseClassifier(head=CosineHead(), max_epochs=1).fit(X3, Y3).head_, CosineHead
    )
