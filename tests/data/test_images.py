import numpy as np
import pytest

from siamesekit.data import ImageSet, resize
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
