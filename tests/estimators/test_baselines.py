"""What is learned stands beside no learning, and does not lose to it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from siamesekit import SiameseClassifier, SiameseVerifier
from siamesekit.backbones import ResidualMLP
from siamesekit.errors import InvalidDataError
from siamesekit.estimators._baselines import _worth
from siamesekit.evaluation import (
    BASELINES,
    episode_accuracy,
    fit_baselines,
    one_shot_validation,
    score_baselines,
)
from siamesekit.evaluation._facts import facts_of
from siamesekit.training import TrainingHealthWarning

X, Y = load_digits(return_X_y=True)
FEW = np.concatenate([np.flatnonzero(c == Y)[:40] for c in range(10)])
X, Y = X[FEW], Y[FEW]


def one_shot(clf: SiameseClassifier, items: np.ndarray, labels: np.ndarray, way: int) -> float:
    return episode_accuracy(
        clf.transform(items), labels, estimator=clf, way=way, n_episodes=400, random_state=0
    ).value


def test_fit_with_validation_keeps_the_baselines_and_prints_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clf = SiameseClassifier(validation=0.4, max_epochs=1, random_state=0, verbose=True).fit(X, Y)
    assert set(clf.baselines_) == set(BASELINES)
    assert all(0.25 < score <= 1 for score in clf.baselines_.values())
    shown = capsys.readouterr()
    assert shown.out == ""
    said = shown.err
    assert f"cosine {clf.baselines_['cosine']:.3f}" in said
    assert f"classes: {clf.validation_score_:.3f}; without learning: " in said
    without = SiameseClassifier(max_epochs=1, random_state=0).fit(X, Y)
    assert not hasattr(without, "baselines_")


def test_a_validation_of_ones_own_has_baselines(tmp_path: Path) -> None:
    old = Y < 6
    validation = one_shot_validation(X[~old], Y[~old], way=4, random_state=0)
    clf = SiameseClassifier(validation=validation, max_epochs=1, random_state=0)
    clf.fit(X[old], Y[old])
    assert set(clf.baselines_) == set(BASELINES)
    # Watched as it is used: standardised as training items are.
    assert clf.history_["validation"][-1] == pytest.approx(clf.validation_score_, abs=0.1)
    facts = facts_of(clf, np.array([100, 101])).model
    assert facts is not None
    assert facts["baselines_"] == clf.baselines_
    clf.validation = None
    clf.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model")
    assert loaded.baselines_ == clf.baselines_
    assert loaded.validation_score_ == clf.validation_score_
    other = one_shot_validation(X[~old, :5], Y[~old], way=4, random_state=0)
    with pytest.raises(InvalidDataError, match=r"items of validation must be of shape \(64,\)"):
        SiameseClassifier(validation=other, max_epochs=1).fit(X[old], Y[old])


def test_given_pairs_have_baselines() -> None:
    rng = np.random.default_rng(0)
    i, j = rng.integers(len(X), size=(2, 2000))
    j[:700] = [rng.choice(np.flatnonzero(Y[k] == Y)) for k in i[:700]]
    same = (Y[i] == Y[j])[i != j]
    i, j = i[i != j], j[i != j]
    verifier = SiameseVerifier(max_epochs=1, validation=0.3, held_out=0.3, random_state=0)
    verifier.fit(X[i], X[j], same, groups=(Y[i], Y[j]))
    assert {"cosine", "lda"} <= set(verifier.baselines_)
    assert all(0.5 < area <= 1 for area in verifier.baselines_.values())
    assert 0.3 < verifier.validation_score_ <= 1


def test_areas_and_their_error() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(200) < 0.3
    scores = np.round(same + rng.normal(size=200), 1)
    alike, others = _worth(scores, same)
    area = roc_auc_score(same, scores)
    assert alike.mean() == pytest.approx(area)
    assert others.mean() == pytest.approx(area)


def test_fit_warns_where_learning_loses() -> None:
    class Blind(torch.nn.Module):
        """Sees one corner of the image."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x[:, :8])

    with pytest.warns(TrainingHealthWarning, match=r"loses to no learning.*baseline '"):
        SiameseClassifier(Blind(), validation=0.4, max_epochs=1, random_state=0).fit(X, Y)


def test_images_have_baselines_too() -> None:
    images = torch.from_numpy(X.reshape(-1, 8, 8) > 8)
    clf = SiameseClassifier("residual-mlp", validation=0.4, max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingHealthWarning)
        clf.fit(images, Y)
    assert set(clf.baselines_) == set(BASELINES)


def test_the_default_does_not_lose_where_features_shout() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 20
    means = 3 * rng.normal(size=(20, 4))
    loud = 10 * rng.normal(size=(600, 8))
    items = np.concatenate([means[labels] + rng.normal(size=(600, 4)), loud], 1)
    old = labels < 14
    clf = SiameseClassifier(max_epochs=3, random_state=0).fit(items[old], labels[old])
    table = fit_baselines(items[old], labels[old], ["cosine", "lda", "wccn"])
    ask = {"way": 6, "n_episodes": 400, "random_state": 0}
    others = score_baselines(table, items[~old], labels[~old], **ask)
    ours = one_shot(clf, items[~old], labels[~old], 6)
    assert ours > others["cosine"].value + 0.2
    assert ours > max(result.value for result in others.values()) - 0.03


def test_the_default_does_not_lose_on_fingerprints() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 16
    # Of each class some bits are often set; of all others few.
    often = rng.random((16, 400)) < 0.06
    bits = (rng.random((240, 400)) < np.where(often[labels], 0.4, 0.02)).astype(np.uint8)
    old = labels < 10
    clf = SiameseClassifier(max_epochs=3, random_state=0).fit(bits[old], labels[old])
    table = fit_baselines(bits[old], labels[old], ["cosine", "tanimoto"])
    ask = {"way": 6, "n_episodes": 400, "random_state": 0}
    best = max(r.value for r in score_baselines(table, bits[~old], labels[~old], **ask).values())
    assert one_shot(clf, bits[~old], labels[~old], 6) > best - 0.02


def test_a_share_of_what_was_learned_is_used_and_saved(tmp_path: object) -> None:
    clf = SiameseClassifier(max_epochs=2, random_state=0).fit(X, Y)
    backbone = clf.backbone_
    assert isinstance(backbone, ResidualMLP)
    assert 0 <= backbone.share <= 1
    clf.save(f"{tmp_path}/model")
    again = SiameseClassifier.load(f"{tmp_path}/model")
    assert again.backbone_.share == backbone.share
    assert np.array_equal(again.transform(X[:5]), clf.transform(X[:5]))
    # With three classes nothing can be held out; with none trained nothing is tried.
    three = SiameseClassifier(max_epochs=1, random_state=0).fit(X[Y < 3], Y[Y < 3])
    assert three.backbone_.share == 0.25
    untrained = SiameseClassifier(max_epochs=0, random_state=0).fit(X, Y)
    assert untrained.backbone_.share == 1


def test_equal_seeds_give_equal_networks() -> None:
    one, other = (
        SiameseClassifier(max_epochs=1, random_state=3).fit(X, Y).transform(X[:4]) for _ in range(2)
    )
    assert np.array_equal(one, other)
