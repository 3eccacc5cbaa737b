"""Exact search by products of bytes: what they cannot rule out is computed in float32.

Vectors and queries are rounded to int8, of which processors multiply four times as many at once.
How far a product can be off follows from the lengths of what was rounded away (Cauchy-Schwarz):
``|q·x - q̂·x̂| <= |q| |x - x̂| + |q - q̂| |x̂|``. Vectors stand in groups with one scale; a group whose
best product plus its bound stays below the k-th best product less its bound holds none of the best.
"""

import math
import time
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._types import IntArray

__all__ = ["Packed", "best_of", "is_fast", "pack"]

# Vectors of a group, groups that are multiplied at once, and numbers in the maxima of all groups.
_GROUP, _BLOCK, _MAXIMA = 16, 128, 2**24
# Groups of whose best products only the highest is taken for the k-th best of all.
_BUNDLE = 16
# Groups that are looked at closely at once.
_CLOSELY = 2**9
# Of all groups, the share of which more are not looked at one by one.
_SHARE = 16
_HIGHEST = 127
# So many times as fast as float32 products of bytes must be to be worth it.
_FASTER = 1.5


class Packed(NamedTuple):
    """Vectors rounded to bytes.

    Attributes
    ----------
    codes : Tensor of int8, shape (g * 16, d)
        Of groups of 16; zeros fill up the last ones.
    scales : Tensor of float32, shape (g, 1)
    lost : Tensor of float32, shape (g, 1)
        Largest length of what was rounded away, and what float32 can round away besides.
    lengths : Tensor of float32, shape (g, 1)
        Largest length of what is left.
    whole : int
        Groups that hold no zeros as filling.
    """

    codes: Tensor
    scales: Tensor
    lost: Tensor
    lengths: Tensor
    whole: int


def pack(vectors: Tensor) -> Packed:
    """Round vectors, float32 of shape (n, d)."""
    n, dim = vectors.shape
    block = _GROUP * _BLOCK
    codes = torch.zeros(-(-n // block) * block, dim, dtype=torch.int8)
    g = len(codes) // _GROUP
    scales, lost, lengths = torch.ones(g, 1), torch.zeros(g, 1), torch.zeros(g, 1)
    for first in range(0, n, block):
        part = torch.zeros(block, dim)
        part[: n - first] = vectors[first : first + block]
        groups, some = part.view(_BLOCK, _GROUP, dim), slice(first // _GROUP, (first + block) // 16)
        scale = groups.abs().amax((1, 2)).div_(_HIGHEST).clamp_(min=torch.finfo().tiny)
        # Lengths are taken of numbers up to 127: squares of 1e-23 would be zero, of 1e20 infinite.
        scaled = groups / scale[:, None, None]
        rounded = scaled.round().clamp_(-_HIGHEST, _HIGHEST)
        codes[first : first + block] = rounded.view(block, dim).to(torch.int8)
        lengths[some, 0] = torch.linalg.vector_norm(rounded, dim=2).amax(1) * scale
        size = torch.linalg.vector_norm(scaled, dim=2).amax(1) * scale
        away = torch.linalg.vector_norm(rounded.sub_(scaled), dim=2).amax(1) * scale
        slack = 4 * (dim + 8) * torch.finfo().eps
        lost[some, 0] = away + slack * size.clamp_(min=torch.finfo().tiny)
        scales[some, 0] = scale
    return Packed(codes, scales, lost, lengths, n // _GROUP)


def best_of(
    queries: Tensor, vectors: Tensor, packed: Packed, ids: IntArray, k: int
) -> tuple[IntArray, npt.NDArray[np.float32]] | None:
    """Return places and dot products of the best `k` vectors; of equal ones the smaller id first.

    None where so many may be among the best that it is quicker to compute all, or where numbers
    are so large that their products overflow.

    Parameters
    ----------
    queries : Tensor of float32, shape (m, d)
    vectors : Tensor of float32, shape (n, d)
    packed : Packed
        Of `vectors`.
    ids : ndarray of int64, shape (n,)
    k : int
        At most a bundle's share of the whole groups.
    """
    places = np.empty((len(queries), k), np.int64)
    products = np.empty((len(queries), k), np.float32)
    height = max(1, min(len(queries), _MAXIMA // len(packed.scales)))
    for start in range(0, len(queries), height):
        block = queries[start : start + height]
        row, group, least = _near_groups(block, packed, k)
        if not np.isfinite(least).all() or len(row) > max(
            _CLOSELY, len(block) * len(packed.scales) // _SHARE
        ):
            return None
        own, place, product = _closely(block, vectors, row, group, least)
        order = np.lexsort((ids[place], -product, own))
        own = own[order]
        rank = np.arange(len(own)) - np.searchsorted(own, own)
        kept = order[rank < k]
        places[start : start + height] = place[kept].reshape(-1, k)
        products[start : start + height] = product[kept].reshape(-1, k)
    return places, products


def _near_groups(
    queries: Tensor, packed: Packed, k: int
) -> tuple[IntArray, IntArray, npt.NDArray[np.float32]]:
    """Return queries and groups that may hold one of the best `k`; what these reach at least."""
    scale = queries.abs().amax(1).div(_HIGHEST).clamp_(min=torch.finfo().tiny)
    scaled = queries / scale[:, None]
    rounded = scaled.round().clamp_(-_HIGHEST, _HIGHEST)
    codes = rounded.to(torch.int8).T.contiguous()
    length = torch.linalg.vector_norm(scaled, dim=1) * scale
    away = torch.linalg.vector_norm(rounded.sub_(scaled), dim=1) * scale
    g, m = len(packed.scales), len(queries)
    best = torch.empty(g, m, dtype=torch.int32)
    sums = torch.empty(_GROUP * _BLOCK, m, dtype=torch.int32)
    for first in range(0, g, _BLOCK):
        rows = packed.codes[first * _GROUP : (first + _BLOCK) * _GROUP]
        torch._int_mm(rows, codes, out=sums)
        torch.amax(sums.view(_BLOCK, _GROUP, m), 1, out=best[first : first + _BLOCK])
    near = best.float().mul_(packed.scales).mul_(scale)
    # A little more, for the bound itself is rounded, and each product may be rounded to zero.
    error = (packed.lost * length).addcmul_(packed.lengths, away).mul_(1 + 1e-4)
    error += 2 * queries.shape[1] * torch.finfo().tiny
    near -= error
    # So many vectors at least are as good as that: the best of each bundle of groups, but of the
    # last, which may owe it to a zero that fills it up.
    bundles = packed.whole // _BUNDLE
    tops = near[: bundles * _BUNDLE].view(bundles, _BUNDLE, m).amax(1)
    least = tops.topk(k, dim=0, sorted=False).values.amin(0)
    # Bounds and products that overflow say nothing: of both, `near` is then not finite.
    least[~near.isfinite().all(0)] = math.inf
    near.add_(error, alpha=2)
    group, row = np.divmod(np.flatnonzero((near >= least).numpy()), m)
    return row, group, least.numpy()


def _closely(
    queries: Tensor,
    vectors: Tensor,
    row: IntArray,
    group: IntArray,
    least: npt.NDArray[np.float32],
) -> tuple[IntArray, IntArray, npt.NDArray[np.float32]]:
    """Return queries, places and products of what reaches so much in some groups."""
    n = len(vectors)
    places = group[:, None] * _GROUP + np.arange(_GROUP)
    here = places < n
    places = np.minimum(places, n - 1)
    found = np.empty(places.shape, np.float32)
    for start in range(0, len(row), _CLOSELY):
        some = slice(start, start + _CLOSELY)
        asked = queries[torch.from_numpy(row[some])]
        near = vectors[torch.from_numpy(places[some])].mul_(asked[:, None])
        found[some] = near.sum(2).numpy()
    pair, member = np.nonzero(here & (found >= least[row, None]))
    return row[pair], places[pair, member], found[pair, member]


@cache
def is_fast(dim: int) -> bool:
    """Return whether products of bytes are right and fast enough on this processor: it is tried."""
    a = torch.full((1024, dim), _HIGHEST, dtype=torch.int8)
    b, wide = -a[:256].T.contiguous(), a.float()
    try:
        # Processors without such an instruction may cut off sums that are too large.
        if not bool((torch._int_mm(a, b) == -dim * _HIGHEST**2).all()):
            return False
    except RuntimeError:
        return False
    query = b.float()
    bytewise = min(_seconds(a, b, torch._int_mm) for _ in range(3))
    return bytewise * _FASTER < min(_seconds(wide, query, torch.mm) for _ in range(3))


def _seconds(a: Tensor, b: Tensor, product: object) -> float:
    start = time.perf_counter()
    product(a, b)  # type: ignore[operator]
    return time.perf_counter() - start
