"""The check that no class of a test split was seen in training."""

from siamesekit._types import ArrayLike
from siamesekit.errors import LeakageError
from siamesekit.evaluation._inputs import as_labels, label_codes

__all__ = ["check_disjoint"]

_NAMED = 20
"""Shared classes that the error names; of more, how many there are."""


def check_disjoint(train: ArrayLike, test: ArrayLike, what: str = "classes") -> None:
    """Raise if a class (or group) of the test split is one of the training split too.

    Parameters
    ----------
    train, test : array-like of labels, shape (n,) and (m,)
        Numbers, strings or other hashable objects, compared exactly: ``1`` is not ``"1"``.
    what : str
        What the labels are, for the error: "alphabets", say.

    Raises
    ------
    LeakageError
        Naming those that both splits have.
    InvalidDataError
        If labels are missing (NaN), or no list of labels.
    """
    own = as_labels(train, None, "train", "label an item")
    other = as_labels(test, None, "test", "label an item")
    codes, other_codes = label_codes(own, other)
    seen = set(codes.tolist())
    # In the order of their codes, which is that of the labels where they have one.
    shared = {
        code: label
        for code, label in zip(other_codes.tolist(), other.tolist(), strict=True)
        if code in seen
    }
    if shared:
        names = [str(shared[code]) for code in sorted(shared)]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise LeakageError(
            f"the test split shares {len(names)} {what} with training: "
            f"{', '.join(names[:_NAMED])}{more}."
        )
