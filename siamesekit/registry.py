"""Parts by name: built-in, from an installed plugin, or from a family such as ``pml:``.

Nothing is scanned or imported until a part is asked for by name, and then only that part's plugin
is imported. A third-party distribution adds a part with an entry point whose group is the kind::

    [project.entry-points."siamesekit.losses"]
    my-loss = "my_package.losses:MyLoss"
"""

import copy
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, TypeVar

from siamesekit._checks import check_choice, near_matches
from siamesekit.errors import (
    InvalidParameterError,
    PluginConflictError,
    PluginImportError,
    UnknownPartError,
)

__all__ = ["KINDS", "create", "get", "make", "name_of", "names", "register", "register_family"]

KINDS = ("backbones", "heads", "losses", "miners", "samplers", "indexes")

# The registry lies below the floors, so it knows where each kind lives by name only.
_HOMES = {kind: f"siamesekit.{kind}" for kind in KINDS} | {"indexes": "siamesekit.gallery"}

_PartClass = TypeVar("_PartClass", bound=type[Any])


class _Family(NamedTuple):
    get: Callable[[str], type[Any]]
    names: Callable[[], Iterable[str]]


_builtins: dict[str, dict[str, type[Any]]] = {kind: {} for kind in KINDS}
_families: dict[str, dict[str, _Family]] = {kind: {} for kind in KINDS}
_plugins: dict[tuple[str, str], type[Any]] = {}


def register(kind: str, name: str) -> Callable[[_PartClass], _PartClass]:
    """Return a class decorator that makes a class the built-in part `name` of `kind`.

    Parameters
    ----------
    kind : {"backbones", "heads", "losses", "miners", "samplers", "indexes"}
    name : str

    Raises
    ------
    InvalidParameterError
        If `kind` is unknown, or `name` is a built-in of that kind already.
    """
    check_choice("kind", kind, KINDS)

    def add(cls: _PartClass) -> _PartClass:
        if name in _builtins[kind]:
            raise InvalidParameterError(f"name {name!r} is a built-in of {kind} already.")
        _builtins[kind][name] = cls
        return cls

    return add


def register_family(
    kind: str, prefix: str, get: Callable[[str], type[Any]], names: Callable[[], Iterable[str]]
) -> None:
    """Serve every name ``"prefix:rest"`` of `kind` through ``get(rest)``.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    prefix : str
    get : callable
        Takes what follows the colon and returns a part class; raises `UnknownPartError`.
    names : callable
        Takes nothing and returns all that may follow the colon.
    """
    _families[check_choice("kind", kind, KINDS)][prefix] = _Family(get, names)


def names(kind: str) -> list[str]:
    """Return the sorted names of all parts of `kind`, without importing any plugin.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    """
    _load_builtins(kind)
    own = set(_builtins[kind]) | {entry.name for entry in _entry_points(kind)}
    for prefix, family in _families[kind].items():
        own |= {f"{prefix}:{rest}" for rest in family.names()}
    return sorted(own)


def get(kind: str, name: str) -> type[Any]:
    """Return the class of the part `name` of `kind`.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str

    Raises
    ------
    UnknownPartError
        If there is no such part; near matches are suggested.
    PluginImportError
        If the part is a plugin whose module fails to import.
    PluginConflictError
        If two installed distributions offer the name.
    """
    _load_builtins(kind)
    claims = [entry for entry in _entry_points(kind) if entry.name == name]
    if name in _builtins[kind]:
        if claims:
            warnings.warn(
                f"{_distribution(claims[0])} also offers {name!r} for {kind}; "
                "the built-in part is used.",
                stacklevel=2,
            )
        return _builtins[kind][name]
    if claims:
        return _load_plugin(kind, name, claims)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _families[kind]:
        return _families[kind][prefix].get(rest)
    known = names(kind)
    shown = ", ".join(repr(n) for n in known if ":" not in n)
    raise UnknownPartError(
        f"{kind} has no part named {name!r}.{near_matches(name, known)} Known: {shown}."
    )


def create(kind: str, name: str, **params: Any) -> Any:
    """Return a new part `name` of `kind`.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
    **params
        Arguments of the part's constructor.

    Raises
    ------
    InvalidParameterError
        If an argument is unknown to the part or not allowed.
    UnknownPartError, PluginImportError, PluginConflictError
        As in `get`.
    """
    cls = get(kind, name)
    accepted = inspect.signature(cls).parameters
    for key in params:
        if key not in accepted:
            allowed = ", ".join(map(repr, accepted)) or "none"
            raise InvalidParameterError(
                f"{key!r} is no parameter of {name!r} in {kind}; allowed: {allowed}."
                f"{near_matches(key, accepted)}"
            )
    return cls(**params)


def make(kind: str, spec: object) -> Any:
    """Return a new part: by name, of a class, or as a copy of an instance.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    spec : str, type or object

    Raises
    ------
    UnknownPartError, PluginImportError, PluginConflictError
        As in `get`.
    """
    if isinstance(spec, str):
        return create(kind, spec)
    return spec() if isinstance(spec, type) else copy.deepcopy(spec)


def name_of(kind: str, part: object) -> str | None:
    """Return the name under which `get` finds the class of `part`, or None.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    part : object
        An instance of a part.
    """
    _load_builtins(kind)
    for name, cls in _builtins[kind].items():
        if type(part) is cls:
            return name
    for (plugin_kind, name), cls in _plugins.items():
        if plugin_kind == kind and type(part) is cls:
            return name
    for prefix, family in _families[kind].items():
        rest = type(part).__name__
        if rest in set(family.names()) and family.get(rest) is type(part):
            return f"{prefix}:{rest}"
    return None


def _load_builtins(kind: str) -> None:
    check_choice("kind", kind, KINDS)
    importlib.import_module(_HOMES[kind])


def _entry_points(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=f"siamesekit.{kind}"))


def _distribution(entry: EntryPoint) -> str:
    if entry.dist is None:
        return "an unknown distribution"
    return f"distribution {entry.dist.name!r} {entry.dist.version}"


def _load_plugin(kind: str, name: str, claims: list[EntryPoint]) -> type[Any]:
    # One distribution can be seen twice (an editable install beside a build folder).
    owners = {_distribution(entry) for entry in claims}
    if len(owners) > 1:
        raise PluginConflictError(
            f"{name!r} of {kind} is offered by {' and '.join(sorted(owners))}; "
            "uninstall one of them, or pass the class itself."
        )
    entry = claims[0]
    try:
        plugin = entry.load()
    except Exception as error:
        raise PluginImportError(
            f"{name!r} of {kind}, offered by {_distribution(entry)} as {entry.value!r}, "
            f"fails to import: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(plugin, type):
        raise PluginImportError(
            f"{name!r} of {kind}, offered by {_distribution(entry)}, must be a class; "
            f"{entry.value!r} is {plugin!r}."
        )
    _plugins[kind, name] = plugin
    return plugin
