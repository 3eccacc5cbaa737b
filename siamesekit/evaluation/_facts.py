"""What an evaluation knows of the model that it judges: which classes it has seen, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from siamesekit._params import Part
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidParameterError, LeakageError
from siamesekit.evaluation._inputs import as_labels, label_codes
from siamesekit.evaluation.leakage import check_disjoint

__all__ = ["Facts", "Label", "facts_of", "json_of", "names_of"]

Label = Any
"""A class: a number, a string, or another hashable object."""

_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Facts:
    """The classes of one evaluation, and the model that was judged.

    Attributes
    ----------
    tested : tuple, or None
        Classes that were tested on; None where the caller gave no labels.
    trained, chosen : tuple, or None
        Classes that the model was trained on, and that chose among its epochs; None where it is
        not known.
    model : dict, or None
        Class and parameters of the estimator, and what it got beside no learning on the classes
        that chose its epoch, as json can hold them.
    """

    tested: tuple[Label, ...] | None
    trained: tuple[Label, ...] | None = None
    chosen: tuple[Label, ...] | None = None
    model: Mapping[str, Any] | None = None


def facts_of(estimator: Any, labels: np.ndarray | None) -> Facts:
    """Return the facts of an evaluation.

    Parameters
    ----------
    estimator : fitted estimator, or None
        Its ``trained_classes_`` and ``chosen_classes_`` say what it has seen; None of either
        that this is not recorded.
    labels : ndarray, shape (n,), or None
        Class of each item tested on. Wanted where there is an estimator.

    Raises
    ------
    LeakageError
        If a class tested on is one that the estimator was trained on, or that chose its epoch.
    InvalidParameterError
        If `estimator` is none that was fitted, or nothing says which classes are tested on.
    """
    tested = None if labels is None else names_of(labels)
    if estimator is None:
        return Facts(tested)
    seen = {what: _seen(estimator, what) for what in ("trained_classes_", "chosen_classes_")}
    if labels is None:
        raise InvalidParameterError(
            "classes must name the classes tested on where an estimator is given, whose own must "
            "be others; got None."
        )
    trained, chosen = (None if own is None else names_of(own) for own in seen.values())
    if seen["trained_classes_"] is not None:
        check_disjoint(seen["trained_classes_"], labels)
    if seen["chosen_classes_"] is not None:
        try:
            check_disjoint(seen["chosen_classes_"], labels)
        except LeakageError as error:
            raise LeakageError(str(error).replace("with training", "with validation")) from None
    return Facts(tested, trained, chosen, _model(estimator))


def names_of(labels: np.ndarray) -> tuple[Label, ...]:
    """Return the distinct labels, in their order where they have one, as Python's objects."""
    codes = label_codes(labels)[0]
    first = np.unique(codes, return_index=True)[1]
    return tuple(labels[first].tolist())


def json_of(value: Any) -> Any:
    """Return what json can hold of a value: numbers and strings as they are, a part by its name."""
    if isinstance(value, np.generic):
        return json_of(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): json_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_of(item) for item in value]
    if isinstance(value, type):
        return value.__qualname__
    # Parameters that the repr of every part shows are recorded beside it, one by one; the address
    # in an object's repr would make equal runs unequal.
    own = getattr(type(value), "__repr__", None)
    of_every_part = own is Part.__repr__ and not isinstance(value, nn.Module)
    return type(value).__qualname__ if of_every_part or " at 0x" in repr(value) else repr(value)


def _seen(estimator: Any, what: str) -> np.ndarray | None:
    try:
        own: ArrayLike | None = getattr(estimator, what)
    except AttributeError:
        raise InvalidParameterError(
            f"estimator must be fitted, and know by its {what} which classes it has seen; "
            f"got {type(estimator).__name__} without."
        ) from None
    return None if own is None else as_labels(own, None, what, "label a class")


def _model(estimator: Any) -> dict[str, Any]:
    get_params = getattr(estimator, "get_params", dict)
    own = {"class": type(estimator).__qualname__, **json_of(get_params())}
    known = ("validation_score_", "baselines_")
    return own | {
        name: json_of(getattr(estimator, name)) for name in known if hasattr(estimator, name)
    }
