"""What users hand to an estimator, checked at the door."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from siamesekit import registry
from siamesekit._checks import check_known, shown
from siamesekit._labels import as_labels
from siamesekit._types import ArrayLike, IntArray, ItemsLike, Shape
from siamesekit.data.arrays import narrow, raw_items
from siamesekit.data.paths import is_paths
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.estimators._input_kind import InputKind
from siamesekit.estimators._standardizer import Standardizer
from siamesekit.estimators._streams import kind_of, taken
from siamesekit.training.opening import is_stream, open_stream
from siamesekit.training.streaming import Streamed

__all__ = [
    "check_groups",
    "check_items",
    "check_labels",
    "check_no_pairs",
    "check_weights",
    "encode",
    "learn_items",
    "read_items",
    "refuse_others",
]


def refuse_others(estimator: object, others: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Raise `InvalidParameterError` if ``fit`` is given what it does not take.

    Parameters
    ----------
    estimator : object
    others : mapping of str to object
        Arguments that have no place in the signature of ``fit``.
    allowed : sequence of str
        Those that have.
    """
    fit = f"{type(estimator).__name__}.fit"
    for name in others:
        if name == "sample_weight":
            raise InvalidParameterError(
                f"{fit} takes no sample_weight: items are compared with each other, and none has a "
                "weight of its own. An item that is given twice is drawn twice as often as others "
                "of its class, and a sampler says how often each class is drawn."
            )
        check_known([name], allowed, fit)


def read_items(
    estimator: Any, X: ItemsLike, *, expected: Shape | None = None, name: str = "X"
) -> Tensor | Streamed:
    """Return items as a tensor in their own type of number; see `raw_items`.

    Of paths and data sets only the first item is read; the others are when they are needed.

    Parameters
    ----------
    estimator : object
        Its ``n_features_in_`` and ``feature_names_in_`` are set in training on vectors (where
        `expected` is None) and checked against later.
    X : array-like, shape (n, f), (n, h, w), (n, c, h, w) or (n, h, w, c), or a list of items
        Or paths, or a data set.
    expected : tuple of int, optional
        Shape of an item seen in training.
    name : str
        How to call `X` in an error.

    Raises
    ------
    InvalidDataError
        If an item has another shape than `expected`, or as `raw_items` and, for vectors,
        scikit-learn's ``validate_data`` say.
    """
    items: Tensor | Streamed
    if is_stream(X):
        items = open_stream(X, estimator.reader, estimator.n_workers, name)
        if items.ndim == 2 and (expected is None or len(expected) == 1):
            _check_width(estimator, items.shape, expected)
    elif _is_table(X := _read_arrays(estimator.reader, X, name)):
        items = raw_items(_validate(estimator, X, expected), name)
    else:
        items = raw_items(X, name, expected=expected)  # type: ignore[arg-type]
        if items.ndim == 2 and (expected is None or len(expected) == 1):
            _check_width(estimator, tuple(items.shape), expected)
    shape = tuple(items.shape[1:])
    if expected is not None and shape != expected:
        raise InvalidDataError(
            f"{name} must hold items of shape {expected}, as in training; got {shape}."
            + (f" {name}[None] makes a batch of one item." if shape == expected[1:] else "")
            + (f" They are read by reader={estimator.reader!r}." if is_paths(X) else "")
        )
    return items


def _read_arrays(reader: Any, X: Any, name: str) -> Any:
    """Return arrays as a reader of drawings, say, makes them; most readers take paths alone."""
    # Looking up a name costs milliseconds, and the default one takes paths alone.
    if reader is None or (isinstance(reader, str) and reader == "image"):
        return X
    made = registry.make("readers", reader) if isinstance(reader, str | type) else reader
    of_arrays = getattr(made, "of_arrays", None)
    return X if of_arrays is None else of_arrays(X, name)


def learn_items(
    items: Tensor | Streamed, *, standardised: bool, name: str = "X"
) -> tuple[Tensor | Streamed, InputKind, Standardizer | None]:
    """Return training items as the network takes them, and what other items are to be like.

    Parameters
    ----------
    items : Tensor of any real type, or Streamed, shape (n, c, h, w) or (n, f)
        Those that are read when needed are all read once.
    standardised : bool
        Whether the backbone wants vectors with every feature of mean 0 and deviation 1.
    name : str

    Returns
    -------
    items : Tensor of uint8, bool or float32, or Streamed
    kind : InputKind
    standardizer : Standardizer or None
        None where items are images, or the backbone takes numbers as they are.

    Raises
    ------
    InvalidDataError
        If a number is NaN, infinite or (unless standardised) beyond float32.
    """
    standardizer = Standardizer.fit(items, name) if standardised and items.ndim == 2 else None
    if isinstance(items, Streamed):
        kind = kind_of(items)
    else:
        if standardizer is None:
            # Before anything is asked of their range.
            narrow(items, name)
        kind = InputKind.of(items)
    return check_items(items, kind, standardizer, name), kind, standardizer


def check_items(
    items: Tensor | Streamed,
    kind: InputKind,
    standardizer: Standardizer | None = None,
    name: str = "X",
) -> Tensor | Streamed:
    """Return items that `read_items` read as the network saw those of training.

    Those that are read when needed are checked as they are.

    Raises
    ------
    InvalidDataError
        If they are on another scale (see `InputKind.take`), or a number is NaN, infinite or
        (unless standardised) beyond float32.
    """
    if isinstance(items, Streamed):
        return taken(items, kind, standardizer, name)
    if standardizer is not None:
        return standardizer(kind.take(items, name), name)
    narrow(items, name)
    return narrow(kind.take(items, name), name)


def check_labels(y: ArrayLike | None, n: int, name: str = "y") -> np.ndarray:
    """Return labels as an array of shape (n,); see `as_labels`.

    Raises
    ------
    InvalidDataError
        If there is not one label an item, one is missing, they are of several kinds, or they are
        no class labels but measurements (floats that are not whole).
    """
    if y is None:
        raise InvalidDataError(
            f"{name} must hold one label an item; requires {name} to be passed, but the target "
            f"{name} is None."
        )
    if getattr(y, "ndim", None) == 2 and y.shape[1] == 1:  # type: ignore[union-attr]
        y = column_or_1d(np.asarray(y), warn=True)
    labels = as_labels(y, name, n)
    if labels.dtype.kind == "f" and bool((labels != np.floor(labels)).any()):
        odd = labels[labels != np.floor(labels)][0]
        raise InvalidDataError(
            f"{name} must hold class labels; got {shown(odd)}. Unknown label type: continuous."
        )
    return labels


def check_weights(weights: ArrayLike | None, n: int) -> npt.NDArray[np.float64] | None:
    """Return what each of `n` trials counts, shape (n,), or None where all count the same.

    Raises
    ------
    InvalidDataError
        If there is not one finite number of at least 0 for each, or there are only zeros.
    """
    if weights is None:
        return None
    try:
        checked = np.asarray(weights, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise InvalidDataError(f"sample_weight must hold numbers; {error}.") from error
    usable = (
        checked.shape == (n,) and bool(np.isfinite(checked).all()) and bool((checked >= 0).all())
    )
    if not usable or checked.sum() <= 0:
        raise InvalidDataError(
            f"sample_weight must hold {n} finite numbers of at least 0, one an item, and not only "
            f"zeros; got shape {checked.shape}."
        )
    return checked


def check_no_pairs(items: Tensor | Streamed, classes: np.ndarray, name: str = "X") -> None:
    """Raise if `items` look like pairs with *same* or *different* for a label.

    Parameters
    ----------
    items : Tensor or Streamed, shape (n, c, h, w) or (n, f)
    classes : ndarray, shape (k,)
        All labels.

    Raises
    ------
    InvalidDataError
        If there are two channels (or two rows), and the labels are 0 and 1, -1 and 1, or booleans.
    """
    pair = items.ndim == 4 and 2 in (items.shape[1], items.shape[2] if items.shape[1] == 1 else 0)
    if pair and set(classes.tolist()) in ({0, 1}, {-1, 1}):
        shape = tuple(items.shape)
        raise InvalidDataError(
            f"{name} must hold single items with the class of each; shape {shape} with labels "
            f"{classes.tolist()} looks like pairs that are of one class or not. Train on the items "
            "themselves and their classes; similarity(A, B) then says how surely two are of one. "
            "If these are two channels of one image, call the classes by names."
        )


def check_groups(
    groups: ArrayLike | None, codes: IntArray, classes: np.ndarray | None = None
) -> IntArray | None:
    """Return groups as codes of shape (n,), or None.

    Parameters
    ----------
    groups : array-like, shape (n,), or None
    codes : ndarray of int64, shape (n,)
        Class of each item.
    classes : ndarray, shape (k,), optional
        Their labels, for an error.

    Raises
    ------
    InvalidDataError
        If there is not one group an item, or a class lies in more than one: held out with one of
        them, it would be trained on with the other.
    """
    if groups is None:
        return None
    names, of = encode(as_labels(groups, "groups", len(codes)))
    first = np.zeros(codes.max() + 1, dtype=np.int64)
    # The last entry wins; which one does not matter.
    first[codes] = of
    astray = np.flatnonzero(first[codes] != of)
    if len(astray):
        item = astray[0]
        label = codes[item] if classes is None else classes[codes[item]]
        both = sorted({int(first[codes[item]]), int(of[item])})
        raise InvalidDataError(
            f"groups must hold every class in one group; class {shown(label)} lies in the groups "
            f"{' and '.join(shown(names[k]) for k in both)}."
        )
    return of


def encode(labels: np.ndarray) -> tuple[np.ndarray, IntArray]:
    """Return the sorted classes, and the position of each label among them."""
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes.astype(np.int64)


def _is_table(X: Any) -> bool:
    """Return whether `X` is for scikit-learn to look at first: an array or frame of a table."""
    if isinstance(X, Tensor | np.ma.MaskedArray | list | tuple) or hasattr(X, "toarray"):
        return False
    return bool(getattr(X, "ndim", 0) <= 2)


def _check_width(estimator: Any, shape: Shape, expected: Shape | None) -> None:
    """Let scikit-learn look at the number of features of what is no table of its own."""
    _validate(estimator, np.broadcast_to(np.zeros(1), shape), expected)


def _validate(estimator: Any, X: Any, expected: Shape | None) -> np.ndarray:
    """Let scikit-learn look at a table: its names, its number of features."""
    # Of a plain one there is nothing left to say, and it takes longer than to enroll an item.
    plain = type(X) is np.ndarray and X.ndim == 2 and len(X) > 0 and X.dtype.kind in "fiub"
    if plain and not hasattr(estimator, "feature_names_in_") and X.shape[1:] == expected:
        own: np.ndarray = X
        return own
    try:
        checked: np.ndarray = validate_data(
            estimator, X, reset=expected is None, dtype=None, ensure_all_finite=False
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(str(error)) from error
    return checked
