"""What made two items alike: how far their score falls when a part of one of them is hidden.

The occlusion map of Zeiler and Fergus ("Visualizing and understanding convolutional networks",
ECCV 2014, §4.2), for a comparison in place of a class. It asks nothing of the network but
embeddings, so that it is true of any.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_integer
from siamesekit._types import FloatArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.training.progress import counted

__all__ = ["Explanation", "blurred", "explain_pair"]

# Of the shorter side, where the size of the patch is not said.
_SHARE = 7
# Hidden items at a time, and numbers in them: 16 MB.
_BLOCK, _NUMBERS = 256, 2**22

Part = tuple[slice, ...]


class Explanation(NamedTuple):
    """How far the score of two items falls when a part of one of them is hidden.

    Attributes
    ----------
    a, b : ndarray of float32, shape (h, w), or (f,) of vectors
        For each pixel the mean, over the patches that cover it, of the score of both items less
        that with the patch hidden, in units of the score. Above 0: it made them alike. Below 0: it
        kept them apart.
    score : float
        Of the two items as they are; higher = more alike.
    patch, stride : int
        Pixels; 1 of vectors, whose features are hidden one by one.
    """

    a: FloatArray
    b: FloatArray
    score: float
    patch: int
    stride: int


def explain_pair(
    embed: Callable[[Tensor], Tensor],
    score: Callable[[Tensor, Tensor], Tensor],
    a: Tensor,
    b: Tensor,
    hidden_a: Tensor,
    hidden_b: Tensor,
    patch: int | None = None,
    stride: int | None = None,
) -> Explanation:
    """Return the occlusion maps of two items.

    Parameters
    ----------
    embed : callable
        From items ``(n, c, h, w)`` or ``(n, f)`` to embeddings ``(n, d)``.
    score : callable
        From embeddings ``(n, d)`` and ``(n, d)`` to scores ``(n,)``, row by row: a head's
        ``pairs``.
    a, b : Tensor of float, shape (c, h, w) or (f,)
    hidden_a, hidden_b : Tensor of float, of the same shapes
        What is seen where a patch hides the item.
    patch : int, optional
        Side of the square that is hidden, in pixels, all channels at once; by default a seventh
        of the shorter side. None of vectors.
    stride : int, optional
        Pixels from one patch to the next, at most `patch`; by default half of it. The last
        patch of a row ends with the row. None of vectors.

    Returns
    -------
    Explanation
        Exchanging the items exchanges the maps.

    Raises
    ------
    InvalidParameterError
        If `patch` or `stride` is out of its range, or is given of vectors.
    InvalidDataError
        If a score is not finite.
    """
    size, step = _sizes(tuple(a.shape), patch, stride)
    with torch.inference_mode():
        own_a, own_b = embed(a[None]), embed(b[None])
        whole = _finite(score(own_a, own_b))
        maps = [
            _map(embed, score, item, hidden, other, float(whole), size, step)
            for item, hidden, other in ((a, hidden_a, own_b), (b, hidden_b, own_a))
        ]
    return Explanation(maps[0], maps[1], float(whole), size, step)


def blurred(item: Tensor, radius: int) -> Tensor:
    """Return an image (c, h, w) averaged over squares that reach `radius` pixels far, twice."""
    reach = min(radius, *item.shape[1:])
    for _ in range(2):
        item = F.avg_pool2d(item, 2 * reach + 1, 1, reach, count_include_pad=False)
    return item


def _map(
    embed: Callable[[Tensor], Tensor],
    score: Callable[[Tensor, Tensor], Tensor],
    item: Tensor,
    hidden: Tensor,
    other: Tensor,
    whole: float,
    patch: int,
    stride: int,
) -> FloatArray:
    parts = list(_parts(tuple(item.shape), patch, stride))
    at_once = max(1, min(_BLOCK, _NUMBERS // item.numel()))
    falls = []
    starts = range(0, len(parts), at_once)
    for start in counted(starts, len(starts), "hiding", " blocks"):
        block = parts[start : start + at_once]
        items = item.repeat(len(block), *[1] * item.ndim)
        for k, part in enumerate(block):
            items[k][part] = hidden[part]
        vectors = embed(items)
        falls.append(whole - _finite(score(vectors, other.expand_as(vectors))))
    total, times = (np.zeros(tuple(item.shape[-2:]), dtype=np.float64) for _ in range(2))
    for part, fall in zip(parts, torch.cat(falls).tolist(), strict=True):
        total[part[-2:]] += fall
        times[part[-2:]] += 1
    mean: FloatArray = (total / times).astype(np.float32)
    return mean


def _parts(shape: tuple[int, ...], patch: int, stride: int) -> Iterator[Part]:
    """Yield what is hidden together: features one by one, or squares of all channels."""
    if len(shape) == 1:
        yield from ((slice(k, k + 1),) for k in range(shape[0]))
        return
    rows, columns = (_starts(side, patch, stride) for side in shape[1:])
    for top in rows:
        for left in columns:
            yield slice(None), slice(top, top + patch), slice(left, left + patch)


def _starts(side: int, patch: int, stride: int) -> list[int]:
    starts = list(range(0, side - patch + 1, stride))
    return starts if starts[-1] + patch == side else [*starts, side - patch]


def _sizes(shape: tuple[int, ...], patch: int | None, stride: int | None) -> tuple[int, int]:
    if len(shape) == 1:
        for name, value in (("patch", patch), ("stride", stride)):
            if value is not None:
                raise InvalidParameterError(
                    f"{name} must be None of vectors, whose features are hidden one by one; "
                    f"got {value!r}."
                )
        return 1, 1
    shorter = min(shape[1:])
    size = max(1, shorter // _SHARE) if patch is None else patch
    check_integer("patch", size, low=1, high=shorter)
    step = max(1, size // 2) if stride is None else stride
    return int(size), check_integer("stride", step, low=1, high=int(size))


def _finite(scores: Tensor) -> Tensor:
    if not bool(torch.isfinite(scores).all()):
        raise InvalidDataError(
            "a and b must have finite scores, hidden in part too; NaN or infinity found."
        )
    return scores
