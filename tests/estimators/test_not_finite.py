"""Items whose embedding is not finite are refused by name; nothing is lost by them."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError, TrainingDivergedError
from siamesekit.samplers import RandomSampler
from siamesekit.training import TrainingHealthWarning

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) + 3 * np.eye(4)[
    np.arange(60) % 4
].astype(np.float32)
Y = np.arange(60) % 4


class Unit(nn.Module):
    """``z / |z|`` without a guard, as many write it: NaN for a blank item."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.linear(x)
        return z / z.norm(dim=1, keepdim=True)


class Long(Unit):
    """The length is kept: overflows for large items."""

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.linear(x)
        return z


BLANK = np.zeros((1, 4), dtype=np.float32)
CASES = {"nan": (Unit, BLANK), "inf": (Long, BLANK + 3e38), "square": (Long, BLANK + 1e25)}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[SiameseClassifier, np.ndarray]:
    net, bad = CASES[request.param]
    torch.manual_seed(0)
    return SiameseClassifier(net(), max_epochs=2, random_state=0).fit(X, Y), bad


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba"])
def test_each_method_names_the_items(
    case: tuple[SiameseClassifier, np.ndarray], method: str
) -> None:
    clf, bad = case
    with pytest.raises(InvalidDataError, match=r"positions 1, 3 of X .*mapped to NaN"):
        getattr(clf, method)(np.concatenate([X[:1], bad, X[:1], bad]))


def test_similarity_names_the_argument(case: tuple[SiameseClassifier, np.ndarray]) -> None:
    clf, bad = case
    with pytest.raises(InvalidDataError, match=r"position 0 of B"):
        clf.similarity(X[:2], bad)


@pytest.mark.parametrize("label", [0, 99])
def test_enrolling_one_leaves_the_gallery_as_it_was(
    case: tuple[SiameseClassifier, np.ndarray], label: int
) -> None:
    clf, bad = case
    before, size = clf.predict(X), len(clf.gallery_)
    with pytest.raises(InvalidDataError, match=r"position 2 of X"):
        clf.enroll(np.concatenate([X[:2], bad]), [0, 1, label])
    assert len(clf.gallery_) == size
    np.testing.assert_array_equal(clf.predict(X), before)


def test_a_training_item_without_an_embedding_is_left_out_with_a_warning() -> None:
    torch.manual_seed(0)
    items, labels = np.concatenate([X, BLANK]), np.append(Y, 7)
    sampler = RandomSampler(batch_size=16)
    clf = SiameseClassifier(Unit(), sampler=sampler, max_epochs=2, random_state=0)
    with pytest.warns(TrainingHealthWarning, match=r"position 60 of X is not finite.*class 7"):
        clf.fit(items, labels)
    assert clf.classes_.tolist() == [0, 1, 2, 3]
    assert len(clf.gallery_) == 60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(clf.predict_proba(X)).all()


def test_training_that_ends_too_far_away_has_diverged() -> None:
    """The embeddings are finite, their squares are not."""
    torch.manual_seed(0)
    net = Long()
    net.linear.weight.data.mul_(1e20)
    clf = SiameseClassifier(net, head="cosine", max_epochs=1, learning_rate=1e-9, random_state=0)
    with pytest.raises(TrainingDivergedError, match=r"epoch 1: .*learning rate"):
        clf.fit(X, Y)


def test_an_item_too_far_away_to_compare_is_left_out_with_a_warning() -> None:
    """Its embedding and its square are finite; its squared distance to the opposite is not."""
    net = Long()
    with torch.no_grad():
        net.linear.weight.copy_(torch.eye(6, 4))
    items, labels = np.concatenate([X, BLANK + 6e18]), np.append(Y, 0)
    clf = SiameseClassifier(net, head="sqeuclidean", max_epochs=0, random_state=0)
    with pytest.warns(TrainingHealthWarning, match="position 60 of X is not finite, or too large"):
        clf.fit(items, labels)
    assert len(clf.gallery_) == 60
    with pytest.raises(TrainingDivergedError, match="maps 60 to NaN"):
        clf.fit(np.concatenate([items[60:]] * 60 + [X[:50]]) * 2, np.arange(110) % 4)
