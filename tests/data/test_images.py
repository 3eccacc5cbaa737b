import re

import numpy as np
import pytest

from siamesekit.data import ImageSet, koch_split, redraw, resize, with_turns
from siamesekit.errors import InvalidDataError, InvalidParameterError


@pytest.fixture
def images() -> ImageSet:
    X = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    return ImageSet(
        X, np.array(list("aabbcc")), np.array(["P", "P", "P", "P", "Q", "Q"]), np.array([1, 2] * 3)
    )


def test_a_subset_takes_every_column_along(images: ImageSet) -> None:
    for chosen in (images.drawers == 2, np.array([1, 3, 5])):
        part = images.subset(chosen)
        assert len(part) == 3
        assert part.y.tolist() == ["a", "b", "c"]
        assert part.groups.tolist() == ["P", "P", "Q"]
        assert part.drawers.tolist() == [2, 2, 2]
        np.testing.assert_array_equal(part.X, images.X[1::2])


def test_absent_columns_stay_absent() -> None:
    part = ImageSet(np.zeros((3, 2, 2), np.uint8), np.arange(3)).subset(np.array([2]))
    assert part.groups is None
    assert part.drawers is None


def test_groups_are_split_off_by_name(images: ImageSet) -> None:
    rest, held_out = images.split_groups(["Q"])
    assert set(rest.y) == {"a", "b"}
    assert set(held_out.y) == {"c"}
    assert images.split_groups("Q")[1].y.tolist() == ["c", "c"]
    assert len(images.split_groups([])[1]) == 0


def test_an_unknown_group_is_named(images: ImageSet) -> None:
    with pytest.raises(InvalidDataError, match="'R' is none"):
        images.split_groups(["P", "R"])
    with pytest.raises(InvalidDataError, match="these images have none"):
        ImageSet(images.X, images.y).split_groups(["P"])


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"groups must hold one entry an image \(3\); got 2"):
        ImageSet(np.zeros((3, 2, 2), np.uint8), np.arange(3), np.arange(2))


def test_resizing_averages_areas() -> None:
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, :2, :2] = [[0, 255], [255, 255]]
    np.testing.assert_array_equal(resize(image, 2), [[[191, 0], [0, 0]]])


def test_resizing_by_a_fraction_keeps_the_mean() -> None:
    X = np.random.default_rng(0).integers(0, 256, (5, 105, 105), dtype=np.uint8)
    small = resize(X, 35)
    expected = X.reshape(5, 35, 3, 35, 3).mean((2, 4))
    assert np.abs(small - expected).max() <= 0.5 + 1e-4


def test_channels_are_resized_alike() -> None:
    X = np.random.default_rng(0).integers(0, 256, (1100, 3, 6, 9), dtype=np.uint8)
    small = resize(X, 3)
    assert small.shape == (1100, 3, 3, 3)
    np.testing.assert_array_equal(small[:, 1], resize(X[:, 1], 3))


def test_only_bytes_are_resized(images: ImageSet) -> None:
    assert images.resized(2).X.shape == (6, 2, 2)
    for bad in (images.X.astype(float), images.X[:0], images.X[0]):
        with pytest.raises(InvalidDataError, match="images must be uint8"):
            resize(bad, 2)
    with pytest.raises(InvalidParameterError, match="side"):
        resize(images.X, 0)


WRONG = [None, 5, 1.5, "x", b"", [], True, object(), np.array(3), np.zeros((2, 2)), {}]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: re.sub(" at 0x.*", ">", repr(wrong)))
class TestWhatIsNone:
    """Everything is refused by name that is no array, no column, no group, no set of images."""

    def test_images_and_columns(self, wrong: object) -> None:
        X, y = np.zeros((4, 8, 8), np.uint8), np.arange(4)
        with pytest.raises(InvalidDataError, match="X must be uint8"):
            ImageSet(wrong, y)  # type: ignore[arg-type]
        with pytest.raises(InvalidDataError, match="y must hold one entry an image"):
            ImageSet(X, wrong)  # type: ignore[arg-type]
        if wrong is not None:
            with pytest.raises(InvalidDataError, match="drawers must hold one entry an image"):
                ImageSet(X, y, None, wrong)  # type: ignore[arg-type]

    def test_functions_of_images(self, wrong: object) -> None:
        for function in (lambda images: resize(images, 4), redraw):
            with pytest.raises(InvalidDataError, match="images must be uint8"):
                function(wrong)
        for function in (with_turns, koch_split):
            with pytest.raises(InvalidDataError, match="images must be an ImageSet"):
                function(wrong)

    def test_choices(self, wrong: object) -> None:
        images = ImageSet(np.zeros((4, 8, 8), np.uint8), np.arange(4), np.array(list("abcd")))
        if not isinstance(wrong, list | dict):  # of nothing is nothing
            with pytest.raises(InvalidDataError, match="held_out must name groups"):
                images.split_groups(wrong)  # type: ignore[arg-type]
        if not isinstance(wrong, list):
            with pytest.raises(InvalidDataError, match="chosen must be a mask of 4 images"):
                images.subset(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, -1, 1.5, "4", None, True, 10**5, 10**400, 2**63])
def test_sides_and_pens_are_counted_and_bounded(number: object) -> None:
    images = np.zeros((1, 8, 8), np.uint8)
    for name, function in (
        ("side", lambda n: resize(images, n)),
        ("side", lambda n: redraw(images, side=n)),
        ("pen", lambda n: redraw(images, pen=n)),
    ):
        with pytest.raises(InvalidParameterError, match=f"{name} must be an integer in"):
            function(number)


def test_images_without_pixels_are_refused() -> None:
    for function in (lambda images: resize(images, 4), redraw):
        with pytest.raises(InvalidDataError, match=r"got uint8 of shape \(2, 0, 0\)"):
            function(np.zeros((2, 0, 0), np.uint8))


def test_columns_may_be_lists_and_a_subset_empty() -> None:
    images = ImageSet(np.zeros((2, 8, 8), np.uint8), ["a", "b"], groups=["P", "Q"])
    assert images.subset(np.array([True, False])).y.tolist() == ["a"]
    assert len(images.subset([])) == 0
