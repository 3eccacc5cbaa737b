"""What an estimator calls who is nobody, and how it says so."""

import numpy as np

from siamesekit._checks import shown
from siamesekit._labels import as_classes, join_labels, label_kind
from siamesekit.errors import InvalidDataError, InvalidParameterError

__all__ = ["check_no_unknown", "check_unknown_label", "named"]


def check_unknown_label(name: str, value: object) -> None:
    """Raise `InvalidParameterError` unless `value` is one label."""
    try:
        labels = as_classes(value)  # type: ignore[arg-type]
    except InvalidDataError:
        labels = np.empty(0)
    if len(labels) != 1 or not np.isscalar(value):
        raise InvalidParameterError(
            f"{name} must be None, or one label: a number, a boolean or a string; "
            f"got {shown(value)}."
        )


def check_no_unknown(labels: np.ndarray, unknown_label: object) -> None:
    """Raise `InvalidParameterError` if an unknown label cannot stand beside labels.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        Those that are to be enrolled.
    unknown_label : label or None
        None stands beside all.
    """
    if unknown_label is None or not len(labels):
        return
    unknown = as_classes(unknown_label)  # type: ignore[arg-type]
    if label_kind(labels) != label_kind(unknown):
        raise InvalidParameterError(
            f"unknown_label must be of the kind of the classes, {label_kind(labels)}; "
            f"got {shown(unknown_label)}."
        )
    if unknown[0] in labels.tolist():
        raise InvalidParameterError(
            f"unknown_label must be no class that anybody is of; got {shown(unknown_label)}, "
            "which y holds."
        )


def named(classes: np.ndarray, unknown: np.ndarray, unknown_label: object) -> np.ndarray:
    """Return classes with the label of the unknown in the place of those that are.

    Parameters
    ----------
    classes : ndarray, shape (m,)
    unknown : ndarray of bool, shape (m,)
    unknown_label : label
    """
    # Behind the others first: a type that holds both is then at hand.
    joined = join_labels(classes, as_classes(unknown_label))  # type: ignore[arg-type]
    chosen = np.where(unknown, len(classes), np.arange(len(classes)))
    named_: np.ndarray = joined[chosen]
    return named_
