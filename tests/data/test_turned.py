import numpy as np
import pytest

from siamesekit.data import ImageSet, with_turns
from siamesekit.errors import InvalidDataError


def _letters() -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet(
        X=rng.integers(0, 256, (6, 5, 5), dtype=np.uint8),
        y=np.array(["b", "b", "a", "a", "c", "c"]),
        groups=np.array(["Latin"] * 4 + ["Greek"] * 2),
        drawers=np.arange(6),
    )


@pytest.mark.parametrize(("mirrored", "copies"), [(False, 4), (True, 8)])
def test_every_turn_is_a_class_and_a_group_of_its_own(mirrored: bool, copies: int) -> None:
    letters = _letters()
    turned = with_turns(letters, mirrored=mirrored)
    assert len(turned) == 6 * copies
    assert sorted(set(turned.y)) == list(range(3 * copies))
    assert sorted(set(turned.groups)) == list(range(2 * copies))
    # A class lies in one group.
    assert len({*zip(turned.y, turned.groups, strict=True)}) == 3 * copies
    np.testing.assert_array_equal(turned.drawers, np.tile(letters.drawers, copies))


def test_the_images_come_first_as_they_are_and_the_copies_are_all_different() -> None:
    letters = _letters()
    turned = with_turns(letters, mirrored=True)
    np.testing.assert_array_equal(turned.X[:6], letters.X)
    np.testing.assert_array_equal(turned.y[:6], [1, 1, 0, 0, 2, 2])
    np.testing.assert_array_equal(turned.X[6], np.rot90(letters.X[0]))
    np.testing.assert_array_equal(turned.X[24], np.fliplr(letters.X[0]))
    assert len(np.unique(turned.X[::6].reshape(8, -1), axis=0)) == 8


def test_images_of_several_channels_and_without_groups_are_taken() -> None:
    images = ImageSet(X=np.zeros((2, 3, 4, 4), np.uint8), y=np.array([0, 1]))
    turned = with_turns(images)
    assert turned.X.shape == (8, 3, 4, 4)
    assert turned.groups is None
    assert turned.drawers is None


def test_oblong_images_are_refused() -> None:
    images = ImageSet(X=np.zeros((2, 4, 5), np.uint8), y=np.array([0, 1]))
    with pytest.raises(InvalidDataError, match=r"square.*4×5"):
        with_turns(images)
