"""How several supports of a class make one score.

``"prototype"``: the score against the mean support, of what the head prepares of each (see
`Head.prepare`). ``"mean"``: the mean of the scores against each. ``"max"``: the best of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit._types import Aggregate
from siamesekit.heads._exact import has_wider
from siamesekit.heads.base import Head

__all__ = ["class_scores", "prepared", "prototypes", "support_scores"]

# Supports in a block where something is worked out for each of them.
_ROWS = 2**14


def prepared(scorer: Callable[[Tensor, Tensor], Tensor], z: Tensor) -> Tensor:
    """Return what `scorer` compares of embeddings, in float32 or wider, shape (n, d).

    Parameters
    ----------
    scorer : Head or callable
        Of anything but a head the embeddings are taken as they are.
    z : Tensor of float, shape (n, d)
    """
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    return scorer.prepare(z) if isinstance(scorer, Head) else z


def prototypes(supports: Tensor, codes: Tensor, n_classes: int) -> Tensor:
    """Return the mean support of each class.

    Parameters
    ----------
    supports : Tensor of float, shape (n, d)
        As `prepared` returns them.
    codes : Tensor of int64, shape (n,)
        Class of each, in [0, n_classes); every class has one.
    n_classes : int

    Returns
    -------
    Tensor of the type of `supports`, shape (n_classes, d)
        The mean of equal supports is exactly what they are, however many there are. On a
        processor the order of float32 supports leaves no trace.
    """
    # From the first on, so that equal supports leave nothing to round.
    first = _wide(supports[_first(codes, n_classes)])
    sums = torch.zeros_like(first)
    for rows, own in zip(torch.split(supports, _ROWS), torch.split(codes, _ROWS), strict=True):
        sums.index_add_(0, own, rows - first[own])
    means = first.add_(sums.div_(_counts(codes, n_classes, sums)[:, None]))
    return means.to(supports.dtype)


def support_scores(scores: Tensor, aggregate: Aggregate) -> Tensor:
    """Return one score a class from scores against the same number of supports of each.

    Parameters
    ----------
    scores : Tensor of float, shape (..., shot)
    aggregate : {"mean", "max"}
        A prototype is no matter of scores: see `prototypes`.

    Returns
    -------
    Tensor of the type of `scores`, shape (...)
        The mean of equal scores is exactly what they are, however many there are. On a processor
        the order of float32 scores leaves no trace.
    """
    if scores.shape[-1] == 1:
        return scores.squeeze(-1)
    if aggregate == "max":
        return scores.amax(-1)
    first = _wide(scores[..., :1])
    return (first.squeeze(-1) + (scores - first).mean(-1)).to(scores.dtype)


def class_scores(scores: Tensor, codes: Tensor, n_classes: int, aggregate: Aggregate) -> Tensor:
    """Return one score a class from scores against any number of supports of each.

    Parameters
    ----------
    scores : Tensor of float, shape (m, n)
    codes : Tensor of int64, shape (n,)
        Class of each support, in [0, n_classes); every class has one.
    n_classes : int
    aggregate : {"mean", "max"}

    Returns
    -------
    Tensor of the type of `scores`, shape (m, n_classes)
        As `support_scores` where all classes have the same number.
    """
    own = codes.expand_as(scores)
    if aggregate == "max":
        best = scores.new_full((len(scores), n_classes), -torch.inf)
        return best.scatter_reduce_(1, own, scores, "amax")
    first = _wide(scores[:, _first(codes, n_classes)])
    sums = torch.zeros_like(first).index_add_(1, codes, scores - first.gather(1, own))
    return (first + sums / _counts(codes, n_classes, sums)).to(scores.dtype)


def _wide(x: Tensor) -> Tensor:
    """Return numbers whose sum, in any order, rounds to one float32, where there are such."""
    return x.double() if has_wider(x) else x


def _first(codes: Tensor, n_classes: int) -> Tensor:
    """Return the position of the first support of each class."""
    positions = torch.arange(len(codes), device=codes.device)
    return positions.new_zeros(n_classes).scatter_reduce_(
        0, codes, positions, "amin", include_self=False
    )


def _counts(codes: Tensor, n_classes: int, like: Tensor) -> Tensor:
    return torch.bincount(codes, minlength=n_classes).to(like.dtype)
