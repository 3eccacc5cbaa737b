"""Checks at the door: each names the argument, what was given and what is allowed."""

import inspect
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from siamesekit.errors import InvalidParameterError

__all__ = [
    "Check",
    "check_all",
    "check_callable",
    "check_choice",
    "check_flag",
    "check_integer",
    "check_integers",
    "check_kind",
    "check_known",
    "check_number",
    "check_path",
    "choice",
    "first_line",
    "integer",
    "near_matches",
    "number",
    "optional",
    "or_callable",
    "shown",
]

Check = Callable[[str, object], object]
"""Takes an argument's name and its value; raises `InvalidParameterError` if it is not allowed."""

_LONGEST = 80
_COUNTABLE = 2**62


def check_all(checks: Mapping[str, Check], values: Mapping[str, object]) -> None:
    """Check each of `values` that a table of `checks` has a row for.

    Raises
    ------
    InvalidParameterError
        For the first value that is not allowed.
    """
    for name, value in values.items():
        if name in checks:
            checks[name](name, value)


def shown(value: object) -> str:
    """Return a value as an error shows it: its ``repr`` where that is short, and never an error."""
    try:
        # NumPy writes its own numbers and words as np.str_('a').
        plain = value.item() if isinstance(value, np.generic) else value
        text = " ".join(repr(plain).split())
    except Exception:
        # Python refuses to write integers of 4,300 digits; a foreign class may refuse anything.
        text = f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({type(value).__name__})"


def first_line(error: Exception) -> str:
    """Return the first line of what a foreign error says, for an error of ours; it may be empty."""
    return (str(error).strip().splitlines() or [""])[0]


def near_matches(name: str, known: Collection[str]) -> str:
    """Return ``" Did you mean 'a' or 'b'?"`` for the nearest known names, or an empty string."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def check_known(
    given: Iterable[str], known: Collection[str], owner: str, what: str = "argument"
) -> None:
    """Raise an error if a name that is given is none of those that an owner knows.

    Raises
    ------
    InvalidParameterError
        For the first such name.
    """
    for name in given:
        if name not in known:
            allowed = ", ".join(map(repr, known)) or "none"
            raise InvalidParameterError(
                f"{name!r} is no {what} of {owner}; allowed: {allowed}.{near_matches(name, known)}"
            )


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return `value` as an ``int`` within ``[low, high]``.

    Raises
    ------
    InvalidParameterError
        If `value` is no integer or lies outside the range.
    """
    bounds = f"an integer of at least {low}" if high is None else f"an integer in [{low}, {high}]"
    # More than a machine counts to is no number of anything.
    most = _COUNTABLE if high is None else high
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or not low <= int(value) <= most:  # type: ignore[call-overload]
        raise InvalidParameterError(f"{name} must be {bounds}; got {shown(value)}.")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_integers(name: str, values: object, *, low: int) -> tuple[int, ...]:
    """Return `values` as a tuple of one ``int`` or more, none below `low`.

    Raises
    ------
    InvalidParameterError
        If `values` is no sequence, is empty, or one of them is no integer or too low.
    """
    # What can be gone through but once would be empty for who comes next; sets have no order.
    others = (str, bytes, Iterator, Mapping, Set)
    several = isinstance(values, Iterable) and not isinstance(values, others)
    try:
        listed = list(values) if several else []  # type: ignore[call-overload]
    except TypeError:  # an array of no dimension
        listed = []
    if not listed:
        raise InvalidParameterError(
            f"{name} must be a sequence of integers of at least {low}; got {shown(values)}."
        )
    return tuple(check_integer(name, value, low=low) for value in listed)


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
        f"{name} must be a finite number in {left}{low:g}, {high:g}{right}; got {shown(value)}."
    )
    if not isinstance(value, Real) or isinstance(value, bool):
        raise bad
    try:
        result = float(value)
    except OverflowError:
        raise bad from None
    too_low = result <= low if open_low else result < low
    too_high = result >= high if open_high else result > high
    if not math.isfinite(result) or too_low or too_high:
        raise bad
    return result


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
    raise InvalidParameterError(f"{name} must be one of {listed}; got {shown(value)}.{hint}")


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a ``bool``, NumPy's too; raise `InvalidParameterError` otherwise."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidParameterError(f"{name} must be True or False; got {shown(value)}.")
    return bool(value)


def check_kind(name: str, value: object, kind: type, *, none: bool = False) -> None:
    """Raise `InvalidParameterError` unless `value` is a `kind`, or None where that is allowed."""
    if not isinstance(value, kind) and not (none and value is None):
        also = " or None" if none else ""
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        raise InvalidParameterError(
            f"{name} must be {article} {kind.__name__}{also}; got {shown(value)}."
        )


def check_callable(name: str, value: object, does: str) -> None:
    """Raise `InvalidParameterError` unless `value` can be called; `does` says with what.

    `does` begins with what it is called with, ``"(line, history) …"``; a value whose signature is
    known and takes another number of arguments is refused too.
    """
    if not callable(value) or not _takes(value, does):
        raise InvalidParameterError(f"{name} must be a callable {does}; got {shown(value)}.")


def _takes(value: Callable[..., object], does: str) -> bool:
    arguments = does.partition("(")[2].partition(")")[0].replace(",", " ").split()
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # what is written in C may not say
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


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
            f"{name} must be a path, str or os.PathLike, of one character or more; "
            f"got {shown(value)}."
        )
    return Path(text)


# -- rows of a table -------------------------------------------------------------------------


def integer(low: int, high: int | None = None) -> Check:
    """Return the check for an integer within ``[low, high]``."""
    return lambda name, value: check_integer(name, value, low=low, high=high)


def number(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> Check:
    """Return the check for a finite number between `low` and `high`."""
    return lambda name, value: check_number(
        name, value, low=low, high=high, open_low=open_low, open_high=open_high
    )


def optional(check: Check) -> Check:
    """Return the check that lets None pass, and all that `check` does."""
    return lambda name, value: None if value is None else check(name, value)


def or_callable(check: Check, does: str) -> Check:
    """Return the check that lets callables pass, and all that `check` does.

    Parameters
    ----------
    check : callable
    does : str
        What a callable is to do, for the error: ``"(line) -> optimizer"``.
    """

    def either(name: str, value: object) -> None:
        if callable(value):
            return
        try:
            check(name, value)
        except InvalidParameterError as error:
            wanted, got, rest = str(error).partition("; got ")
            raise InvalidParameterError(f"{wanted}, or a callable {does}{got}{rest}") from None

    return either


def choice(allowed: Collection[str]) -> Check:
    """Return the check for one of the strings in `allowed`."""
    return lambda name, value: check_choice(name, value, allowed)
