"""Pairs that a user gives: what they are of, and what of them may be trained on.

Nothing is known but whether two items are *same*, and that need not be transitive (of a family,
father and child are kin, mother and child are, and father and mother are not). So no two items
are ever taken for the same or for different that were not said to be. What may depend on each
other is tied together in *clusters*: items that are the same ones, that a pair calls the same, or
that have a group in common; these are held out, and resampled, as a whole.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.utils.data import Dataset

from siamesekit._labels import as_labels
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.estimators._fitting import Material
from siamesekit.estimators._parts import make_sampler
from siamesekit.evaluation._inputs import check_both_kinds, label_codes
from siamesekit.evaluation.pair_validation import PairValidation
from siamesekit.samplers import PairSampler
from siamesekit.samplers._given_pairs import GivenPairs
from siamesekit.training.loop import Validate
from siamesekit.training.opening import is_stream
from siamesekit.training.streaming import Streamed, join

__all__ = [
    "Pairs",
    "check_as_many",
    "check_same",
    "distinct",
    "hold_out_pairs",
    "join_sides",
    "of_pairs",
    "sides_of",
    "tie",
    "two_sides",
]

# So many draws of what is held out may have one kind of pair only, before that is given up.
_DRAWS = 20
# Fewer units cannot be split into two to train on and two to judge by.
_FEWEST = 4
# So many parts without a pair between them can be split without losing a pair.
_APART = 10


class Pairs(NamedTuple):
    """Pairs of items, each distinct item once.

    Attributes
    ----------
    items : Tensor or Streamed, shape (n, c, h, w) or (n, f)
    first, second : ndarray of int64, shape (p,)
        Positions of the items of each pair.
    same : ndarray of bool, shape (p,)
    clusters, units : ndarray of int64, shape (n,)
        Which items may depend on each other, and which are held out together: clusters, or larger
        parts of the pairs where those fall apart by themselves.
    """

    items: Tensor | Streamed
    first: IntArray
    second: IntArray
    same: np.ndarray
    clusters: IntArray
    units: IntArray

    def chosen(self, mask: np.ndarray) -> "Pairs":
        """Return some of the pairs."""
        return self._replace(first=self.first[mask], second=self.second[mask], same=self.same[mask])


def two_sides(X: Any, y: Any, same: ArrayLike | None) -> tuple[Any, Any, ArrayLike] | None:
    """Return the two sides of given pairs, and which are same; None if `X` are items.

    Parameters
    ----------
    X, y, same
        As `SiameseVerifier.fit` takes them.
    """
    if same is not None:
        files = is_stream(X) and is_stream(y)
        if y is not None and not files and np.ndim(_plain(y)) == 1:
            raise InvalidDataError(
                "y must hold items, the second of each pair, where same is given; got one label "
                "an item. Groups are given by name: fit(X, y, groups=...)."
            )
        return X, y, same
    if y is None and isinstance(X, Dataset):
        return None  # labels may come with its items
    if y is None:
        raise InvalidDataError(
            "y must be given: the class of each item, or whether each pair is same; requires y to "
            "be passed, but the target y is None."
        )
    if isinstance(X, tuple):
        if len(X) != 2:
            raise InvalidDataError(
                f"X must be items, or a tuple (A, B) of the two sides of pairs; got a tuple of "
                f"{len(X)}."
            )
        return X[0], X[1], y
    if is_stream(X):
        return None
    shape = tuple(getattr(X, "shape", ()) or np.shape(X if isinstance(X, list) else ()))
    if len(shape) < 3 or shape[1] != 2:
        return None
    return (X[:, 0], X[:, 1], y) if len(shape) == 5 or _tells_same(y) else None


def sides_of(A: Any, B: Any) -> tuple[Any, Any]:
    """Return the two sides of pairs that are asked about: given apart, as a tuple, or in one array.

    Raises
    ------
    InvalidDataError
        If one side is missing.
    """
    if B is not None:
        return A, B
    if isinstance(A, tuple) and len(A) == 2:
        return A
    wanted = "B must be given, the second item of each pair"
    if is_stream(A):
        raise InvalidDataError(f"{wanted}, where A are paths or a data set.")
    array = A if isinstance(A, Tensor) else np.asarray(A)
    if array.ndim < 3 or array.shape[1] != 2:
        raise InvalidDataError(
            f"{wanted}, or A hold both, of shape (n, 2, ...); got A of shape {tuple(array.shape)}."
        )
    return array[:, 0], array[:, 1]


def join_sides(a: Tensor | Streamed, b: Tensor | Streamed) -> Tensor | Streamed:
    """Return the raw items of both sides, those of `a` first.

    Raises
    ------
    InvalidDataError
        If one side holds bytes, or booleans, and the other does not: they are on two scales. If
        one side is in memory and the other is not.
    """
    if isinstance(a, Streamed) or isinstance(b, Streamed):
        return _join_streams(a, b)
    if a.dtype != b.dtype and {a.dtype, b.dtype} & {torch.uint8, torch.bool}:
        raise InvalidDataError(
            f"A and B must hold numbers of one kind; got {str(a.dtype)[6:]} and {str(b.dtype)[6:]}."
        )
    return torch.cat([a, b.to(a.device)])


def _join_streams(a: Tensor | Streamed, b: Tensor | Streamed) -> Streamed:
    if isinstance(a, Streamed) and isinstance(b, Streamed):
        return join(a, b)
    kinds = [("numbers", "paths or a data set")[isinstance(side, Streamed)] for side in (a, b)]
    raise InvalidDataError(
        "A and B must both hold numbers, or both paths or data sets; got "
        f"{kinds[0]} and {kinds[1]}."
    )


def check_as_many(a: Tensor | Streamed, b: Tensor | Streamed) -> None:
    """Raise `InvalidDataError` unless two sides hold as many items of one shape."""
    if len(a) != len(b):
        raise InvalidDataError(
            f"A and B must hold as many items, one pair a row; got {len(a)} and {len(b)}. "
            "similarity(A, B) compares all with all."
        )


def check_same(same: ArrayLike, n: int, name: str = "same") -> np.ndarray:
    """Return which pairs are of one class, shape (n,) of bool.

    Raises
    ------
    InvalidDataError
        If there is not one entry a pair, one is missing, or they are anything but True and False,
        1 and 0, or 1 and -1.
    """
    given = as_labels(same, name, n)
    values = set(given.tolist())
    if not (values <= {0, 1} or values <= {-1, 1}):
        odd = next((value for value in given.tolist() if value not in (-1, 0, 1)), (-1, 0, 1))
        raise InvalidDataError(
            f"{name} must hold True and False, 1 and 0, or 1 and -1: whether each pair is of one "
            f"class; got {odd!r}."
        )
    truth: np.ndarray = np.asarray(given == 1)
    return truth


def distinct(
    items: Tensor | Streamed, *, by_place: bool = False
) -> tuple[Tensor | Streamed, IntArray]:
    """Return each distinct item once, and where each of the given ones stands among them.

    Parameters
    ----------
    items : Tensor or Streamed, shape (n, …)
    by_place : bool
        Of items that are read when needed, take those of one place for one, and read none.
    """
    rows: Iterable[object]
    if not isinstance(items, Streamed):
        flat = items.detach().cpu().contiguous().reshape(len(items), -1).numpy()
        rows = (row.tobytes() for row in flat)
    else:
        rows = items.keys() if by_place else (row.tobytes() for row in items.digests())
    seen: dict[object, int] = {}
    place = np.array([seen.setdefault(row, len(seen)) for row in rows], dtype=np.int64)
    first = np.unique(place, return_index=True)[1]
    if len(first) == len(items):
        return items, place
    return items[torch.from_numpy(first).to(items.device)], place


def tie(
    n_items: int,
    first: IntArray,
    second: IntArray,
    same: np.ndarray,
    groups: ArrayLike | None,
) -> tuple[IntArray, IntArray]:
    """Return clusters and units of items, each of shape (n,): see `Pairs`.

    Parameters
    ----------
    n_items : int
    first, second : ndarray of int64, shape (p,)
    same : ndarray of bool, shape (p,)
    groups : array-like, shape (p,) or (p, 2), tuple of two, or None
        One group a pair, or who the first and the second item of each pair are of.

    Raises
    ------
    InvalidDataError
        If `groups` are of another shape, or hold what is no label.
    """
    edges = [(first[same], second[same])]
    names = _group_codes(groups, len(first))
    if names is not None:
        edges += [(first, n_items + names[0]), (second, n_items + names[1])]
    n_nodes = n_items + (0 if names is None else 1 + int(max(side.max() for side in names)))
    clusters = _components(n_nodes, edges)[:n_items]
    whole = _components(n_nodes, [*edges, (first, second)])[:n_items]
    sizes = np.bincount(np.unique(whole[first], return_inverse=True)[1])
    apart = len(sizes) >= _APART and sizes.max() <= len(first) / 2
    return clusters, whole if apart else clusters


def hold_out_pairs(pairs: Pairs, share: float | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which pairs are left to train on, and which are held out, each of shape (p,) of bool.

    No unit is on both sides; a pair between two that are is on neither. Nothing is held out where
    that cannot leave pairs of both kinds on both sides.

    Parameters
    ----------
    pairs : Pairs
    share : float or None
        Of the units, in (0, 1).
    seed : int
    """
    units = np.unique(np.concatenate([pairs.units[pairs.first], pairs.units[pairs.second]]))
    nothing = np.ones(len(pairs.same), dtype=bool), np.zeros(len(pairs.same), dtype=bool)
    if share is None or len(units) < _FEWEST:
        return nothing
    n_held = min(max(2, round(share * len(units))), len(units) - 2)
    for draw in range(_DRAWS):
        held = np.random.default_rng([seed, draw]).choice(units, n_held, replace=False)
        a, b = (np.isin(pairs.units[side], held) for side in (pairs.first, pairs.second))
        sides = ~a & ~b, a & b
        if all(0 < pairs.same[side].sum() < side.sum() for side in sides):
            return sides
    return nothing


def of_pairs(
    estimator: Any, pairs: Pairs, seed: int, validation: float | Validate | None
) -> Material:
    """Return what to train on of given pairs; some choose among epochs, if `validation` says so.

    Parameters
    ----------
    estimator : object
        Has the arguments of `SiameseClassifier`.
    pairs : Pairs
        Of both kinds.
    seed : int
    validation : float, callable or None
        As of the estimator, with items as the network takes them.
    """
    given = validation if callable(validation) else None
    share = None if callable(validation) else validation
    kept, held = hold_out_pairs(pairs, share, seed + 1)
    if share is not None and not held.any():
        raise InvalidDataError(
            f"validation={share} leaves too few pairs: there must be same and different ones "
            "both among those held out and among those trained on, of other people."
        )
    own = pairs.chosen(kept)
    check_both_kinds(own.same)
    validate: Validate | None = given
    if held.any():
        judged = pairs.chosen(held)
        validate = PairValidation(pairs.items, judged.first, judged.second, judged.same)
    ends = torch.from_numpy(np.stack([own.first, own.second], axis=1).reshape(-1))
    # Labels of the ends that say of each pair what was said, and of no two pairs anything.
    labels = torch.arange(len(ends))
    labels[1::2] -= torch.from_numpy(own.same.astype(np.int64))
    people = np.unique(own.clusters[ends.numpy()], return_inverse=True)[1]
    return Material(
        items=own.items[ends.to(own.items.device)],
        labels=labels,
        sampler=_sampler(estimator.sampler).bind(labels, seed=seed),
        validate=validate,
        n_classes=2,
        facts={"labels": labels, "validation": (share, validate)},
        people=torch.from_numpy(people.astype(np.int64)),
    )


def _sampler(spec: Any) -> GivenPairs:
    chosen = make_sampler(spec, GivenPairs)
    if isinstance(chosen, PairSampler):
        return GivenPairs(chosen.batch_size)
    if not isinstance(chosen, GivenPairs):
        raise InvalidParameterError(
            "sampler must be 'auto' or 'pairs' where pairs are given, and no classes to draw; "
            f"got {type(chosen).__name__}."
        )
    return chosen


def _group_codes(groups: ArrayLike | None, n: int) -> tuple[IntArray, IntArray] | None:
    if groups is None:
        return None
    if not isinstance(groups, tuple):
        both = np.asarray(_plain(groups))
        groups = (both[:, 0], both[:, 1]) if both.ndim == 2 and both.shape[1] == 2 else groups
    if not isinstance(groups, tuple):
        codes = label_codes(as_labels(groups, "groups", n))[0]
        return codes, codes
    if len(groups) != 2:
        raise InvalidDataError(
            "groups must hold one group a pair, or be two arrays: who the first and the second "
            f"item of each pair are of; got a tuple of {len(groups)}."
        )
    first, second = label_codes(
        as_labels(groups[0], "groups[0]", n), as_labels(groups[1], "groups[1]", n)
    )
    return first, second


def _components(n: int, edges: list[tuple[IntArray, IntArray]]) -> IntArray:
    rows, columns = (np.concatenate([edge[k] for edge in edges]) for k in (0, 1))
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    found: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _tells_same(y: ArrayLike) -> bool:
    values = _plain(y)
    if np.ndim(values) != 1:
        return False
    found = set(np.asarray(values).tolist())
    return bool(found) and (found <= {0, 1} or found <= {-1, 1})


def _plain(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
