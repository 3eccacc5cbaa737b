"""What kind of number an estimator was trained on, and how others become that kind."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["InputKind"]

_BYTE = 255
# Rounding leaves [0, 1] by this much; what lies further out is on another scale.
_ROUNDING = 1e-3
# Floats in [0, 1] in training may meet noise beyond it, but no pixels in bytes.
_UNIT_MARGIN = 1.0
# Scales of fewer steps cannot have been meant for integers.
_STEPS = 16


class InputKind(NamedTuple):
    """The kind of number that items had in training.

    Attributes
    ----------
    name : {"bool", "bytes", "unit", "levels", "numbers"}
        - ``"bool"``: images of nothing but 0 and 1, of any type;
        - ``"bytes"``: integers from 0 to 255 (vectors: of type uint8), which the network sees as
          0 to 1;
        - ``"unit"``: floats in [0, 1];
        - ``"levels"``: whole numbers of any type over 16 or more, as pixels 0 to 255 in floats; the
          network sees them as they are, and would take the same shares of 1 for black;
        - ``"numbers"``: anything else, and integers in vectors; the network sees them as they are.
    low, high : float
        Least and greatest number in training.
    """

    name: str
    low: float
    high: float

    @classmethod
    def of(cls, items: Tensor) -> Self:
        """Return the kind of training items.

        Parameters
        ----------
        items : Tensor of any real type, shape (n, c, h, w) or (n, f)
        """
        low, high = _range(items)
        return cls.of_range(low, high, lambda: _is_whole(items), items.dtype, items.ndim)

    @classmethod
    def of_range(
        cls, low: float, high: float, is_whole: Callable[[], bool], dtype: torch.dtype, ndim: int
    ) -> Self:
        """Return the kind of training items of which this is known.

        Parameters
        ----------
        low, high : float
            Least and greatest number.
        is_whole : callable
            Returns whether all numbers are whole; asked where it matters.
        dtype : torch.dtype
        ndim : int
            2 of vectors, 4 of images.
        """
        is_float = dtype.is_floating_point
        if ndim == 2:
            name = "bytes" if dtype == torch.uint8 else "numbers"
        elif low >= 0 and high <= 1 and is_whole():
            name = "bool"
        elif not is_float and low >= 0 and high <= _BYTE:
            name = "bytes"
        else:
            name = "numbers"
        if name == "numbers" and is_float and low >= 0 and high <= 1:
            name = "unit" if ndim == 4 or not is_whole() else name
        if name == "numbers" and high - low >= _STEPS and is_whole():
            name = "levels"
        return cls(name, low, high)

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """Return the kind that was written to json as a list."""
        name, low, high = state
        return cls(str(name), float(low), float(high))

    def take(self, items: Tensor, name: str = "X") -> Tensor:
        """Return items in this kind: of the scale that the network saw in training.

        Parameters
        ----------
        items : Tensor of any real type, shape (n, c, h, w) or (n, f)
        name : str
            How to call them in an error.

        Returns
        -------
        Tensor
            Of uint8 where they are bytes, which the network sees divided by 255; else of bool or
            of numbers that it sees as they are.

        Raises
        ------
        InvalidDataError
            If they are on another scale, or may be on either of two.
        """
        low, high = _range(items)
        return self._taken(items, low, high, lambda: _is_whole(items), name)

    def take_block(
        self, items: Tensor, of_all: Callable[[], tuple[float, float, bool]], name: str = "X"
    ) -> Tensor:
        """Return a block of items that are read one block after the other, in this kind.

        It comes out as `take` would have it among all of them: what a block alone cannot tell (a
        dark one may hold nothing but 0 and 1) is asked of all.

        Parameters
        ----------
        items : Tensor of any real type, shape (n, c, h, w) or (n, f)
        of_all : callable
            Returns the least and the greatest number of all, and whether all are whole. Asked
            where it matters: all have to be read for it.
        name : str

        Raises
        ------
        InvalidDataError
            As `take`.
        """
        low, high = _range(items)
        is_whole = _is_whole(items)
        if self._is_clear(items, low, high, is_whole):
            return self._taken(items, low, high, lambda: is_whole, name)
        low, high, is_whole = of_all()
        return self._taken(items, low, high, lambda: is_whole, name)

    def _is_clear(self, items: Tensor, low: float, high: float, is_whole: bool) -> bool:
        """Return whether a block says by itself how all items are taken."""
        if self._type_of(items, low, high, lambda: is_whole) is None:
            return False  # others may make it plausible
        if self.name in ("levels", "numbers"):
            return not low == high != 0  # one number alone has no scale
        if items.ndim == 2 or items.dtype == torch.bool:
            return True
        # Bits, or dark bytes? And are floats beyond 1 bytes?
        return not is_whole or (high != 1 and not (high > 1 and items.is_floating_point()))

    def _taken(
        self, items: Tensor, low: float, high: float, is_whole: Callable[[], bool], name: str
    ) -> Tensor:
        """Return items as such of this range are taken."""
        dtype = self._type_of(items, low, high, is_whole)
        if dtype is None:
            raise self._refusal(name, items, low, high)
        return items.to(dtype)

    def _type_of(
        self, items: Tensor, low: float, high: float, is_whole: Callable[[], bool]
    ) -> torch.dtype | None:
        """Return the type in which items of a range are taken; None where they are refused."""
        if items.ndim == 2:
            return self._type_of_vectors(items.dtype, low, high, is_whole)
        if self.name in ("levels", "numbers"):
            return self._type_on_own_scale(items.dtype, low, high)
        return self._type_of_images(items.dtype, low, high, is_whole)

    def _type_of_vectors(
        self, dtype: torch.dtype, low: float, high: float, is_whole: Callable[[], bool]
    ) -> torch.dtype | None:
        if self.name == "bytes":
            return torch.uint8 if low >= 0 and high <= _BYTE and is_whole() else None
        most = 1.0 + (_UNIT_MARGIN if dtype.is_floating_point else 0)
        is_levels = self.name == "unit" and high > most and is_whole()
        is_shares = self.name == "levels" and _are_shares(low, high)
        if is_levels or (is_shares and not is_whole()):
            return None
        return _as_numbers(dtype)

    def _type_of_images(
        self, dtype: torch.dtype, low: float, high: float, is_whole: Callable[[], bool]
    ) -> torch.dtype | None:
        if dtype == torch.bool:
            return dtype
        if not dtype.is_floating_point:
            if low >= 0 and high <= 1:
                # One step of 255, or full brightness? Only training on bits, or black, can tell.
                return torch.bool if self.name == "bool" or high == 0 else None
            return torch.uint8 if low >= 0 and high <= _BYTE else None
        if low >= 0 and 1 < high <= _BYTE and is_whole():
            return torch.uint8
        margin = _UNIT_MARGIN if self.name == "unit" else _ROUNDING
        return None if low < -margin or high > 1 + margin else dtype

    def _type_on_own_scale(self, dtype: torch.dtype, low: float, high: float) -> torch.dtype | None:
        span = (self.high - self.low) or max(1.0, abs(self.high))
        is_far = low < self.low - span or high > self.high + span
        is_shares = self.name == "levels" and _are_shares(low, high)
        is_integer = not dtype.is_floating_point
        if is_far or is_shares or (is_integer and span < _STEPS and high > low):
            return None
        return _as_numbers(dtype)

    def _refusal(self, name: str, items: Tensor, low: float, high: float) -> InvalidDataError:
        is_image = items.ndim > 2
        wanted = {
            "bool": "0 and 1, floats in [0, 1] or bytes (0 to 255)",
            "bytes": "whole numbers from 0 to 255" + (", floats in [0, 1]" if is_image else ""),
            "unit": "floats in [0, 1]" + (" or bytes (0 to 255)" if is_image else ""),
            "levels": f"whole numbers on the scale of {self.low:.4g} to {self.high:.4g}",
            "numbers": f"numbers on the scale of {self.low:.4g} to {self.high:.4g}",
        }[self.name]
        of_bits = is_image and self.name in ("bytes", "unit") and low >= 0 and high <= 1
        if of_bits and not items.is_floating_point():
            wanted = "True and False (bool) or bytes up to 255"
        return InvalidDataError(
            f"{name} must hold {wanted}, as in training; got {str(items.dtype)[6:]} from "
            f"{low:.4g} to {high:.4g}."
        )


def _range(items: Tensor) -> tuple[float, float]:
    if items.dtype == torch.bool:
        return 0.0, float(items.any())
    low, high = torch.aminmax(items)
    return float(low), float(high)


def _as_numbers(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which numbers are taken as they are: bytes are numbers as any others."""
    return torch.float32 if dtype == torch.uint8 else dtype


def _are_shares(low: float, high: float) -> bool:
    return low >= -1 and high <= 1 and low < high


def _is_whole(items: Tensor) -> bool:
    return not items.is_floating_point() or bool((items == items.floor()).all())
