"""What goes out of use goes on working for a while, and says what to use in its place."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from siamesekit.errors import InvalidParameterError

__all__ = ["deprecated", "renamed_argument"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def deprecated(
    *, since: str, until: str, instead: str
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator of a function or method that warns whenever it is called.

    Parameters
    ----------
    since, until : str
        The version that says so first, and the one in which it is gone.
    instead : str
        What to use in its place, as code: ``"siamesekit.load"``.

    Warns
    -----
    FutureWarning
        At each call; unlike `DeprecationWarning`, those who use a library see it.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def warning(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            _warn(f"{function.__qualname__}()", since, until, instead)
            return function(*args, **kwargs)

        note = f".. deprecated:: {since}\n    Use ``{instead}``; gone in {until}."
        warning.__doc__ = f"{function.__doc__ or ''}\n\n{note}\n".lstrip()
        return warning

    return decorate


def renamed_argument(
    old: str, new: str, *, since: str, until: str
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Return a decorator of a function that takes an argument by its old name too, and warns.

    Parameters
    ----------
    old, new : str
        What it was called, and is called; the function knows the new name only.
    since, until : str
        The version that says so first, and the one from which on the old name is refused.

    Raises
    ------
    InvalidParameterError
        At a call, if both are given.

    Warns
    -----
    FutureWarning
        At each call by the old name.
    """

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def warning(*args: Any, **kwargs: Any) -> _R:
            if old in kwargs:
                if new in kwargs:
                    raise InvalidParameterError(
                        f"{old} is the old name of {new}: give one of them; got both."
                    )
                _warn(f"argument {old}", since, until, f"{new}=")
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return warning

    return decorate


def _warn(what: str, since: str, until: str, instead: str) -> None:
    warnings.warn(
        f"{what} is deprecated since siamesekit {since} and will be gone in {until}; "
        f"use {instead} instead.",
        FutureWarning,
        stacklevel=3,
    )
