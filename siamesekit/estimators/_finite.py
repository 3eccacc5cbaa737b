"""Embeddings that are not finite, refused by name or left out."""

import warnings

import numpy as np
import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError
from siamesekit.heads import Head
from siamesekit.heads._comparable import comparable
from siamesekit.training import TrainingHealthWarning

__all__ = ["check_finite", "keep_finite"]


def check_finite(vectors: Tensor, name: str) -> Tensor:
    """Return `vectors` if all of them can be compared.

    Parameters
    ----------
    vectors : Tensor of float, shape (n, d)
        Embeddings of items.
    name : str
        What the items are called in an error.

    Raises
    ------
    InvalidDataError
        If one holds NaN or infinity, or is so long that its square is infinite; its position is
        named. One such example would win or lose every comparison.
    """
    bad = np.flatnonzero(~_is_finite(vectors))
    if len(bad):
        raise InvalidDataError(
            f"{name} must hold items whose embeddings are finite; {_positions(bad)} of {name} "
            "is mapped to NaN, to infinity or too far away to be compared (above 1e19)."
        )
    return vectors


def keep_finite(
    head: Head, vectors: Tensor, *beside: np.ndarray
) -> tuple[Tensor, list[np.ndarray]]:
    """Return the embeddings of training items without those that are not finite, or too large.

    What was learned from the others is not to be lost by one that no network can take.

    Parameters
    ----------
    head : Head
        Must be able to compare them.
    vectors : Tensor of float, shape (n, d)
    *beside : ndarray, shape (n,)
        What is said of each item: its label first.

    Returns
    -------
    Tensor of float, shape (m, d)
    list of ndarray, shape (m,)

    Warns
    -----
    TrainingHealthWarning
        If some are left out, naming their positions and the classes that have none left.

    Raises
    ------
    InvalidDataError
        If fewer than two classes are left.
    """
    good: np.ndarray = comparable(head, vectors).cpu().numpy()
    if good.all():
        return vectors, list(beside)
    bad, labels = np.flatnonzero(~good), beside[0]
    left = np.unique(labels[good])
    if len(left) < 2:
        raise InvalidDataError(
            f"X must hold items whose embeddings are finite; {_positions(bad)} of X is mapped to "
            f"NaN, to infinity or too far away to be compared by the trained backbone, which "
            f"leaves {len(left)} class(es)."
        )
    lost = ", ".join(map(str, np.setdiff1d(labels, left).tolist()[:5]))
    also = f", and with them all of class {lost}" if lost else ""
    warnings.warn(
        f"The embedding of {_positions(bad)} of X is not finite, or too large; such items are left "
        f"out of what is enrolled and calibrated on{also}.",
        TrainingHealthWarning,
        stacklevel=4,
    )
    return vectors[torch.from_numpy(good).to(vectors.device)], [values[good] for values in beside]


def _is_finite(vectors: Tensor) -> np.ndarray:
    """Return which rows are finite, shape (n,): their squares too, which distances are made of."""
    finite: np.ndarray = torch.isfinite(vectors.float().square().sum(1)).cpu().numpy()
    return finite


def _positions(bad: np.ndarray, most: int = 5) -> str:
    shown = ", ".join(map(str, bad[:most].tolist()))
    more = f" and {len(bad) - most} more" if len(bad) > most else ""
    return f"the item at position {shown}" if len(bad) == 1 else f"each at positions {shown}{more}"
