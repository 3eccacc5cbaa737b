"""The split of Koch et al."""

from pathlib import Path

import numpy as np
import pytest

from siamesekit.data import LAKE_ALPHABETS, ImageSet, koch_split, load_omniglot, load_omniglot_runs
from siamesekit.errors import InvalidDataError


@pytest.fixture(scope="module")
def images(data_root: Path) -> ImageSet:
    return load_omniglot(data_root / "omniglot", "all", cache=False).flat()


def test_parts_share_no_alphabet_and_have_their_sizes(images: ImageSet) -> None:
    split = koch_split(images)
    names = [set(part.groups) for part in (split.training, split.validation, split.test)]
    assert [len(own) for own in names] == [30, 10, 10]
    assert len(set.union(*names)) == 50
    assert names[2] == set(LAKE_ALPHABETS)
    assert len(split.training) == 964 * 12
    for part in (split.validation, split.test):
        for alphabet in np.unique(part.groups):
            assert len(np.unique(part.drawers[part.groups == alphabet])) == 4


def test_lakes_images_are_among_those_to_be_tested_on(images: ImageSet, data_root: Path) -> None:
    test = koch_split(images).test
    for run in load_omniglot_runs(data_root / "omniglot"):
        own = {image.tobytes() for image in test.X[test.groups == run.alphabet]}
        assert all(image.tobytes() in own for image in (*run.support, *run.query))


def test_less_than_omniglot_is_refused() -> None:
    few = ImageSet(np.zeros((2, 4, 4), np.uint8), np.array(["a", "b"]))
    with pytest.raises(InvalidDataError, match="groups"):
        koch_split(few)
    named = ImageSet(few.X, few.y, np.array(["A", "B"]), np.array([1, 2]))
    with pytest.raises(InvalidDataError, match="50 alphabets of Omniglot; got 2"):
        koch_split(named)
