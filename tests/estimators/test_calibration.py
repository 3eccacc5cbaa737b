"""Probabilities of *same* mean what they say, of every head, and say what they rest on."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.metrics import log_loss
from torch import Tensor

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError, LeakageError
from siamesekit.estimators._calibration import calibrate
from siamesekit.evaluation import episode_accuracy, one_shot_validation, retrieval_metrics
from siamesekit.heads import CosineHead, EuclideanHead, Head
from siamesekit.training import TrainingHealthWarning

LINES = [
    {"head": "cosine"},
    {"head": "l1", "loss": "bce"},
    {"head": "l1", "loss": "bce", "sampler": "pairs"},
    {"head": "l1", "loss": "triplet"},
    {"head": "squared", "loss": "bce"},
    {"head": "euclidean", "loss": "contrastive"},
    {"head": "cosine-concat", "loss": "bce"},
]
IDS = ["-".join(map(str, line.values())) for line in LINES]


def clouds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Twenty classes of 12 points; they overlap a little."""
    centres = np.random.default_rng(seed).normal(size=(20, 6)) * 2.5
    return make_blobs(240, centers=centres, cluster_std=1.0, random_state=seed)


X, Y = clouds()
NEW = Y >= 14


def fitted(**line: object) -> SiameseClassifier:
    given = {"max_epochs": 6, "random_state": 0, "device": "cpu", **line}
    return SiameseClassifier(**given).fit(X[~NEW], Y[~NEW])


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_probabilities_of_new_classes_mean_something(line: dict[str, object]) -> None:
    clf = fitted(**line)
    report = clf.calibration_report(X[NEW], Y[NEW])
    assert report.min_cllr <= report.cllr < 0.9
    assert report.log_loss == pytest.approx(report.cllr * np.log(2))
    assert report.probability_same > 0.6 > 0.4 > report.probability_different
    # Reliability: of pairs called P likely, about that share are of one class.
    weight = sum(n for *_, n in report.reliability)
    gap = sum(n * abs(mean - share) for mean, share, n in report.reliability) / weight
    assert gap < 0.2
    assert report.n_same + report.n_different == weight


@pytest.mark.parametrize("line", LINES[:3], ids=IDS[:3])
def test_probabilities_of_known_classes_mean_something(line: dict[str, object]) -> None:
    clf = fitted(**line)
    probability = clf.similarity(X[~NEW], X[~NEW])
    same = Y[~NEW][:, None] == Y[~NEW]
    np.fill_diagonal(probability, 0.5)
    assert probability[same].mean() > 0.7
    assert probability[~same].mean() < 0.3
    assert ((probability > 0.5) == same)[same].mean() > 0.8


@pytest.mark.parametrize("line", LINES[:2], ids=IDS[:2])
@pytest.mark.parametrize("n_classes", [3, 14])
def test_probabilities_of_enrolled_classes_are_about_as_good_as_their_order_allows(
    line: dict[str, object], n_classes: int
) -> None:
    own, some = n_classes > Y, np.arange(len(Y)) % 2 == 0
    given = {"max_epochs": 6, "random_state": 0, "device": "cpu", **line}
    clf = SiameseClassifier(**given).fit(X[own & some], Y[own & some])
    queries, truth = torch.from_numpy(clf.transform(X[own & ~some])), Y[own & ~some]

    def loss(slope: float) -> float:
        probability = clf.gallery_.class_probabilities(queries, slope)
        return float(log_loss(truth, probability))

    assert clf.proba_slope_ > clf.calibration_[0]
    best = min(loss(clf.proba_slope_ * times) for times in np.geomspace(0.05, 20, 30))
    assert loss(clf.proba_slope_) < best + 0.1
    # As careful as of classes never seen would be far too careful.
    assert loss(clf.proba_slope_) < loss(clf.calibration_[0])
    np.testing.assert_array_equal(
        clf.predict_proba(X[own & ~some]),
        clf.gallery_.class_probabilities(queries, clf.proba_slope_),
    )
    before = clf.proba_slope_
    assert clf.calibrate(X[NEW], Y[NEW]).proba_slope_ != before


def test_held_out_classes_calibrate_where_there_are_any() -> None:
    clf = fitted(validation=0.3)
    assert clf.calibration_source_ == "held-out classes"
    assert clf.chosen_classes_.shape == (4,)
    assert not set(clf.chosen_classes_) & set(clf.trained_classes_)
    assert set(clf.chosen_classes_) | set(clf.trained_classes_) == set(range(14))
    other = fitted()
    assert other.calibration_source_ == "training classes"
    assert other.trained_classes_.tolist() == list(range(14))
    assert other.chosen_classes_.tolist() == []


@pytest.mark.parametrize("enroll", [True, False])
def test_whose_pairs_they_are_is_no_matter_of_what_is_enrolled(enroll: bool) -> None:
    clf = fitted(validation=0.3, enroll_training=enroll)
    held = np.isin(Y, clf.chosen_classes_)
    vectors = torch.from_numpy(clf.transform(X[held]))
    codes = np.unique(Y[held], return_inverse=True)[1]
    again = calibrate(clf.head_, vectors, torch.from_numpy(codes), seed=0).same
    probability = 1 / (1 + np.exp(-(again[0] * np.linspace(-1, 1, 5) + again[1])))
    own = clf.calibration_
    np.testing.assert_allclose(
        1 / (1 + np.exp(-(own[0] * np.linspace(-1, 1, 5) + own[1]))), probability, atol=0.05
    )


def test_a_validation_of_ones_own_names_the_classes_that_chose() -> None:
    chosen = one_shot_validation(torch.from_numpy(X[NEW]).float(), Y[NEW], way=3, n_episodes=5)
    clf = fitted(validation=chosen, max_epochs=1)
    assert clf.chosen_classes_.tolist() == [14, 15, 16, 17, 18, 19]
    with pytest.raises(LeakageError, match="with validation: 14, "):
        clf.calibration_report(X[NEW], Y[NEW])


def test_the_map_is_fitted_anew_on_other_classes() -> None:
    clf = fitted(head="l1", loss="bce")
    before = clf.calibration_report(X[NEW & (Y > 16)], Y[NEW & (Y > 16)])
    own = NEW & (Y <= 16)
    scores = clf.transform(X[NEW])
    assert clf.calibrate(X[own], Y[own]) is clf
    assert clf.calibration_source_ == "held-out classes"
    after = clf.calibration_report(X[NEW & (Y > 16)], Y[NEW & (Y > 16)])
    assert after.min_cllr == before.min_cllr
    assert after.cllr != before.cllr
    np.testing.assert_array_equal(clf.transform(X[NEW]), scores)
    assert clf.calibrate(X, Y).calibration_source_ == "training classes"


def test_a_leaked_class_raises_wherever_the_estimator_is_given() -> None:
    clf = fitted()
    vectors = clf.transform(X)
    new = episode_accuracy(
        vectors[NEW], Y[NEW], way=5, n_episodes=20, random_state=0, estimator=clf
    )
    assert new.trained_classes == tuple(range(14))
    assert new.tested_classes == tuple(range(14, 20))
    assert new.model["class"] == "SiameseClassifier"
    assert new.model["head"] == "cosine"
    for evaluate in (
        lambda: episode_accuracy(vectors, Y, way=5, estimator=clf),
        lambda: retrieval_metrics(vectors, Y, estimator=clf),
        lambda: clf.calibration_report(X, Y),
    ):
        with pytest.raises(LeakageError, match="14 classes with training: 0, 1, "):
            evaluate()


def test_what_a_model_has_seen_is_saved_with_it(tmp_path) -> None:
    clf = fitted(validation=0.3, max_epochs=1)
    clf.save(tmp_path / "model")
    again = SiameseClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.trained_classes_, clf.trained_classes_)
    np.testing.assert_array_equal(again.chosen_classes_, clf.chosen_classes_)
    assert again.calibration_source_ == clf.calibration_source_
    assert again.calibration_ == clf.calibration_
    assert again.proba_slope_ == clf.proba_slope_


@pytest.mark.parametrize(
    ("items", "labels", "message"),
    [
        (X[NEW], np.zeros(NEW.sum()), "at least 2 classes"),
        (X[NEW][:3], [1, 2, 3], "one of them of 2 items"),
        (X[NEW], Y[NEW][:5], "y must hold one label an item"),
        (X[NEW][:, :3], Y[NEW], "features|shape"),
    ],
)
def test_pairs_that_cannot_be_made_are_refused(items, labels, message) -> None:
    clf = fitted(max_epochs=1)
    before = clf.calibration_, clf.calibration_source_
    for method in (clf.calibrate, clf.calibration_report):
        with pytest.raises((InvalidDataError, ValueError), match=message):
            method(items, labels)
    assert (clf.calibration_, clf.calibration_source_) == before


class Constant(CosineHead):
    """A head that knows nothing."""

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.full((len(a),), 0.25)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.full((len(a), len(b)), 0.25)


def test_a_head_that_knows_nothing_says_one_half() -> None:
    maps = calibrate(Constant(), torch.randn(20, 3), torch.arange(20) // 4, seed=0)
    slope, intercept = maps.same
    assert torch.sigmoid(slope * torch.tensor(0.25) + intercept).item() == pytest.approx(0.5)


@pytest.mark.parametrize("head", [CosineHead(), EuclideanHead()])
def test_the_memory_of_pairs_is_bounded(head: Head, largest_tensor) -> None:
    vectors, codes = torch.randn(40, 3_000), torch.arange(40) // 4
    with largest_tensor:
        calibrate(head, vectors, codes, seed=0)
    assert largest_tensor.elements <= 2**22


@pytest.mark.parametrize(("dim", "most"), [(3, 20_000), (40_000, 2 * 2**28 // 40_000)])
def test_long_embeddings_make_fewer_pairs(dim: int, most: int, monkeypatch) -> None:
    seen = []

    def pairs(self: Head, a: Tensor, b: Tensor) -> Tensor:
        seen.append(len(a))
        return torch.zeros(len(a))

    monkeypatch.setattr(CosineHead, "pairs", pairs)
    calibrate(CosineHead(), torch.zeros(40, 1).expand(40, dim), torch.arange(40) // 4, seed=0)
    assert 0.9 * most < sum(seen) <= most


def test_classes_of_one_item_each_say_nothing_of_same() -> None:
    with pytest.warns(TrainingHealthWarning, match="No class .* has two items"):
        maps = calibrate(CosineHead(), torch.randn(9, 3), torch.arange(9), seed=0)
    slope, intercept = maps.same
    assert slope > 0
    assert 1 / (1 + np.exp(-(slope + intercept))) == pytest.approx(0.5, abs=0.01)


def test_pairs_that_are_infinitely_far_apart_are_left_out() -> None:
    vectors = torch.randn(20, 3)
    vectors[::5] *= 1e19
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maps = calibrate(EuclideanHead(), vectors, torch.arange(20) // 4, seed=0)
    assert np.isfinite([*maps.same, maps.slope]).all()
