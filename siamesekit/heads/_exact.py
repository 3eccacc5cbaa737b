"""Squared differences, each pair's the same bits in whatever company it is computed.

A matrix product is fast, but rounds a pair's sum by the shape of the product and the place in it,
and loses what lies far from the origin: which of two items is nearer, or that both are equally
near, could hang on what else is compared. So a pair has a value of its *own*: the sum of its
squared differences in float64, rounded to float32. A product in float64 serves to find it. The
error of that has a bound; where both ends of it round to one float32, this is the pair's own value
too. The few pairs where they do not are computed by their differences.

This takes a wider type. Embeddings of float64, and those on accelerators, of which some have no
float64, are compared pair by pair (`torch.cdist` by differences): the same bits in any company
too, and slower.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._eager import is_eager

__all__ = ["all_squares", "centre", "has_wider", "pair_squares", "unit"]

# Numbers in a chunk of rows, in a block of columns, and in a block of scores, all of float64: so
# many stay in a core's cache, and memory stays low.
_CHUNK = 2**22
_COLUMNS = 2**17
_SCORES = 2**18

# Numbers in the buffer for pairs that are computed by their differences, and numbers of differences
# up to which all pairs are.
_BUFFER = 2**18
_FEW = 2**14

# Rows up to which a side is compared row by row.
_THIN = 2

# Rows among which the centre is sought.
_SAMPLE = 512

# Relative error of one operation in float64.
_ROUNDING = 2.0**-53


def has_wider(x: Tensor) -> bool:
    """Return whether there is a wider type to compute in: for float32 on a processor."""
    return x.dtype == torch.float32 and x.device.type == "cpu"


def unit(x: Tensor) -> Tensor:
    """Return the rows of `x`, (n, d), divided by their Euclidean lengths; a row of zeros stays.

    Rows of any scale get length 1, also where their squares overflow or vanish. The gradient is
    finite at a row of zeros: that of the row undivided.
    """
    if has_wider(x):
        return _divided(x.double()).float()
    if is_eager(x) and not x.numel():
        return x
    peak = x.detach().abs().amax(1, keepdim=True)
    return _divided(x / torch.where(peak > 0, peak, 1))


def pair_squares(a: Tensor, b: Tensor, weight: Tensor | None = None, root: bool = False) -> Tensor:
    """Return ``sum_k weight_k (a_ik - b_ik)²`` for all i, or its root.

    Parameters
    ----------
    a, b : Tensor of float, shape (n, d)
    weight : Tensor of float, shape (d,), optional
        Of any sign; 1 by default.
    root : bool
        Between equal rows the root's gradient is 0.

    Returns
    -------
    Tensor of float, shape (n,)
        In float32 on a processor the very bits of `all_squares`.
    """
    if not root:
        return _own(a, b, weight).to(a.dtype)
    # What records the steps must not record the scale of these numbers.
    scale = _scale(a, b) if has_wider(a) and is_eager(a, b) else 1.0
    squares = (_own(a, b, weight) * scale).to(a.dtype)
    # The plain root's gradient is infinite at 0.
    zero = squares == 0
    roots = squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)
    first, second = _root_of(scale)
    return roots / first / second


def all_squares(a: Tensor, b: Tensor, weight: Tensor | None = None, root: bool = False) -> Tensor:
    """Return ``sum_k weight_k (a_ik - b_jk)²`` for all i, j, or its root; without a graph.

    Parameters
    ----------
    a : Tensor of float, shape (m, d)
    b : Tensor of float, shape (n, d)
    weight : Tensor of float, shape (d,), optional
        Of any sign; 1 by default, where the result is never negative, and 0 for equal rows.
    root : bool
        Where the square overflows or vanishes in float32, its root need not.

    Returns
    -------
    Tensor of float, shape (m, n)
    """
    with torch.no_grad():
        if not has_wider(a):
            return _pair_by_pair(a, b, weight, root)
        scale = _scale(a, b) if root else 1.0
        squares = a.new_empty(len(a), len(b))
        if squares.numel():
            _fill(squares, a, b, weight, scale)
        if not root:
            return squares
        first, second = _root_of(scale)
        return squares.sqrt_().div_(first).div_(second)


def centre(a: Tensor, b: Tensor) -> Tensor:
    """Return a row of middling length, (d,): what is taken off both sides leaves differences.

    In float64 they stay as they are, so that it changes no result; it makes lengths, and with them
    the error of a product, small where rows lie far from the origin. Being one of the rows, it
    makes them 0 where all are equal.
    """
    sample = torch.cat([x[:: max(1, len(x) // _SAMPLE)] for x in (a, b)])
    if not sample.numel():
        return sample.new_zeros(sample.shape[1])
    peaks = torch.linalg.vector_norm(sample, torch.inf, dim=1)
    # Indexed by a tensor of one: a bare number would be waited for.
    place = peaks.nanmedian(0).indices.view(1)
    return sample.index_select(0, place)[0].nan_to_num(0.0, 0.0, 0.0)


def _divided(x: Tensor) -> Tensor:
    squares = _row_sums(x.square())[:, None]
    return x / squares.masked_fill(squares == 0, 1).sqrt()


def _own(a: Tensor, b: Tensor, weight: Tensor | None) -> Tensor:
    """Return what the differences of each row give, in the widest type there is."""
    wide = torch.float64 if has_wider(a) else a.dtype
    # Types of their own for a and b: a difference of two types is made of copies.
    squares = (a.to(wide) - b.to(wide)).square()
    return _row_sums(squares if weight is None else squares * weight.to(wide))


def _row_sums(x: Tensor) -> Tensor:
    """Return the sum of each row of (n, d), the same bits whatever the others are."""
    if not is_eager(x):  # then how many rows there are may be open
        return x.sum(1)
    # A row alone would be shared out to the threads.
    return x.sum(1) if len(x) != 1 else torch.cat([x, x]).sum(1)[:1]


# -- by products in float64 -------------------------------------------------------------------


def _fill(out: Tensor, a: Tensor, b: Tensor, weight: Tensor | None, scale: float) -> None:
    """Write ``scale * sum_k weight_k (a_ik - b_jk)²`` into `out`, of float32."""
    dim = a.shape[1]
    if out.numel() * dim <= _FEW:
        _write_own(out, np.arange(out.numel()), a, b, weight, scale)
        return
    if min(out.shape) <= _THIN:
        # A product would pass over the numbers as often, and leave more to do.
        _write_rows(*((out, a, b) if len(a) <= len(b) else (out.T, b, a)), weight, scale)
        return
    origin = centre(a, b).double()
    # A product, two lengths and the pair's own sum err by no more than so much of both lengths:
    # each adds up fewer than d + 3 terms.
    share = (6 * dim + 32) * _ROUNDING * scale
    width = max(128, _COLUMNS // max(1, dim))
    height = max(16, _SCORES // width)
    for chunk in _slices(len(a), max(1, _CHUNK // max(1, dim))):
        left, error_of_a = _left(a[chunk], origin, weight, scale)
        for j in _slices(len(b), width):
            right, error_of_b = _right(b[j], origin, weight)
            for part in _slices(len(left), height):
                i = slice(chunk.start + part.start, chunk.start + part.stop)
                error = (error_of_a[part, None] + error_of_b).mul_(share)
                unclear = _settle(out[i, j], left[part] @ right.T, error)
                _write_own(out[i, j], unclear, a[i], b[j], weight, scale)


def _left(x: Tensor, origin: Tensor, weight: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Return rows whose products with those of `_right` are the sums, and what bounds their error.

    ``-2 x·y + |x|² + |y|²`` is one product of rows with two numbers more.
    """
    factors, body, lengths, bound = _factors(x, origin, weight)
    if weight is not None:
        body.mul_(weight)
    body.mul_(-2)
    factors[:, -2], factors[:, -1] = lengths, 1
    return factors.mul_(scale), bound


def _right(x: Tensor, origin: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    factors, _, lengths, bound = _factors(x, origin, weight)
    factors[:, -2], factors[:, -1] = 1, lengths
    return factors, bound


def _factors(
    x: Tensor, origin: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return float64 rows with room for two numbers more, less these, and squared lengths."""
    factors = torch.empty(len(x), x.shape[1] + 2, dtype=torch.float64)
    body = factors[:, :-2]
    # In place: the types differ, and a sum of both at once would be made of copies.
    body.copy_(x)
    body.sub_(origin)
    squares = body.square()
    if weight is None:
        lengths = squares.sum(1)
        return factors, body, lengths, lengths
    wide = weight.double()
    return factors, body, squares @ wide, squares @ wide.abs()


def _settle(out: Tensor, sums: Tensor, error: Tensor) -> npt.NDArray[np.intp]:
    """Write to `out` what lies within `error` of `sums`; return the places where that is unclear.

    What is not a number in `error` has no differences either, and is clear.
    """
    out.copy_(sums.sub_(error))
    high = sums.add_(error, alpha=2).float()
    # NumPy takes a fifth of torch's time for this.
    unclear = np.flatnonzero(out.numpy() != high.numpy())
    if not len(unclear):
        return unclear
    known: npt.NDArray[np.intp] = unclear[~np.isnan(error.numpy().reshape(-1)[unclear])]
    return known


def _write_own(
    out: Tensor,
    places: npt.NDArray[np.intp],
    a: Tensor,
    b: Tensor,
    weight: Tensor | None,
    scale: float,
) -> None:
    """Write to some places of `out` what their differences give."""
    size = max(1, _BUFFER // max(1, a.shape[1]))
    for start in range(0, len(places), size):
        i, j = map(torch.from_numpy, np.divmod(places[start : start + size], len(b)))
        out[i, j] = (_own(a[i], b[j], weight) * scale).float()


def _write_rows(out: Tensor, a: Tensor, b: Tensor, weight: Tensor | None, scale: float) -> None:
    """Write to `out` what the differences of few rows from many give, row by row."""
    for own, row in zip(a, out, strict=True):
        for j in _slices(len(b), max(2, _BUFFER // b.shape[1])):
            row[j] = _own(own[None], b[j], weight) * scale


def _scale(a: Tensor, b: Tensor) -> float:
    """Return a power of 4 that brings the largest squared distance near the end of float32.

    It takes no digits off a square, and lets the smallest stay above 0.
    """
    peak = max(_peak(a), _peak(b))
    if peak == 0:
        return 1.0
    bits = math.ceil(math.log2(4 * a.shape[1])) + 2 * math.ceil(math.log2(peak))
    return 4.0 ** ((126 - bits) // 2)


def _root_of(scale: float) -> tuple[float, float]:
    """Return two powers of 2, float32 each, whose product is the root of a power of 4."""
    bits = round(math.log2(scale)) // 2
    return 2.0 ** (bits // 2), 2.0 ** (bits - bits // 2)


def _peak(x: Tensor) -> float:
    """Return the largest of the finite numbers, by absolute value."""
    if not x.numel():
        return 0.0
    x = x.detach()
    low, high = (float(end) for end in x.aminmax())
    if math.isfinite(high - low):
        return max(-low, high)
    return float(x.nan_to_num(0.0, 0.0, 0.0).abs().amax())


# -- pair by pair -----------------------------------------------------------------------------


def _pair_by_pair(a: Tensor, b: Tensor, weight: Tensor | None, root: bool) -> Tensor:
    if weight is None:
        roots = _roots(a, b)
        return roots if root else roots.square_()
    above, below = weight.clamp(min=0).sqrt(), (-weight).clamp(min=0).sqrt()
    return _roots(a * above, b * above).square_() - _roots(a * below, b * below).square_()


def _roots(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _slices(size: int, step: int) -> Iterator[slice]:
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
