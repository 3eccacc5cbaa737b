import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit import SiameseClassifier
from siamesekit.data import RandomPen
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.testing import check_plugin

STILL = {
    "width": (0.0, 0.0),
    "blur": 0.0,
    "contrast": 0.0,
    "rotation": 0.0,
    "shear": 0.0,
    "scale": (1.0, 1.0),
    "translate": 0.0,
    "p": 1.0,
}


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stroke(width: int, side: int = 40) -> torch.Tensor:
    """An upright stroke in the middle of one image, (1, 1, side, side)."""
    x = torch.zeros(1, 1, side, side)
    first = (side - width) // 2
    x[..., 6:-6, first : first + width] = 1
    return x


def width_of(x: torch.Tensor) -> float:
    """Ink along the middle row."""
    return float(x[0, 0, x.shape[2] // 2].sum())


def only(**params: object) -> RandomPen:
    return RandomPen(**STILL | params)  # type: ignore[arg-type]


def test_it_keeps_the_contract_of_an_augmentation() -> None:
    check_plugin("augmentations", "pen")


def test_without_any_change_plain_ink_stays_where_it_is() -> None:
    x = stroke(6)
    assert width_of(only()(x, gen())) == pytest.approx(6, abs=1e-4)


@pytest.mark.parametrize("added", [0.05, 0.1, 0.2, -0.1])
@pytest.mark.parametrize("fine", [2, 3])
def test_a_stroke_is_wider_by_the_share_of_the_side(added: float, fine: int) -> None:
    x = stroke(8)
    drawn = only(width=(added, added), fine=fine)(x, gen())
    assert width_of(drawn) == pytest.approx(8 + added * 40, abs=0.05)
    assert drawn.min() >= 0
    assert drawn.max() <= 1 + 1e-6


def test_a_bend_moves_ink_smoothly_by_as_much_as_asked_for() -> None:
    x = stroke(6).expand(64, -1, -1, -1)
    rows = torch.arange(40.0)

    def places(bend: float) -> torch.Tensor:
        """Where each row's ink is, (64, rows with ink)."""
        ink = only(bend=bend)(x, gen())[:, 0, 12:-12]
        return (ink * rows).sum(2) / ink.sum(2)

    straight, little, more = places(0.0), places(0.02), places(0.08)
    assert straight.std(1).max() < 1e-4
    # The same draws, four times as large.
    assert float(more.std(1).mean() / little.std(1).mean()) == pytest.approx(4, rel=0.1)
    # Twenty pixels are half a side; the mean of the amounts is a half.
    assert (more - 19.5).abs().mean() < 0.08 * 20
    # Neighbouring rows move alike: the points stand ten pixels apart.
    assert (more.diff(dim=1).abs().mean()) < 0.5


def test_a_nib_is_nearly_round() -> None:
    x = torch.zeros(1, 1, 65, 65)
    x[..., 32, 32] = 1
    grown = only(width=(0.4, 0.4), fine=1)(x, gen())[0, 0] > 0.5
    upright = int(grown[32].sum())
    aslant = int(grown.diagonal().sum()) * 2**0.5
    assert aslant / upright == pytest.approx(1, abs=0.2)


def test_a_stroke_thinner_than_what_is_taken_away_is_gone() -> None:
    assert width_of(only(width=(-0.2, -0.2))(stroke(4), gen())) == pytest.approx(0, abs=1e-6)


def test_weaker_ink_is_never_weaker_than_asked_for() -> None:
    x = stroke(6).expand(64, -1, -1, -1)
    strongest = only(contrast=0.4)(x, gen()).amax((1, 2, 3))
    assert 0.6 - 1e-6 <= strongest.min() < 0.65
    assert strongest.max() <= 1 + 1e-6


def test_a_blur_keeps_the_ink() -> None:
    x = stroke(6)
    blurred = only(blur=1.0)(x, gen())
    assert float(blurred.sum()) == pytest.approx(float(x.sum()), rel=1e-4)
    assert not torch.allclose(blurred, x)


def test_each_drawing_has_a_pen_of_its_own_and_may_keep_its_own() -> None:
    x = stroke(6).expand(64, -1, -1, -1)
    widths = only(width=(0.05, 0.2), p=0.5)(x, gen())[:, 0, 20].sum(1)
    same = (widths - 6).abs() < 1e-3
    assert 16 <= int(same.sum()) <= 48
    assert len(widths[~same].unique()) == int((~same).sum())


def test_paper_may_be_of_any_value() -> None:
    pen = RandomPen(fill=-3.0)
    x = stroke(4)
    moved = RandomPen()(x, gen()) - 3
    torch.testing.assert_close(pen(x - 3, gen()), moved, atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    b=st.integers(0, 4),
    c=st.integers(1, 3),
    h=st.integers(1, 30),
    w=st.integers(1, 30),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
def test_shape_type_and_range_are_kept(
    b: int, c: int, h: int, w: int, seed: int, dtype: torch.dtype
) -> None:
    x = torch.rand(b, c, h, w, generator=gen(seed)).to(dtype)
    before = x.clone()
    changed = RandomPen(width=(-0.1, 0.3))(x, gen(seed))
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    assert torch.equal(x, before)
    if b:
        assert float(changed.min()) >= 0
        assert float(changed.max()) <= 1.01


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    RandomPen()(stroke(4), gen())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "params",
    [
        {"width": 0.1},
        {"width": (0.2, 0.1)},
        {"width": (0.0, 0.6)},
        {"width": (0.0, float("nan"))},
        {"width": (0.0, 0.1, 0.2)},
        {"blur": 1.5},
        {"contrast": 1.0},
        {"p": -0.1},
        {"fine": 0},
        {"fine": 2.0},
        {"fine": 9},
        {"fill": "white"},
        {"rotation": 200},
        {"scale": (1.2, 0.8)},
    ],
)
def test_a_bad_argument_is_named(params: dict) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        RandomPen(**params)


def test_a_bad_batch_or_generator_is_named() -> None:
    with pytest.raises(InvalidDataError, match="floating point"):
        RandomPen()(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), gen())
    with pytest.raises(InvalidParameterError, match="generator"):
        RandomPen()(torch.zeros(2, 1, 8, 8), 0)  # type: ignore[arg-type]


def test_an_estimator_takes_it_by_name_and_saves_it(tmp_path: object) -> None:
    X = (torch.rand(24, 12, 12, generator=gen()) * 255).byte().numpy()
    y = np.repeat(np.arange(4), 6)
    clf = SiameseClassifier(augment="pen", max_epochs=1, random_state=0, device="cpu").fit(X, y)
    clf.save(tmp_path / "model")  # type: ignore[operator]
    again = SiameseClassifier.load(tmp_path / "model")  # type: ignore[operator]
    assert np.array_equal(again.predict(X), clf.predict(X))
