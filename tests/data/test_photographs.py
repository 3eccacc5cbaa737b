import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit import SiameseClassifier
from siamesekit.data import PhotoAugmentation
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.testing import check_plugin

STILL = {
    "flip": 0.0,
    "rotation": 0.0,
    "shear": 0.0,
    "scale": (1.0, 1.0),
    "translate": 0.0,
    "gamma": 0.0,
    "contrast": 0.0,
    "brightness": 0.0,
    "gradient": 0.0,
    "blur": 0.0,
    "erase": 0.0,
    "p": 1.0,
}


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(n: int = 8, height: int = 24, width: int = 20) -> torch.Tensor:
    return torch.rand(n, 1, height, width, generator=gen())


def only(**params: object) -> PhotoAugmentation:
    return PhotoAugmentation(**STILL | params)  # type: ignore[arg-type]


def test_without_any_change_a_photograph_stays_as_it_is() -> None:
    x = photographs()
    torch.testing.assert_close(only()(x, gen()), x, atol=1e-5, rtol=0)


def test_it_keeps_the_contract_of_an_augmentation() -> None:
    check_plugin("augmentations", "photo")


@settings(max_examples=25, deadline=None)
@given(
    b=st.integers(0, 4),
    c=st.integers(1, 3),
    h=st.integers(1, 30),
    w=st.integers(1, 30),
    seed=st.integers(0, 99),
    low=st.sampled_from([0.0, -3.0, 100.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
def test_shape_type_and_range_are_kept(
    b: int, c: int, h: int, w: int, seed: int, low: float, dtype: torch.dtype
) -> None:
    x = (low + 255 * torch.rand(b, c, h, w, generator=gen(seed))).to(dtype)
    changed = PhotoAugmentation(p=1.0)(x, gen(seed))
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    if b:
        assert bool((changed.amin((1, 2, 3)) >= x.float().amin((1, 2, 3)).to(dtype)).all())
        assert bool((changed.amax((1, 2, 3)) <= x.float().amax((1, 2, 3)).to(dtype)).all())


def test_all_that_is_random_comes_from_the_generator() -> None:
    x, before = photographs(), torch.get_rng_state()
    augment = PhotoAugmentation()
    assert torch.equal(augment(x, gen(1)), augment(x, gen(1)))
    assert not torch.equal(augment(x, gen(1)), augment(x, gen(2)))
    assert torch.equal(before, torch.get_rng_state())


def test_each_image_is_changed_by_amounts_of_its_own() -> None:
    changed = PhotoAugmentation()(photographs(1).expand(5, 2, 24, 20), gen())
    torch.testing.assert_close(changed[:, 0], changed[:, 1])
    assert all(not torch.equal(changed[0], changed[k]) for k in range(1, 5))


def test_a_flip_is_the_mirror_image() -> None:
    x = photographs()
    torch.testing.assert_close(only(flip=1.0)(x, gen()), x.flip(3), atol=1e-5, rtol=0)
    mirrored = (only(flip=0.5)(x.repeat(50, 1, 1, 1), gen()) - x.flip(3).repeat(50, 1, 1, 1)).abs()
    assert (mirrored.amax((1, 2, 3)) < 1e-4).float().mean() == pytest.approx(0.5, abs=0.1)


def test_past_its_border_an_image_goes_on() -> None:
    x = torch.ones(16, 1, 20, 20)
    x[:, :, 8:12, 8:12] = 0.0  # the border is white, and nothing dark may come in from outside
    moved = only(translate=0.2, rotation=20.0, scale=(0.8, 0.8))(x, gen())
    border = torch.cat([moved[:, :, 0].flatten(), moved[:, :, :, 0].flatten()])
    assert border.min() > 0.999


@pytest.mark.parametrize("change", [{"gamma": 0.5}, {"brightness": 0.2}, {"contrast": 0.5}])
def test_light_keeps_the_order_of_pixels(change: dict[str, float]) -> None:
    x = torch.linspace(0, 1, 64).view(1, 1, 8, 8).repeat(20, 1, 1, 1)
    lit = only(**change)(x, gen())
    assert bool((lit.flatten(1).diff(dim=1) >= -1e-6).all())
    assert (lit - x).abs().amax() > 0.02


def test_a_gradient_changes_no_pixel_by_more_than_its_share() -> None:
    x = torch.full((50, 1, 12, 12), 0.5)
    x[:, :, 0, 0], x[:, :, 0, 1] = 0.0, 1.0
    lit = only(gradient=0.3)(x, gen())
    inner = lit[:, :, 1:]
    assert inner.amin() >= 0.35 - 1e-5
    assert inner.amax() <= 0.65 + 1e-5
    assert inner.std((1, 2, 3)).max() > 0.05


def test_a_blur_smooths_and_keeps_the_mean() -> None:
    x = torch.zeros(30, 1, 31, 31)
    x[:, :, 15, 15] = 1.0
    blurred = only(blur=2.0)(x, gen())
    torch.testing.assert_close(blurred.sum((1, 2, 3)), torch.ones(30), atol=1e-3, rtol=0)
    assert blurred[:, 0, 15, 15].min() < 0.1
    # A Gaussian of deviation 2 at its middle, where the whole of it is in view.
    assert blurred[:, 0, 15, 15].min() >= 1 / (2 * torch.pi * 4) - 1e-3


def test_an_erased_rectangle_is_grey_and_the_rest_as_it_was() -> None:
    x = photographs(40)
    erased = only(erase=0.5)(x, gen())
    changed = (erased - x).abs() > 1e-4
    assert changed.float().mean((1, 2, 3)).max() <= 0.25 + 0.1
    assert changed.any()
    grey = x.mean((1, 2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(erased[changed], grey[changed], atol=1e-4, rtol=0)


def test_with_probability_zero_light_and_covering_take_no_part() -> None:
    x = photographs()
    augment = PhotoAugmentation(flip=0, rotation=0, shear=0, scale=(1, 1), translate=0, p=0)
    torch.testing.assert_close(augment(x, gen()), x, atol=1e-5, rtol=0)


def test_an_image_of_one_grey_stays_that_grey() -> None:
    x = torch.full((3, 1, 9, 9), 0.25)
    torch.testing.assert_close(PhotoAugmentation(p=1.0)(x, gen()), x)


def test_no_images_are_none_and_not_a_number_stays_so() -> None:
    assert PhotoAugmentation()(torch.zeros(0, 1, 8, 8), gen()).shape == (0, 1, 8, 8)
    x = photographs(2)
    x[0, 0, 3, 3] = float("nan")
    changed = PhotoAugmentation()(x, gen())
    assert bool(changed[0].isnan().any())
    assert bool(changed[1].isfinite().all())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", 1.5),
        ("rotation", -1.0),
        ("shear", 1.0),
        ("scale", (1.2, 0.9)),
        ("translate", 2.0),
        ("gamma", -0.1),
        ("contrast", 1.0),
        ("brightness", "much"),
        ("gradient", float("nan")),
        ("blur", -1.0),
        ("erase", 1.1),
        ("p", -0.5),
    ],
)
def test_a_bad_argument_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        PhotoAugmentation(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [None, np.zeros((2, 1, 8, 8)), torch.zeros(2, 8, 8), "x"])
def test_what_is_no_batch_of_images_is_refused(x: object) -> None:
    with pytest.raises(InvalidDataError, match="x must be"):
        PhotoAugmentation()(x, gen())  # type: ignore[arg-type]


def test_what_is_no_generator_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"generator must be a torch\.Generator"):
        PhotoAugmentation()(photographs(), 0)  # type: ignore[arg-type]


def test_an_estimator_takes_it_by_name_and_vectors_have_no_light() -> None:
    x = (photographs(12, 16, 16) * 255).to(torch.uint8).numpy()[:, 0]
    y = np.repeat(np.arange(3), 4)
    model = SiameseClassifier(augment="photo", max_epochs=1, random_state=0)
    assert model.set_params(augment__flip=0.0).augment.flip == 0.0
    assert np.isfinite(model.fit(x, y).transform(x)).all()
    with pytest.raises(InvalidParameterError, match="augment='photo' distorts images"):
        SiameseClassifier(augment="photo", max_epochs=1).fit(np.zeros((12, 5)), y)
