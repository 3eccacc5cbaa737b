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
        take = self._take_vectors if items.ndim == 2 else self._take_images
        return take(items, low, high, name)

    def take_block(self, items: Tensor, name: str = "X") -> Tensor:
        """Return a block of items that are read one block after the other, in this kind.

        As `take`, but for what a block alone cannot tell: bytes are bytes by their type, however
        dark, and floats are on the scale of [0, 1] where training was.

        Raises
        ------
        InvalidDataError
            If they are on another scale.
        """
        if items.ndim == 2 or self.name in ("levels", "numbers") or items.dtype == torch.bool:
            return self.take(items, name)
        low, high = _range(items)
        if items.is_floating_point():
            margin = _UNIT_MARGIN if self.name == "unit" else _ROUNDING
            if low < -margin or high > 1 + margin:
                raise self._refusal(
                    name, items, low, high, "floats in [0, 1] or bytes of type uint8"
                )
            return items
        most = 1 if self.name == "bool" else _BYTE
        if low < 0 or high > most:
            raise self._refusal(name, items, low, high, f"whole numbers from 0 to {most}")
        return items.bool() if self.name == "bool" else items.to(torch.uint8)

    def _take_vectors(self, items: Tensor, low: float, high: float, name: str) -> Tensor:
        if self.name == "bytes":
            if low < 0 or high > _BYTE or not _is_whole(items):
                raise self._refusal(name, items, low, high)
            return items.to(torch.uint8)
        most = 1.0 + (_UNIT_MARGIN if items.is_floating_point() else 0)
        is_levels = self.name == "unit" and high > most and _is_whole(items)
        is_shares = self.name == "levels" and _are_shares(low, high)
        if is_levels or (is_shares and not _is_whole(items)):
            raise self._refusal(name, items, low, high)
        # Bytes here are numbers as any others.
        return items.to(torch.float32) if items.dtype == torch.uint8 else items

    def _take_images(self, items: Tensor, low: float, high: float, name: str) -> Tensor:
        if self.name in ("levels", "numbers"):
            return self._take_on_own_scale(items, low, high, name)
        if items.dtype == torch.bool:
            return items
        is_integer = not items.is_floating_point()
        if is_integer and high <= 1 and low >= 0:
            # One step of 255, or full brightness? Only training on bits, or black, can tell.
            if self.name == "bool" or high == 0:
                return items.bool()
            raise self._refusal(name, items, low, high, "True and False (bool) or bytes up to 255")
        if low >= 0 and 1 < high <= _BYTE and _is_whole(items):
            return items.to(torch.uint8)
        margin = _UNIT_MARGIN if self.name == "unit" else _ROUNDING
        if is_integer or low < -margin or high > 1 + margin:
            raise self._refusal(name, items, low, high)
        return items

    def _take_on_own_scale(self, items: Tensor, low: float, high: float, name: str) -> Tensor:
        span = (self.high - self.low) or max(1.0, abs(self.high))
        is_far = low < self.low - span or high > self.high + span
        is_integer = not items.is_floating_point()
        is_shares = self.name == "levels" and _are_shares(low, high)
        if is_far or is_shares or (is_integer and span < _STEPS and high > low):
            raise self._refusal(name, items, low, high)
        return items.to(torch.float32) if items.dtype == torch.uint8 else items

    def _refusal(
        self, name: str, items: Tensor, low: float, high: float, wanted: str | None = None
    ) -> InvalidDataError:
        wanted = (
            wanted
            or {
                "bool": "0 and 1, floats in [0, 1] or bytes (0 to 255)",
                "bytes": "whole numbers from 0 to 255"
                + ("" if items.ndim == 2 else ", floats in [0, 1]"),
                "unit": "floats in [0, 1]" + ("" if items.ndim == 2 else " or bytes (0 to 255)"),
                "levels": f"whole numbers on the scale of {self.low:.4g} to {self.high:.4g}",
                "numbers": f"numbers on the scale of {self.low:.4g} to {self.high:.4g}",
            }[self.name]
        )
        return InvalidDataError(
            f"{name} must hold {wanted}, as in training; got {str(items.dtype)[6:]} from "
            f"{low:.4g} to {high:.4g}."
        )


def _range(items: Tensor) -> tuple[float, float]:
    if items.dtype == torch.bool:
        return 0.0, float(items.any())
    low, high = torch.aminmax(items)
    return float(low), float(high)


def _are_shares(low: float, high: float) -> bool:
    return low >= -1 and high <= 1 and low < high


def _is_whole(items: Tensor) -> bool:
    return not items.is_floating_point() or bool((items == items.floor()).all())
