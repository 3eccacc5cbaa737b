"""The check that no class of a test split was seen in training."""

import numpy as np

from siamesekit._types import ArrayLike
from siamesekit.errors import LeakageError

__all__ = ["check_disjoint"]


def check_disjoint(train: ArrayLike, test: ArrayLike, what: str = "classes") -> None:
    """Raise if a class (or group) of the test split is one of the training split too.

    Parameters
    ----------
    train, test : array-like of labels
    what : str
        What the labels are, for the error: "alphabets", say.

    Raises
    ------
    LeakageError
        Naming those that both splits have.
    """
    shared = sorted(set(np.asarray(train).tolist()) & set(np.asarray(test).tolist()))
    if shared:
        raise LeakageError(
            f"the test split shares {len(shared)} {what} with training: "
            f"{', '.join(map(str, shared))}."
        )
