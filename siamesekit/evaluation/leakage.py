"""The check that no class of a test split was seen in training."""

from siamesekit._types import ArrayLike
from siamesekit.errors import LeakageError
from siamesekit.evaluation._labels import encode_together

__all__ = ["check_disjoint"]

_SHOWN = 10


def check_disjoint(train: ArrayLike, test: ArrayLike, what: str = "classes") -> None:
    """Raise if a class (or group) of the test split is one of the training split too.

    Parameters
    ----------
    train, test : array-like of labels, shape (n,) and (m,)
        Every label of the split, or every distinct one.
    what : str
        What the labels are, for the error: "alphabets", say.

    Raises
    ------
    LeakageError
        Naming those that both splits have.
    InvalidDataError
        If one is of text and the other of numbers, or either is not one-dimensional.
    """
    train_codes, test_codes = encode_together("train", train, "test", test)
    seen = set(train_codes.tolist())
    labels = test.tolist() if hasattr(test, "tolist") else list(test)  # type: ignore[arg-type]
    shared = {label: None for label, code in zip(labels, test_codes, strict=True) if code in seen}
    if shared:
        named = [str(label) for label in shared][:_SHOWN]
        more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
        raise LeakageError(
            f"the test split shares {len(shared)} {what} with training: {', '.join(named)}{more}."
        )
