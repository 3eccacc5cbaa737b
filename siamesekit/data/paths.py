"""Lists of paths, told from other data and checked at the door."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from siamesekit._checks import shown
from siamesekit.errors import InvalidDataError

__all__ = ["as_paths", "check_files", "is_paths"]

_NAMED = 3


def is_paths(X: Any) -> bool:
    """Return whether `X` is one path, or a list, array or column with a path in it.

    Paths are texts or `os.PathLike`, and bytes, which `as_paths` refuses; of tables (two dimensions
    and more) nothing is a path.
    """
    if isinstance(X, str | bytes | os.PathLike):
        return True
    if isinstance(X, list | tuple):
        return any(isinstance(entry, str | bytes | os.PathLike) for entry in X)
    if getattr(X, "ndim", None) != 1 or not hasattr(X, "dtype"):
        return False
    if isinstance(X, np.ndarray) and X.dtype.kind in "US":
        return True
    # Columns of pandas and arrays of objects.
    is_number = getattr(X.dtype, "kind", "O") in "biufcmM"
    return not is_number and any(isinstance(e, str | bytes | os.PathLike) for e in X)


def as_paths(X: Any, name: str = "X") -> list[str]:
    """Return paths as texts.

    Raises
    ------
    InvalidDataError
        If `X` is one path and no list, is empty, or holds what is no path.
    """
    if isinstance(X, str | bytes | os.PathLike):
        is_folder = not isinstance(X, bytes) and "\0" not in os.fspath(X) and os.path.isdir(X)
        advice = (
            "load_image_folder(root, as_paths=True) lists those of a folder"
            if is_folder
            else f"[{name}] makes a list of one"
        )
        raise InvalidDataError(f"{name} must be a list of paths; got one: {shown(X)}. {advice}.")
    entries: Sequence[Any] = X.tolist() if isinstance(X, np.ndarray) else list(X)
    if not entries:
        raise InvalidDataError(f"{name} must hold at least one item; got no path.")
    for k, entry in enumerate(entries):
        text = os.fspath(entry) if isinstance(entry, str | os.PathLike) else None
        if not isinstance(text, str) or not text or "\0" in text:
            also = " os.fsdecode makes a text of bytes." if isinstance(entry, bytes) else ""
            raise InvalidDataError(
                f"{name} must hold numbers, or paths (str or os.PathLike) alone; "
                f"{name}[{k}] is {shown(entry)}.{also}"
            )
    return [os.fspath(entry) for entry in entries]


def check_files(paths: Sequence[str], name: str = "X") -> None:
    """Raise `InvalidDataError` unless there is a file at each path; the first few are named."""
    wrong = [k for k, path in enumerate(paths) if not os.path.isfile(path)]
    if not wrong:
        return
    named = ", ".join(f"{name}[{k}] is {paths[k]!r}" for k in wrong[:_NAMED])
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    folders = any(os.path.isdir(paths[k]) for k in wrong)
    raise InvalidDataError(
        f"{name} must hold numbers, or paths of files; there is no file where {named}{more}."
        + (" A folder is no file." if folders else "")
    )
