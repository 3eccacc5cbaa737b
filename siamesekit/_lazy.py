"""Names of a package that are imported when they are first asked for (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["lazy"]


def lazy(
    package: str, names: Mapping[str, str], submodules: Collection[str], public: Collection[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    names : mapping from str to str
        Each name to the module that defines it.
    submodules : collection of str
        Modules of the package that are its attributes without an import of their own.
    public : collection of str
        What ``dir`` shows beside the submodules.
    """

    def getattribute(name: str) -> Any:
        if name in names:
            value = getattr(importlib.import_module(names[name]), name)
            # Found at once from now on.
            setattr(sys.modules[package], name, value)
            return value
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        from siamesekit._checks import near_matches  # which imports numpy

        raise AttributeError(
            f"module {package!r} has no attribute {name!r}."
            f"{near_matches(name, [*names, *submodules])}"
        )

    def directory() -> list[str]:
        return sorted({*public, *submodules})

    return getattribute, directory
