"""Floats as integers of the same order, so that they can be bisected and packed into sort keys."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["codes", "last_that_meets"]

_INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}


def codes(*tensors: Tensor) -> list[Tensor]:
    """Return numbers below 2³² in the order of the floats, equal where these are.

    Parameters
    ----------
    *tensors : Tensor of float32 or float64, shape (k,)
        All of one type; the numbers compare across the tensors.

    Returns
    -------
    list of Tensor of int64, shape (k,)
    """
    if tensors[0].dtype == torch.float32:
        return [_place(tensor).long() + 2**31 for tensor in tensors]
    ranks = torch.unique(torch.cat(tensors), return_inverse=True)[1]
    return list(ranks.split([len(tensor) for tensor in tensors]))


def last_that_meets(condition: Callable[[Tensor], Tensor], guess: Tensor) -> Tensor:
    """Return, in each place, the largest float that meets a condition.

    Parameters
    ----------
    condition : callable
        From floats of the shape of `guess` to bool; once false along growing floats, it stays so,
        and it is false of not-a-number.
    guess : Tensor of float32 or float64
        The closer to the result, the faster.

    Returns
    -------
    Tensor like `guess`
        Minus infinity where no float meets the condition.
    """
    lowest, highest = _place(guess.new_tensor([-torch.inf, torch.inf]))
    # Not-a-number has a place beyond either infinity, from where bisection would not come back.
    place = torch.where(guess.isnan(), 0, _place(guess))
    low = torch.where(condition(_float(place - 2, guess.dtype)), place - 2, lowest)
    high = torch.where(condition(_float(place + 2, guess.dtype)), highest + 1, place + 2)
    # Between two places lie at most 2^bits others, and each round halves them.
    for _ in range(torch.iinfo(place.dtype).bits + 1):
        # The mean, rounded down, of two numbers whose sum may be too large.
        middle = (low & high) + ((low ^ high) >> 1)
        if torch.equal(middle, low):
            break
        met = condition(_float(middle, guess.dtype))
        low = torch.where(met, middle, low)
        high = torch.where(met, high, middle)
    return _float(low, guess.dtype)


def _place(floats: Tensor) -> Tensor:
    """Return integers as wide as the floats, one apart for neighbours and 0 for either zero."""
    # Adding 0 leaves a single zero.
    return _mirrored((floats + 0.0).view(_INTEGER[floats.dtype]))


def _float(places: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the floats whose places these are; NaN for what lies beyond infinity."""
    return _mirrored(places).view(dtype)


def _mirrored(bits: Tensor) -> Tensor:
    """Return the integers with the negative ones in reverse: as floats, their bits descend."""
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits)
