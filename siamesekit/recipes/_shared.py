"""What the recipes share."""

from siamesekit._checks import check_all
from siamesekit.data import RandomAffine
from siamesekit.estimators import SiameseClassifier
from siamesekit.estimators._constraints import CONSTRAINTS

__all__ = ["WAY", "checked", "hand_moved"]

WAY = 20
"""Characters of an episode: as many as of one of Lake's trials."""


def checked(recipe: SiameseClassifier) -> SiameseClassifier:
    """Return an estimator whose arguments are allowed: told now, not once data are there.

    Raises
    ------
    InvalidParameterError
        If one is not.
    """
    check_all(CONSTRAINTS, recipe.get_params(deep=False))
    return recipe


def hand_moved() -> RandomAffine:
    """Return how drawings are moved in training: wider than in the affine maps of Koch et al."""
    return RandomAffine(rotation=15, shear=0.2, scale=(0.8, 1.2), translate=0.08)
