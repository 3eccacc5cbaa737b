import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.data import RandomAffine
from siamesekit.errors import InvalidDataError, InvalidParameterError

STILL = {"rotation": 0.0, "shear": 0.0, "scale": (1.0, 1.0), "translate": 0.0}


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(height: int = 64, width: int = 64) -> torch.Tensor:
    """A round spot in the middle of one image, shape (1, 1, h, w)."""
    y = torch.arange(height)[:, None] - (height - 1) / 2
    x = torch.arange(width)[None, :] - (width - 1) / 2
    return torch.exp(-(x**2 + y**2) / 50)[None, None]


def moments(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre of mass in pixels from the middle, and covariance, of one image (h, w)."""
    height, width = image.shape
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2,
        torch.arange(width) - (width - 1) / 2,
        indexing="ij",
    )
    points = torch.stack([x.flatten(), y.flatten()], 1)
    weight = image.flatten() / image.sum()
    mean = weight @ points
    return mean, (points - mean).T @ (weight[:, None] * (points - mean))


def test_without_any_component_an_image_stays_as_it_is() -> None:
    x = torch.rand(3, 2, 17, 23, generator=gen())
    torch.testing.assert_close(RandomAffine(**STILL)(x, gen()), x, atol=1e-5, rtol=0)


def test_each_image_has_a_map_of_its_own_for_all_its_channels() -> None:
    x = blob().expand(5, 2, 64, 64)
    moved = RandomAffine()(x, gen())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert all(not torch.equal(moved[0], moved[k]) for k in range(1, 5))


def test_the_same_generator_gives_the_same_batch_and_the_global_one_is_left_alone() -> None:
    x = torch.rand(4, 1, 28, 28, generator=gen())
    before = torch.get_rng_state()
    assert torch.equal(RandomAffine()(x, gen(1)), RandomAffine()(x, gen(1)))
    assert not torch.equal(RandomAffine()(x, gen(1)), RandomAffine()(x, gen(2)))
    assert torch.equal(before, torch.get_rng_state())


def test_a_shift_moves_by_at_most_its_share_of_the_side() -> None:
    affine = RandomAffine(**STILL | {"translate": 0.1})
    x = blob(40, 80).expand(200, 1, 40, 80)
    centres = torch.stack([moments(image[0])[0] for image in affine(x, gen())])
    most = centres.abs().amax(0)
    assert most[0] == pytest.approx(8, abs=0.3)
    assert most[1] == pytest.approx(4, abs=0.2)
    assert centres.mean(0).tolist() == pytest.approx([0, 0], abs=0.6)


def test_scale_is_the_factor_by_which_an_image_grows() -> None:
    affine = RandomAffine(**STILL | {"scale": (1.5, 1.5)})
    _, before = moments(blob()[0, 0])
    _, after = moments(affine(blob(), gen())[0, 0])
    assert (after / before).diag().tolist() == pytest.approx([1.5**2, 1.5**2], rel=0.05)


@pytest.mark.parametrize("shape", [(64, 64), (40, 80)])
def test_a_rotation_keeps_lengths_on_any_image(shape: tuple[int, int]) -> None:
    height, width = shape
    affine = RandomAffine(**STILL | {"rotation": 90.0})
    maps = affine.matrices(50, gen(), aspect=width / height)
    half = torch.tensor([width / 2, height / 2])
    in_pixels = half[:, None] * maps[:, :, :2] / half
    products = in_pixels.transpose(1, 2) @ in_pixels
    torch.testing.assert_close(products, torch.eye(2).expand(50, 2, 2), atol=1e-5, rtol=0)
    angles = torch.atan2(in_pixels[:, 1, 0], in_pixels[:, 0, 0])
    assert 1.2 < float(angles.abs().max()) <= math.pi / 2 + 1e-6


@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_shear_is_in_pixels_whatever_the_sides(aspect: float) -> None:
    maps = RandomAffine(**STILL | {"shear": 0.3}).matrices(500, gen(), aspect)
    sideways, upwards = maps[:, 0, 1] * aspect, maps[:, 1, 0] / aspect
    for coefficient in (sideways, upwards):
        assert float(coefficient.abs().max()) == pytest.approx(0.3, abs=0.01)
    assert float((sideways * upwards).mean()) == pytest.approx(0, abs=0.01)


def test_components_take_part_independently_with_probability_p() -> None:
    maps = RandomAffine(**STILL | {"translate": 0.5}, p=0.3).matrices(4000, gen())
    moved = maps[:, :, 2] != 0
    assert moved.float().mean(0).tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    assert float(moved.all(1).float().mean()) == pytest.approx(0.09, abs=0.02)


def test_koch2015_has_the_ranges_of_the_paper() -> None:
    assert RandomAffine.koch2015().get_params() == {
        "rotation": 10.0,
        "shear": 0.3,
        "scale": (0.8, 1.2),
        "translate": 2 / 105,
        "p": 0.5,
        "fill": 0.0,
    }
    maps = RandomAffine.koch2015().matrices(4000, gen())
    untouched = (maps == torch.eye(2, 3)).flatten(1).all(1)
    assert float(untouched.float().mean()) == pytest.approx(0.5**7, abs=0.006)


def test_what_comes_from_outside_has_the_value_of_fill() -> None:
    affine = RandomAffine(**STILL | {"scale": (0.5, 0.5)}, fill=0.7)
    moved = affine(torch.zeros(1, 1, 20, 20), gen())[0, 0]
    assert moved[0].tolist() == pytest.approx([0.7] * 20)
    assert moved[8:12, 8:12].abs().max() < 1e-6


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(2, 30), st.integers(2, 30), st.integers(0, 99)
)
def test_shape_and_range_are_kept(b: int, c: int, h: int, w: int, seed: int) -> None:
    x = torch.rand(b, c, h, w, generator=gen(seed))
    moved = RandomAffine()(x, gen(seed))
    assert moved.shape == x.shape
    assert moved.dtype == x.dtype
    assert -1e-6 <= float(moved.min()) <= float(moved.max()) <= 1 + 1e-6


def test_bfloat16_is_sampled_at_exact_places() -> None:
    x = torch.rand(4, 1, 105, 105, generator=gen()).bfloat16()
    moved = RandomAffine()(x, gen())
    assert moved.dtype == torch.bfloat16
    torch.testing.assert_close(moved, RandomAffine()(x.float(), gen()).bfloat16())


@pytest.mark.parametrize(
    "x",
    [torch.zeros(2, 5, 5), torch.zeros(2, 1, 5, 5, dtype=torch.uint8)],
    ids=["three axes", "bytes"],
)
def test_no_images_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(InvalidDataError, match="x must be floating point"):
        RandomAffine()(x, gen())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation", -1.0),
        ("shear", 1.0),
        ("scale", 1.2),
        ("scale", (0.0, 1.0)),
        ("scale", (1.2, 0.8)),
        ("translate", 1.5),
        ("p", 2.0),
        ("fill", math.nan),
    ],
)
def test_a_bad_argument_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        RandomAffine(**{name: value})  # type: ignore[arg-type]


def test_a_batch_moved_by_maps_drawn_apart_is_the_batch_distorted_at_once() -> None:
    affine, x = RandomAffine(fill=0.5), torch.rand(4, 1, 20, 30, generator=gen())
    maps = affine.matrices(4, gen(1), aspect=30 / 20)
    assert torch.equal(affine.move(x, maps), affine(x, gen(1)))


@pytest.mark.parametrize("x", [None, 5, np.zeros((2, 1, 8, 8)), torch.zeros(2, 1, 0, 8), "x"])
def test_what_is_no_batch_of_images_is_refused(x: object) -> None:
    affine = RandomAffine()
    with pytest.raises(InvalidDataError, match="x must be"):
        affine(x, gen(0))  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="x must be"):
        affine.move(x, torch.zeros(2, 2, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize("generator", [None, 0, np.random.default_rng(0)])
def test_what_is_no_generator_is_refused(generator: object) -> None:
    with pytest.raises(InvalidParameterError, match=r"generator must be a torch\.Generator"):
        RandomAffine()(torch.zeros(2, 1, 8, 8), generator)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match=r"generator must be a torch\.Generator"):
        RandomAffine().matrices(2, generator)  # type: ignore[arg-type]


def test_no_images_are_moved_to_none_and_each_image_has_its_map() -> None:
    assert RandomAffine()(torch.zeros(0, 1, 8, 8), gen(0)).shape == (0, 1, 8, 8)
    for maps in (None, torch.zeros(3, 2, 3), torch.zeros(2, 3, 3)):
        with pytest.raises(InvalidDataError, match=r"maps must have shape \(2, 2, 3\)"):
            RandomAffine().move(torch.zeros(2, 1, 8, 8), maps)  # type: ignore[arg-type]
    for n in (-1, 1.5, None):
        with pytest.raises(InvalidParameterError, match="n must be"):
            RandomAffine().matrices(n, gen(0))  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="aspect must be"):
        RandomAffine().matrices(2, gen(0), aspect=0)
