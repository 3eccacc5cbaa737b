"""Parts by name: built-in, from an installed plugin, or from a family such as ``pml:``.

Nothing is scanned or imported until a part is asked for by name, and then only that part's plugin
is imported. A third-party distribution adds a part with an entry point whose group is the kind::

    [project.entry-points."siamesekit.losses"]
    my-loss = "my_package.losses:MyLoss"
"""

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, TypeVar

from siamesekit._checks import (
    check_callable,
    check_choice,
    check_kind,
    check_known,
    near_matches,
    shown,
)
from siamesekit._copying import copied
from siamesekit.errors import (
    InvalidParameterError,
    PluginConflictError,
    PluginError,
    PluginImportError,
    UnknownPartError,
)

__all__ = [
    "ARGUMENTS",
    "KINDS",
    "Kind",
    "built_in",
    "check",
    "create",
    "distribution_of",
    "entry_of",
    "get",
    "make",
    "name_of",
    "names",
    "offered",
    "register",
    "register_family",
    "strays",
]


class Kind(NamedTuple):
    """One kind of part.

    Attributes
    ----------
    home : str
        Module that registers the built-in parts when it is imported. The registry lies below the
        floors, so it knows them by name only.
    base : str
        ``"module:name"`` of what a part must be an instance of.
    argument : str or None
        Argument of the estimators that takes such a part.
    """

    home: str
    base: str
    argument: str | None = None


KINDS = {
    "backbones": Kind("siamesekit.backbones", "torch.nn:Module", "backbone"),
    "heads": Kind("siamesekit.heads", "siamesekit.heads:Head", "head"),
    "losses": Kind("siamesekit.losses", "siamesekit.losses:Loss", "loss"),
    "miners": Kind("siamesekit.miners", "siamesekit.miners:Miner", "miner"),
    "samplers": Kind("siamesekit.samplers", "siamesekit.samplers:Sampler", "sampler"),
    "indexes": Kind("siamesekit.gallery", "collections.abc:Sized", "index"),
    "augmentations": Kind("siamesekit.data", "collections.abc:Callable", "augment"),
    "readers": Kind("siamesekit.data", "collections.abc:Callable", "reader"),
    # Of these an estimator takes several, so that no argument is one of them.
    "callbacks": Kind("siamesekit.training", "siamesekit.training.callbacks:Callback"),
}
"""All kinds of parts: the one list of them. Entry points of a kind have the group
``siamesekit.<kind>``."""

ARGUMENTS = {k.argument: kind for kind, k in KINDS.items() if k.argument is not None}
"""Kind of each argument of the estimators that is a part."""

_PartClass = TypeVar("_PartClass", bound=type[Any])


class _Family(NamedTuple):
    get: Callable[[str], type[Any]]
    names: Callable[[], Iterable[str]]
    name_of: Callable[[type[Any]], str | None]
    distribution: str | None


_builtins: dict[str, dict[str, type[Any]]] = {kind: {} for kind in KINDS}
_families: dict[str, dict[str, _Family]] = {kind: {} for kind in KINDS}


def register(kind: str, name: str) -> Callable[[_PartClass], _PartClass]:
    """Return a class decorator that makes a class the built-in part `name` of `kind`.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
        Without a colon, which families have (``"pml:NTXentLoss"``).

    Raises
    ------
    InvalidParameterError
        If `kind` is unknown, `name` is no name, another class has it already, or what is registered
        is no class of that kind. The same class defined anew, as when a notebook's cell runs again,
        takes the old one's place.
    """
    check_choice("kind", kind, KINDS)
    if not isinstance(name, str) or not name or ":" in name:
        raise InvalidParameterError(f"name must be a string without a colon; got {shown(name)}.")

    def add(cls: _PartClass) -> _PartClass:
        if not isinstance(cls, type):
            raise InvalidParameterError(
                f"what is registered must be a class, so that each estimator gets one of its own; "
                f"got {shown(cls)}."
            )
        # The built-in parts are registered while their bases are being imported.
        if cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
            _check_class(kind, name, cls)
        old = _builtins[kind].get(name)
        if old is not None and _origin(old) != _origin(cls):
            raise InvalidParameterError(
                f"name {name!r} of {kind} is taken already: {'.'.join(_origin(old))}. "
                "Take another one."
            )
        _builtins[kind][name] = cls
        return cls

    return add


def register_family(
    kind: str,
    prefix: str,
    get: Callable[[str], type[Any]],
    names: Callable[[], Iterable[str]],
    name_of: Callable[[type[Any]], str | None] | None = None,
    distribution: str | None = None,
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
        Takes nothing and returns all that may follow the colon; nothing, if it would take the
        import of a large package to know.
    name_of : callable, optional
        Takes any class and returns what follows the colon where `get` made it, else None; by
        default its own name is looked for among `names`.
    distribution : str, optional
        What installed the parts, where it is not the package that registers the family.

    Raises
    ------
    InvalidParameterError
        If `kind` or `prefix` is no such string, or another argument cannot be called.
    """
    check_kind("prefix", prefix, str)
    check_callable("get", get, "(name)")
    check_callable("names", names, "()")
    if name_of is not None:
        check_callable("name_of", name_of, "(cls)")

    def listed(cls: type[Any]) -> str | None:
        name = cls.__name__
        return name if name in set(names()) and get(name) is cls else None

    family = _Family(get, names, listed if name_of is None else name_of, distribution)
    _families[check_choice("kind", kind, KINDS)][prefix] = family


def names(kind: str, *, plugins: bool = True) -> list[str]:
    """Return the sorted names of all parts of `kind`, without importing any plugin.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    plugins : bool
        Also those that other installed distributions offer.
    """
    _load_builtins(kind)
    own = set(_builtins[kind])
    if plugins:
        own |= {entry.name for entry in _entry_points(kind)}
    for prefix, family in _families[kind].items():
        own |= {f"{prefix}:{rest}" for rest in family.names()}
    return sorted(own)


def built_in(kind: str) -> list[tuple[str, type[Any]]]:
    """Return name and class of every part of `kind` that no entry point offers, by name.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    """
    return [(name, get(kind, name)) for name in names(kind, plugins=False)]


def offered(kind: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of installed distributions for `kind`; none is imported.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    """
    return _entry_points(check_choice("kind", kind, KINDS))


def entry_of(kind: str, name: str) -> EntryPoint | None:
    """Return the entry point by which `get` finds a part; None where it is built in.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
    """
    _load_builtins(kind)
    if name in _builtins[kind]:
        return None
    return next((entry for entry in _entry_points(kind) if entry.name == name), None)


def distribution_of(kind: str, name: str) -> str | None:
    """Return the distribution of the family that serves `name`, if another package's.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
    """
    prefix, colon, _ = name.partition(":")
    family = _families[kind].get(prefix) if colon else None
    return None if family is None else family.distribution


def strays() -> list[str]:
    """Return a sentence on each entry point in a group that is nearly one of a kind, but is none.

    What such an entry point offers nothing finds: its author has most likely misspelt the group.
    """
    known = [f"siamesekit.{kind}" for kind in KINDS]
    return [
        f"{_distribution(entry)} offers {entry.name!r} in the entry-point group {group!r}, which "
        f"is no kind of siamesekit's.{near_matches(group.casefold(), known)}"
        for group, entry in _near_groups(entry_points(), known)
        if group not in known
    ]


def get(kind: str, name: str) -> type[Any]:
    """Return the class of the part `name` of `kind`.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str

    Raises
    ------
    InvalidParameterError
        If `kind` is unknown, or `name` is no string.
    UnknownPartError
        If there is no such part; near matches are suggested, and entry points in a group that is
        misspelt are named.
    PluginImportError
        If the part is a plugin whose module fails to import.
    PluginConflictError
        If two installed distributions offer the name.
    """
    _load_builtins(kind)
    if not isinstance(name, str):
        raise InvalidParameterError(f"name must be a string, a name in {kind}; got {shown(name)}.")
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
    listed = ", ".join(repr(n) for n in known if ":" not in n)
    raise UnknownPartError(
        f"{kind} has no part named {name!r}.{near_matches(name, known)} Known: {listed or 'none'}."
        f"{_strays(kind, name)}"
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
    signature = inspect.signature(cls)
    accepted = signature.parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    if not takes_any:
        check_known(params, accepted, f"{name!r} in {kind}", "parameter")
    try:
        signature.bind(**params)
    except TypeError as error:
        raise InvalidParameterError(
            f"{name!r} in {kind} must be given its parameters: {error}."
        ) from error
    return cls(**params)


def check(kind: str, spec: object) -> None:
    """Raise unless `spec` is what `make` takes: a name, or a class or an instance of `kind`.

    Nothing is made.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    spec : str, type or object

    Raises
    ------
    InvalidParameterError
        If `spec` is no part of `kind`.
    UnknownPartError, PluginImportError, PluginConflictError
        As in `get`.
    """
    check_choice("kind", kind, KINDS)
    if isinstance(spec, str):
        _load_builtins(kind)
        if spec not in _builtins[kind]:  # `get` asks all that is installed
            get(kind, spec)
        return
    base = _base(kind)
    fits = issubclass(spec, base) if isinstance(spec, type) else isinstance(spec, base)
    if not fits:
        raise _no_part(KINDS[kind].argument or "spec", base, spec)


def make(kind: str, spec: object) -> Any:
    """Return a new part: by name, of a class, or as a copy of an instance.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    spec : str, type or object

    Raises
    ------
    InvalidParameterError
        If what `spec` is or makes is no part of `kind`, or it cannot be made or copied.
    UnknownPartError, PluginImportError, PluginConflictError
        As in `get`.
    """
    check_choice("kind", kind, KINDS)
    argument = KINDS[kind].argument or "spec"
    if isinstance(spec, str):
        part = create(kind, spec)
    elif isinstance(spec, type):
        part = _instance(argument, spec)
    else:
        part = spec
    base = _base(kind)
    if not isinstance(part, base):
        raise _no_part(argument, base, part)
    return _copied(argument, part) if part is spec else part


def name_of(kind: str, part: object) -> str | None:
    """Return the name under which `get` finds the class of `part`, or None.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    part : object
        A part, or the class of one. A plugin's is found although its name was never asked for.
    """
    _load_builtins(kind)
    cls = part if isinstance(part, type) else type(part)
    for name, known in _builtins[kind].items():
        if cls is known:
            return name
    for entry in _entry_points(kind):
        # Only a package that is imported already can be where the class comes from.
        if entry.module.partition(".")[0] == cls.__module__.partition(".")[0]:
            try:
                found = get(kind, entry.name)
            except PluginError:
                continue
            if cls is found:
                return entry.name
    for prefix, family in _families[kind].items():
        rest = family.name_of(cls)
        if rest is not None:
            return f"{prefix}:{rest}"
    return None


def _instance(argument: str, cls: type[Any]) -> Any:
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise InvalidParameterError(
            f"{argument}={cls.__name__} cannot be made without arguments ({error}); "
            f"give an instance: {argument}={cls.__name__}(…)."
        ) from error
    except ValueError:  # a class without a signature, such as one written in C
        pass
    return cls()


def _no_part(argument: str, base: type[Any], given: object) -> InvalidParameterError:
    return InvalidParameterError(
        f"{argument} must be a name, or a class or an instance of {base.__name__}; "
        f"got {shown(given)}."
    )


def _copied(argument: str, part: Any) -> Any:
    try:
        return copied(part)
    except (
        TypeError,
        RuntimeError,
        ValueError,
    ) as error:  # locks; tensors inside a graph
        raise InvalidParameterError(
            f"{argument} must be an object that copy.deepcopy copies; got a "
            f"{type(part).__name__}: {error}."
        ) from error


def _base(kind: str) -> type[Any]:
    module, _, name = KINDS[kind].base.partition(":")
    base: type[Any] = getattr(importlib.import_module(module), name)
    return base


def _check_class(kind: str, name: str, cls: type[Any]) -> None:
    _load_builtins(kind)
    if not issubclass(cls, _base(kind)):
        raise InvalidParameterError(
            f"{name!r} of {kind} must be a class that derives from {KINDS[kind].base}; "
            f"got {shown(cls)}."
        )


def _origin(cls: type[Any]) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _strays(kind: str, name: str) -> str:
    """Return a sentence on the part that an entry point of a misspelt group or kind offers."""
    known = [f"siamesekit.{other}" for other in KINDS]
    for group, entry in _near_groups(entry_points(name=name), known):
        if group != f"siamesekit.{kind}":
            what = "another kind" if group in known else "no kind of siamesekit's"
            return (
                f" {_distribution(entry)} offers {name!r} in the entry-point group {group!r}, "
                f"which is {what}; that of {kind} is 'siamesekit.{kind}'."
            )
    return ""


def _near_groups(entries: Any, known: list[str]) -> Iterator[tuple[str, EntryPoint]]:
    """Yield the entry points whose groups are of this package, or are spelt much like its own."""
    whole = [_letters(group) for group in known]
    for group in sorted(entries.groups):
        # Whose it is tells, where that can be told apart: others have groups of losses, too.
        owner, dot, _ = group.partition(".")
        letters = _letters(owner if dot else group)
        near = get_close_matches(letters, ["siamesekit"] if dot else whole, n=1, cutoff=0.75)
        if near or letters.startswith("siamesekit"):
            for entry in entries.select(group=group):
                yield group, entry


def _letters(group: str) -> str:
    return "".join(filter(str.isalnum, group.casefold()))


def _load_builtins(kind: str) -> None:
    check_choice("kind", kind, KINDS)
    importlib.import_module(KINDS[kind].home)


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
    return plugin
