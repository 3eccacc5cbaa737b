"""Occlusion maps: what a score does not depend on has no share in it, and the rest its own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import Explanation
from siamesekit.heads import Head

REGION = (slice(2, 6), slice(4, 8))


class Corner(nn.Module):
    """An embedding that sees one region alone: its brightness by pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, REGION[0], REGION[1]].flatten(1)


class Inner(Head):
    """The inner product: each pixel has its own share in it."""

    gives = "logit"

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(1)


def images(shape: tuple[int, ...] = (12, 12), dtype: Any = np.float32) -> npt.NDArray[Any]:
    numbers = np.random.default_rng(0).random((8, *shape))
    return (numbers * 255).astype(dtype) if dtype == np.uint8 else numbers.astype(dtype)


def fitted(X: npt.NDArray[Any], **parameters: Any) -> SiameseClassifier:
    clf = SiameseClassifier(Corner(), Inner(), max_epochs=0, random_state=0, **parameters)
    return clf.fit(X, np.arange(8) % 2)


@pytest.mark.parametrize("shape", [(12, 12), (1, 12, 12), (3, 12, 12), (12, 12, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_only_the_region_that_is_seen_counts_and_its_parts_sum_to_the_score(
    shape: tuple[int, ...], dtype: Any
) -> None:
    X = images(shape, dtype)
    found = fitted(X).explain(X[0], X[1], patch=2, stride=2, fill=0.0)
    assert isinstance(found, Explanation)
    for own in (found.a, found.b):
        assert own.shape == (12, 12)
        assert own.dtype == np.float32
        outside = own.copy()
        outside[REGION] = 0
        assert not outside.any()
        # A patch that is black costs its share of the inner product, on each of its 4 pixels.
        assert own.sum() / 4 == pytest.approx(found.score, rel=1e-4)
        assert (own[REGION] > 0).all()
    floats = X.astype(np.float64) / (255 if dtype == np.uint8 else 1)
    floats = np.moveaxis(floats, -1, 1) if shape[-1] == 3 else floats.reshape(8, -1, 12, 12)
    seen = floats[:, :, REGION[0], REGION[1]]
    assert found.score == pytest.approx((seen[0] * seen[1]).sum(), rel=1e-4)


def test_overlapping_patches_are_averaged_over_those_that_cover_a_pixel() -> None:
    X = images()
    found = fitted(X).explain(X[0], X[1], patch=3, stride=2, fill=0.0)
    starts = [0, 2, 4, 6, 8, 9]
    seen = np.zeros((12, 12))
    seen[REGION] = (X[0] * X[1])[REGION]
    total, times = np.zeros((12, 12)), np.zeros((12, 12))
    for top in starts:
        for left in starts:
            part = slice(top, top + 3), slice(left, left + 3)
            total[part] += seen[part].sum()
            times[part] += 1
    np.testing.assert_allclose(found.a, total / times, atol=1e-5)
    assert (found.patch, found.stride) == (3, 2)


@pytest.mark.parametrize("fill", ["mean", "blur", 0.5])
def test_the_maps_change_places_with_the_items(fill: str | float) -> None:
    X = images()
    clf = fitted(X)
    one, other = clf.explain(X[0], X[1], fill=fill), clf.explain(X[1], X[0], fill=fill)
    np.testing.assert_allclose(one.a, other.b, atol=1e-6)
    np.testing.assert_allclose(one.b, other.a, atol=1e-6)
    assert one.score == pytest.approx(other.score)


def test_what_hides_the_item_is_as_asked_for() -> None:
    X = np.full((8, 12, 12), 0.5, dtype=np.float32)
    X[:, ::2] = 0.25
    clf = fitted(X)
    mean = clf.explain(X[0], X[1], patch=2, stride=2)
    by_hand = clf.explain(X[0], X[1], patch=2, stride=2, fill=0.375)
    np.testing.assert_allclose(mean.a, by_hand.a, atol=1e-6)
    # Of one brightness, nothing changes where it is hidden by its mean or its blur.
    even = np.full((12, 12), 0.25, dtype=np.float32)
    for fill in ("mean", "blur"):
        assert np.abs(clf.explain(even, even, fill=fill).a).max() < 1e-6


def test_a_batch_of_one_lists_and_tensors_are_items_too() -> None:
    X = images()
    clf = fitted(X)
    expected = clf.explain(X[0], X[1]).a
    for a, b in ((X[:1], X[1:2]), (X[0].tolist(), X[1].tolist()), torch.from_numpy(X[:2])):
        np.testing.assert_allclose(clf.explain(a, b).a, expected, atol=1e-6)


def test_features_of_vectors_are_hidden_one_by_one() -> None:
    X = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    clf = SiameseClassifier(nn.Flatten(), Inner(), max_epochs=0, random_state=0)
    clf.fit(X, np.arange(20) % 2)
    found = clf.explain(X[0], X[1], fill=0.0)
    np.testing.assert_allclose(found.a, X[0] * X[1], atol=1e-5)
    assert found.a.sum() == pytest.approx(found.score, abs=1e-5)
    with pytest.raises(InvalidParameterError, match="fill must be a number of vectors that are"):
        clf.explain(X[0], X[1])
    with pytest.raises(InvalidParameterError, match="patch must be None of vectors"):
        clf.explain(X[0], X[1], fill=0.0, patch=2)


def test_standardised_vectors_are_hidden_by_the_mean_of_training() -> None:
    X = np.random.default_rng(0).normal(5.0, 2.0, size=(20, 4))
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(X, np.arange(20) % 2)
    usual = X.copy()
    usual[0, 1] = X[:, 1].mean()
    found = clf.explain(X[0], X[1])
    assert found.a.shape == (4,)
    assert abs(clf.explain(usual[0], X[1]).a[1]) < 1e-5
    with pytest.raises(InvalidParameterError, match="fill must be a number of vectors, or 'mean'"):
        clf.explain(X[0], X[1], fill="blur")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"patch": 13}, InvalidParameterError, r"patch must be an integer in \[1, 12\]; got 13"),
        ({"patch": 0}, InvalidParameterError, "patch must be"),
        ({"patch": 2, "stride": 3}, InvalidParameterError, r"stride must be .* \[1, 2\]"),
        ({"patch": 2.5}, InvalidParameterError, "patch must be"),
        ({"fill": "zero"}, InvalidParameterError, "fill must be one of 'mean', 'blur'"),
        ({"fill": None}, InvalidParameterError, "fill must be a finite number"),
        ({"fill": 1000.0}, InvalidDataError, "fill must hold floats in"),
        ({"a": np.zeros((2, 1, 12, 12))}, InvalidDataError, "a must be one item; got 2"),
        ({"b": np.zeros((5, 5))}, InvalidDataError, "b must hold items of shape"),
        ({"a": "x"}, InvalidDataError, "a must"),
        ({"a": np.full((12, 12), np.nan)}, InvalidDataError, "a contains NaN"),
    ],
)
def test_bad_input_is_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    X = images()
    clf = fitted(X)
    with pytest.raises(error, match=message):
        clf.explain(**({"a": X[0], "b": X[1]} | arguments))


def test_hiding_what_mattered_most_costs_most() -> None:
    clf = SiameseClassifier.from_pretrained("omniglot-28")
    a = np.zeros((28, 28), np.uint8)
    a[4:24, 8:10] = a[22:24, 8:20] = a[10:12, 8:18] = 255
    b = np.roll(a, (1, 2), axis=(0, 1))
    found = clf.explain(a, b, patch=4, stride=4, fill=0)
    cells = found.a[::4, ::4].ravel()
    costs = []
    for order in (np.argsort(-cells), np.argsort(cells)):
        hidden = a.copy()
        for cell in order[:5]:  # a tenth of the image
            row, column = divmod(int(cell), 7)
            hidden[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
        own = torch.from_numpy(clf.transform(np.stack([hidden, b])))
        costs.append(found.score - float(clf.head_.pairs(own[:1], own[1:])))
    assert costs[0] > 0.2 > costs[1]
