"""Features of any scale and offset."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import MLP, Conv4
from siamesekit.backbones._standardize import Standardize
from siamesekit.errors import InvalidDataError
from siamesekit.estimators._inputs import learn_items
from siamesekit.estimators._parts import wants_standardised
from siamesekit.estimators._standardizer import Standardizer

SCALES = [1e-300, 1e-30, 1e-9, 1.0, 1e21, 1e300]


def normal(n: int = 400, f: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, f))


@pytest.mark.parametrize("scale", SCALES)
def test_any_scale_gives_the_same(scale: float) -> None:
    X = torch.from_numpy(normal())
    expected = Standardizer.fit(X)(X)
    torch.testing.assert_close(expected.std(0), torch.ones(3), atol=0.01, rtol=0)
    torch.testing.assert_close(Standardizer.fit(X * scale)(X * scale), expected)


def test_small_differences_beside_a_large_offset() -> None:
    X = torch.from_numpy(normal())
    times = 1.7e9 + X
    torch.testing.assert_close(
        Standardizer.fit(times)(times), Standardizer.fit(X)(X), atol=1e-5, rtol=0
    )


def test_constant_features_become_zero() -> None:
    X = torch.tensor([[1e21, 0.1, 5.0], [1e21, 0.1, 6.0]], dtype=torch.float64)
    assert torch.equal(Standardizer.fit(X)(X), torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("value", [-9999.0, 1e6, 1e20, 3e38, 1e308])
def test_one_outlier_is_named_and_flattens_nothing(value: float) -> None:
    X = torch.from_numpy(normal())
    clean = Standardizer.fit(X)
    X[7] = value
    with pytest.warns(UserWarning, match=r"1 of 400 items: .* in item 7, feature 0"):
        fitted = Standardizer.fit(X)
    torch.testing.assert_close(fitted.scale, clean.scale, rtol=0.02, atol=0)
    assert 15 < float(fitted(X)[7].abs().max()) <= 20


def test_far_values_keep_their_order() -> None:
    fitted = Standardizer.fit(torch.from_numpy(normal()))
    far = fitted(torch.tensor([[10.0 ** (k / 2)] * 3 for k in range(12)], dtype=torch.float64))
    assert bool((far.diff(dim=0) > 0).all())


def test_what_is_not_finite_is_named() -> None:
    X = torch.from_numpy(normal())
    fitted = Standardizer.fit(X)
    X[5, 1] = torch.nan
    for call in (Standardizer.fit, fitted):
        with pytest.raises(InvalidDataError, match="NaN or infinity, in item 5"):
            call(X)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_wine_in_other_units_is_the_same_wine(factor: float) -> None:
    X, y = load_wine(return_X_y=True)
    expected = SiameseClassifier(max_epochs=1, random_state=0).fit(X, y).transform(X)
    other = SiameseClassifier(max_epochs=1, random_state=0).fit(X * factor, y)
    np.testing.assert_allclose(other.transform(X * factor), expected, atol=1e-4)


def test_offset_and_scale_are_saved(tmp_path: object) -> None:
    X, y = load_wine(return_X_y=True)
    clf = SiameseClassifier(max_epochs=1, random_state=0).fit(X + 1.7e9, y)
    clf.save(f"{tmp_path}/m")
    loaded = SiameseClassifier.load(f"{tmp_path}/m")
    np.testing.assert_array_equal(loaded.transform(X + 1.7e9), clf.transform(X + 1.7e9))


def test_foreign_networks_get_their_numbers_as_they_are() -> None:
    X = np.random.default_rng(0).normal(size=(20, 4)) * 100
    items, _, standardizer = learn_items(torch.from_numpy(X), standardised=False)
    assert standardizer is None
    assert torch.equal(items, torch.from_numpy(X).float())


def test_a_backbone_says_what_it_wants() -> None:
    for spec in ("auto", "mlp", MLP, MLP()):
        assert wants_standardised(spec, (5,))
        assert not wants_standardised(spec, (1, 8, 8))
    for spec in (Conv4, nn.Linear, nn.Linear(5, 2)):
        assert not wants_standardised(spec, (5,))


# -- the layer that stands alone ----------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e21, 1e37])
def test_the_layer_takes_any_scale(scale: float) -> None:
    X = torch.from_numpy(normal(64)).float()
    layer = Standardize(3)
    torch.testing.assert_close(layer(X * scale).square().mean(0), torch.ones(3), rtol=1e-3, atol=0)
    layer.eval()
    torch.testing.assert_close(layer(X * scale).square().mean(0), torch.ones(3), rtol=1e-3, atol=0)


def test_the_layer_averages_as_batch_normalisation_does() -> None:
    ours, theirs = Standardize(3), nn.BatchNorm1d(3, affine=False, momentum=None, eps=1e-12)
    for k in range(4):
        batch = torch.from_numpy(normal(32 + k)).float() * (k + 1)
        torch.testing.assert_close(ours(batch), theirs(batch), rtol=1e-4, atol=1e-5)
    assert theirs.running_mean is not None
    torch.testing.assert_close(ours.mean, theirs.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ours.deviation.square(), theirs.running_var, rtol=0.05, atol=0
    )  # biased here


def test_a_constant_feature_is_zero() -> None:
    layer = Standardize(2)
    X = torch.tensor([[0.1, 1.0], [0.1, 3.0], [0.1, 5.0]])
    assert torch.equal(layer(X)[:, 0], torch.zeros(3))
    assert torch.equal(layer.eval()(X + 1)[:, 0], torch.zeros(3))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_a_number_stays_none(value: float) -> None:
    layer = Standardize(2)
    X = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    X[3, 1] = value
    out = layer(X)
    assert bool(out[:, 0].isfinite().all())
    assert not bool(out[3, 1].isfinite())


def test_digits_as_images_in_other_units() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:200].reshape(-1, 8, 8), y[:200]
    reference = None
    for factor in (1.0, 2.0**-30):
        clf = SiameseClassifier("mlp", augment=None, max_epochs=1, random_state=0)
        embedded = clf.fit(X * factor, y).transform(X * factor)
        reference = embedded if reference is None else reference
        np.testing.assert_allclose(embedded, reference, atol=1e-3)
