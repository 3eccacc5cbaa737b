"""What parts there are: names, what each is for, whose it is, and its parameters."""

import inspect
import sys
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Any, NamedTuple

from siamesekit import registry
from siamesekit._checks import check_kind
from siamesekit._params import Part

__all__ = ["PartDescription", "PartInfo", "describe", "list_parts"]

_OWN = "siamesekit"


class PartInfo(NamedTuple):
    """One part in a list of parts.

    Attributes
    ----------
    kind : str
        One of `siamesekit.registry.KINDS`.
    name : str
        As an estimator, or `siamesekit.registry.get`, takes it.
    summary : str
        What it is for, in one line. Of a plugin that is not imported yet: its distribution's.
    distribution : str or None
        What installed it; None where it was registered by code that no distribution holds.
    version : str or None
        Of the distribution.
    """

    kind: str
    name: str
    summary: str
    distribution: str | None
    version: str | None

    @property
    def origin(self) -> str:
        """Distribution and version: ``"siamesekit 0.1.0"``."""
        if self.distribution is None:
            return "registered in this process"
        return f"{self.distribution} {self.version}"


class PartDescription(NamedTuple):
    """All that is known of one part; ``print`` shows it as a page.

    Attributes
    ----------
    info : PartInfo
    cls : type
        The class itself.
    parameters : dict from str to object
        Each argument of its constructor and its default; `inspect.Parameter.empty` where it has to
        be given.
    doc : str
        The whole docstring.
    """

    info: PartInfo
    cls: type[Any]
    parameters: dict[str, Any]
    doc: str

    def __str__(self) -> str:
        """Return the page."""
        shown = ", ".join(
            name if default is inspect.Parameter.empty else f"{name}={default!r}"
            for name, default in self.parameters.items()
        )
        head = f"{self.info.kind}: {self.info.name} ({self.info.origin})"
        call = f"{self.cls.__module__}.{self.cls.__qualname__}({shown})"
        return f"{head}\n{call}\n\n{self.doc}"


def list_parts(kind: str | None = None, pattern: str | None = None) -> list[PartInfo]:
    """Return what parts there are, built in and of installed plugins, by kind and name.

    Parameters
    ----------
    kind : str, optional
        One of `siamesekit.registry.KINDS`; all kinds by default.
    pattern : str, optional
        What the name is like, upper and lower case alike: ``"*hard*"``, as file names are matched;
        a word without ``*``, ``?`` and ``[`` is looked for anywhere in the name.

    Returns
    -------
    list of PartInfo
        No plugin is imported for it. Networks of timm are not listed, being a thousand:
        ``timm.list_models()`` knows them.

    Raises
    ------
    InvalidParameterError
        If there is no such kind, or `pattern` is no string.

    Warns
    -----
    UserWarning
        If an installed distribution offers parts in an entry-point group that is of no kind
        (``siamesekit.losss``), where nothing looks for them.

    See Also
    --------
    describe : all that is known of one part.

    Examples
    --------
    >>> from siamesekit import list_parts
    >>> [part.name for part in list_parts("heads", "*euclidean")]
    ['euclidean', 'sqeuclidean']
    """
    check_kind("pattern", pattern, str, none=True)
    kinds = list(registry.KINDS) if kind is None else [kind]
    found = [part for one in kinds for part in _parts_of(one)]
    for stray in registry.strays():
        warnings.warn(stray, stacklevel=2)
    return [part for part in found if pattern is None or _is_like(part.name, pattern)]


def describe(kind: str, name: str) -> PartDescription:
    """Return all that is known of a part; if it is a plugin, that one is imported.

    Parameters
    ----------
    kind : str
        One of `siamesekit.registry.KINDS`.
    name : str

    Raises
    ------
    InvalidParameterError
        If `kind` is unknown, or `name` is no string.
    UnknownPartError, PluginImportError, PluginConflictError
        As in `siamesekit.registry.get`.

    Examples
    --------
    >>> from siamesekit import describe
    >>> describe("losses", "triplet").parameters["margin"]
    0.2
    """
    cls = registry.get(kind, name)
    entry = registry.entry_of(kind, name)
    info = _of_class(kind, name, cls) if entry is None else _of_entry(kind, entry)
    return PartDescription(info, cls, _parameters(cls), inspect.getdoc(cls) or "")


def _is_like(name: str, pattern: str) -> bool:
    pattern = pattern.lower()
    if not set(pattern) & set("*?["):
        return pattern in name.lower()
    return fnmatchcase(name.lower(), pattern)


def _parts_of(kind: str) -> list[PartInfo]:
    own = [_of_class(kind, name, cls) for name, cls in registry.built_in(kind)]
    names = {part.name for part in own}
    return sorted([*own, *_offered(kind, names)], key=lambda part: part.name)


def _offered(kind: str, taken: set[str]) -> Iterator[PartInfo]:
    """Yield the parts of plugins; one that two distributions offer comes twice."""
    seen = set()
    for entry in registry.offered(kind):
        info = _of_entry(kind, entry)
        # An editable install beside a build folder shows a distribution twice.
        if entry.name not in taken and info not in seen:
            seen.add(info)
            yield info


def _of_class(kind: str, name: str, cls: type[Any]) -> PartInfo:
    distribution = registry.distribution_of(kind, name) or cls.__module__.partition(".")[0]
    try:
        return PartInfo(kind, name, _first_line(cls), distribution, version(distribution))
    except PackageNotFoundError:  # a notebook's own
        return PartInfo(kind, name, _first_line(cls), None, None)


def _of_entry(kind: str, entry: EntryPoint) -> PartInfo:
    dist = entry.dist
    module = sys.modules.get(entry.module)
    cls = getattr(module, entry.attr, None)
    summary = _first_line(cls) if cls is not None else ""
    if not summary and dist is not None:
        summary = str(dist.metadata.json.get("summary", ""))
    return PartInfo(
        kind,
        entry.name,
        summary,
        None if dist is None else dist.name,
        None if dist is None else dist.version,
    )


def _first_line(cls: object) -> str:
    return (inspect.getdoc(cls) or "").strip().partition("\n\n")[0].replace("\n", " ")


def _parameters(cls: type[Any]) -> dict[str, Any]:
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):  # a class written in C
        return {}
    names = cls.parameter_names() if issubclass(cls, Part) else tuple(signature.parameters)
    return {name: signature.parameters[name].default for name in names}
