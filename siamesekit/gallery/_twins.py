"""Supports that are the same bit for bit.

A matrix product may score two equal columns unequally in the last digit, so that what ought to be
a tie would be none, and always fall to the same class.
"""

import numpy as np
from torch import Tensor

from siamesekit._types import IntArray

__all__ = ["checksums", "first_of_each", "twins_of"]

# Rows that are looked at at once.
_ROWS = 2**12


def checksums(supports: Tensor) -> np.ndarray:
    """Return a sum of the bits of each row, uint32, shape (s,): equal for equal rows.

    Parameters
    ----------
    supports : Tensor, shape (s, ...)
    """
    bits = _bits(supports)
    weights = np.random.default_rng(0).integers(2**32, size=bits.shape[1], dtype=np.uint32) | 1
    sums = np.empty(len(bits), dtype=np.uint32)
    for start in range(0, len(bits), _ROWS):
        rows = slice(start, start + _ROWS)
        np.sum(bits[rows] * weights, axis=1, dtype=np.uint32, out=sums[rows])
    return sums


def twins_of(supports: Tensor, sums: np.ndarray) -> IntArray | None:
    """Return for each row the first that is the same bit for bit; None where all differ.

    Parameters
    ----------
    supports : Tensor, shape (s, ...)
    sums : ndarray of uint32, shape (s,)
        Their `checksums`.

    Returns
    -------
    ndarray of int64, shape (s,), or None
    """
    ordered = np.sort(sums)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return None
    # Unequal rows seldom have equal sums: these are looked at.
    paired = np.flatnonzero(np.isin(sums, repeated))
    _, first, group = np.unique(sums[paired], return_index=True, return_inverse=True)
    bits, of_paired = _bits(supports), paired[first[group]]
    alike = paired[_equal(bits, paired, of_paired)]
    twins = np.arange(len(sums))
    twins[paired] = np.where(np.isin(paired, alike), of_paired, paired)
    return twins if (twins[paired] != paired).any() else None


def first_of_each(twins: IntArray) -> IntArray:
    """Return for each row of some, whose twins are given, the position of the first like it."""
    _, first, group = np.unique(twins, return_index=True, return_inverse=True)
    return first[group]


def _bits(supports: Tensor) -> np.ndarray:
    rows = supports.cpu().numpy()
    # In pieces of four bytes; what is packed may be of another length.
    piece = next(size for size in (4, 2, 1) if rows.shape[1] * rows.itemsize % size == 0)
    bits: np.ndarray = rows.view(f"u{piece}")
    return bits


def _equal(bits: np.ndarray, i: IntArray, j: IntArray) -> np.ndarray:
    blocks = [slice(start, start + _ROWS) for start in range(0, len(i), _ROWS)]
    return np.concatenate([(bits[i[rows]] == bits[j[rows]]).all(axis=1) for rows in blocks])
