"""Is it who it says it is: the score of each query against one class alone."""

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.gallery._prepared import Prepared
from siamesekit.heads.aggregate import class_scores, prepared

__all__ = ["claim_scores"]

# Numbers of queries and supports that stand beside each other at once.
_NUMBERS = 2**22


def claim_scores(
    ready: Prepared, queries: Tensor, codes: IntArray, own: IntArray | None = None
) -> Tensor:
    """Return the score of each query against the class that it claims, shape (c,).

    Takes time for the examples of these classes, and for no others.

    Parameters
    ----------
    ready : Prepared
    queries : Tensor of float32, shape (m, d)
    codes : ndarray of int64, shape (c,)
        Classes that are there.
    own : ndarray of int64, shape (c,), optional
        Which query claims each. By default there are as many of both.
    """
    groups = ready.group_of[codes]
    counts = np.diff(ready.ends)[groups]
    asked = prepared(ready.head, queries.to(ready.supports.device))
    scores = torch.empty(len(codes), device=asked.device)
    claimants = np.arange(len(codes)) if own is None else own
    most = max(1, _NUMBERS // max(1, queries.shape[1]))
    for rows in _blocks(counts, most):
        claim = torch.from_numpy(np.repeat(np.arange(len(rows)), counts[rows]))
        ends = np.cumsum(counts[rows])
        starts = ready.ends[groups[rows]] - (ends - counts[rows])
        places = np.repeat(starts, counts[rows]) + np.arange(ends[-1])
        supports = ready.ready(torch.from_numpy(places).to(asked.device))
        block = asked[torch.from_numpy(claimants[rows]).to(asked.device)]
        claim = claim.to(asked.device)
        found = ready.head.pairs(block[claim], supports)
        found = found.to(torch.promote_types(found.dtype, torch.float32))
        if len(places) > len(rows):
            found = class_scores(found[None], claim, len(rows), ready.aggregate)[0]
        scores[torch.from_numpy(rows).to(asked.device)] = found.to(scores)
    return scores


def _blocks(counts: IntArray, most: int) -> list[IntArray]:
    """Return positions in blocks that have at most so many supports together, or one position."""
    blocks, start, ends = [], 0, np.cumsum(counts)
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + most, side="right"))
        blocks.append(np.arange(start, max(stop, start + 1)))
        start = max(stop, start + 1)
    return blocks
