"""The split of Omniglot after Koch, Zemel and Salakhutdinov."""

from dataclasses import dataclass

import numpy as np

from siamesekit.data.images import ImageSet, check_image_set
from siamesekit.data.omniglot import LAKE_ALPHABETS
from siamesekit.errors import InvalidDataError

__all__ = ["KOCH_VALIDATION_ALPHABETS", "KochSplit", "koch_split"]

KOCH_VALIDATION_ALPHABETS = (
    "Angelic",
    "Atemayar_Qelisayer",
    "Aurek-Besh",
    "Avesta",
    "Keble",
    "Mongolian",
    "Oriya",
    "Sylheti",
    "Syriac_(Serto)",
    "ULOG",
)
"""The evaluation alphabets that are in none of Lake's runs."""

# The four people whose drawings make Lake's two runs of each alphabet.
_TEST_DRAWERS = dict(
    zip(
        LAKE_ALPHABETS,
        (
            (2, 3, 5, 8), (2, 3, 4, 7), (2, 3, 4, 6), (2, 3, 5, 8), (1, 2, 3, 8),
            (2, 3, 4, 7), (3, 4, 7, 8), (1, 2, 4, 8), (1, 4, 7, 8), (1, 3, 5, 8),
        ),
        strict=True,
    )
)  # fmt: skip
_TRAINING_DRAWERS = tuple(range(1, 13))
_VALIDATION_DRAWERS = (13, 14, 15, 16)


@dataclass(frozen=True, eq=False)
class KochSplit:
    """Images to learn from, to choose by, and to be tested on.

    Attributes
    ----------
    training : ImageSet
        30 alphabets, drawers 1 to 12.
    validation : ImageSet
        Ten other alphabets, drawers 13 to 16.
    test : ImageSet
        The ten alphabets of Lake's runs, the four drawers of each alphabet's runs.
    """

    training: ImageSet
    validation: ImageSet
    test: ImageSet


def koch_split(images: ImageSet) -> KochSplit:
    """Split all of Omniglot as Koch et al. [1]_ §4.1-4.2 do.

    They name no drawers and only the test alphabets. Here the validation alphabets are the
    evaluation alphabets outside Lake's runs, so that the 30 to learn from are Lake's background
    set; the test drawers are those of Lake's runs, four of each alphabet.

    Parameters
    ----------
    images : ImageSet
        All 50 alphabets: ``load_omniglot(root, "all").flat()``.

    Returns
    -------
    KochSplit

    Raises
    ------
    InvalidDataError
        If groups or drawers are missing, or not all 50 alphabets are there.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015.
    """
    check_image_set(images)
    if images.groups is None or images.drawers is None:
        raise InvalidDataError("images must have groups (alphabets) and drawers.")
    found = len(np.unique(images.groups))
    if found != 50:
        raise InvalidDataError(f"images must hold the 50 alphabets of Omniglot; got {found}.")
    held_out = np.isin(images.groups, (*LAKE_ALPHABETS, *KOCH_VALIDATION_ALPHABETS))
    validation = np.isin(images.groups, KOCH_VALIDATION_ALPHABETS)
    test = np.zeros(len(images), dtype=bool)
    for alphabet, drawers in _TEST_DRAWERS.items():
        test |= (images.groups == alphabet) & np.isin(images.drawers, drawers)
    return KochSplit(
        training=images.subset(~held_out & np.isin(images.drawers, _TRAINING_DRAWERS)),
        validation=images.subset(validation & np.isin(images.drawers, _VALIDATION_DRAWERS)),
        test=images.subset(test),
    )
