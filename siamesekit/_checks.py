"""Checks at the door: each names the argument, what was given and what is allowed."""

import math
import os
from collections.abc import Collection
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path

from siamesekit.errors import InvalidParameterError

__all__ = [
    "check_choice",
    "check_flag",
    "check_integer",
    "check_number",
    "check_path",
    "near_matches",
]


def near_matches(name: str, known: Collection[str]) -> str:
    """Return ``" Did you mean 'a' or 'b'?"`` for the nearest known names, or an empty string."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return `value` as an ``int`` within ``[low, high]``.

    Raises
    ------
    InvalidParameterError
        If `value` is no integer or lies outside the range.
    """
    bounds = f"an integer of at least {low}" if high is None else f"an integer in [{low}, {high}]"
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or int(value) < low or (high is not None and int(value) > high):  # type: ignore[call-overload]
        raise InvalidParameterError(f"{name} must be {bounds}; got {value!r}.")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_number(
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as a finite ``float`` between `low` and `high`.

    Raises
    ------
    InvalidParameterError
        If `value` is no finite real number or lies outside the range.
    """
    left = "(" if open_low or low == -math.inf else "["
    right = ")" if open_high or high == math.inf else "]"
    bad = InvalidParameterError(
        f"{name} must be a finite number in {left}{low:g}, {high:g}{right}; got {value!r}."
    )
    if not isinstance(value, Real) or isinstance(value, bool):
        raise bad
    number = float(value)
    too_low = number <= low if open_low else number < low
    too_high = number >= high if open_high else number > high
    if not math.isfinite(number) or too_low or too_high:
        raise bad
    return number


def check_choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` if it is one of the strings in `allowed`.

    Raises
    ------
    InvalidParameterError
        If it is not; near matches are suggested.
    """
    if isinstance(value, str) and value in allowed:
        return value
    listed = ", ".join(map(repr, allowed))
    hint = near_matches(value, allowed) if isinstance(value, str) else ""
    raise InvalidParameterError(f"{name} must be one of {listed}; got {value!r}.{hint}")


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a ``bool``; raise `InvalidParameterError` otherwise."""
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{name} must be True or False; got {value!r}.")
    return value


def check_path(name: str, value: object) -> Path:
    """Return `value` as a path.

    Raises
    ------
    InvalidParameterError
        If `value` is no text or path object, is empty, or holds what no path can.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidParameterError(
            f"{name} must be a path, str or os.PathLike, of one character or more; got {value!r}."
        )
    return Path(text)
