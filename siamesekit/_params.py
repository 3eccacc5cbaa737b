"""The parameter grammar that parts share with scikit-learn."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from siamesekit._checks import check_known
from siamesekit.errors import InvalidParameterError

__all__ = ["Part", "in_words", "merge_params"]


def merge_params(
    owner: str,
    current: Mapping[str, Any],
    given: Mapping[str, Any],
    as_part: Callable[[str, Any], Any] = lambda name, value: value,
    example: Callable[[str, str], str] = lambda name, inner: f"{name}=<a part>",
) -> dict[str, Any]:
    """Return arguments with new values, among them parts with new parameters.

    Parameters
    ----------
    owner : str
        Whose arguments they are, for an error.
    current : mapping
        All arguments as they are.
    given : mapping
        New values, by ``argument`` or ``argument__parameter``. A part is changed in a copy.
    as_part : callable, optional
        From an argument's name and value to the part that it stands for, where it stands for one.
    example : callable, optional
        From an argument's name and a parameter to what to give for it to be there, for an error.

    Raises
    ------
    InvalidParameterError
        If there is no such argument, what it holds has no parameters, or a part refuses a value.
    """
    merged = dict(current)
    nested: dict[str, dict[str, Any]] = {}
    for key, value in given.items():
        name, delimiter, inner = key.partition("__")
        check_known([name], merged, owner, "parameter")
        if delimiter:
            nested.setdefault(name, {})[inner] = value
        else:
            merged[name] = value
    for name, params in nested.items():
        part = as_part(name, merged[name])
        if not hasattr(part, "set_params"):
            inner = next(iter(params))
            raise InvalidParameterError(
                f"{name}__{inner} must be a parameter of the part that {name} is; got "
                f"{name}={part!r}, which has none. Give {example(name, inner)} first."
            )
        merged[name] = copy.copy(part).set_params(**params)
    return merged


class Part:
    """Base of backbones, heads, losses, miners, samplers and indexes.

    A part keeps each constructor argument in an attribute of the same name, unchanged, so that
    scikit-learn's ``clone`` and ``GridSearchCV({"loss__margin": ...})`` reach inside it.
    """

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Return the names of the constructor's arguments, in order."""
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = inspect.signature(cls).parameters.values()
        return tuple(p.name for p in parameters if p.kind not in kinds)

    @classmethod
    def default_params(cls) -> dict[str, Any]:
        """Return what `get_params` returns of a part made without arguments.

        It is not made for that, which could be costly, unless it lists its parameters itself.
        """
        if cls.get_params is not Part.get_params:
            return cls().get_params()
        parameters = inspect.signature(cls).parameters
        params = {name: parameters[name].default for name in cls.parameter_names()}
        return _with_inner({k: v for k, v in params.items() if v is not inspect.Parameter.empty})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments as they are now.

        Parameters
        ----------
        deep : bool
            Also return the parameters of arguments that are parts themselves, as
            ``argument__parameter``.
        """
        params: dict[str, Any] = {name: getattr(self, name) for name in self.parameter_names()}
        return _with_inner(params) if deep else params

    def saved_params(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand in a file: without what is secret."""
        return self.get_params(deep=False)

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments; the part starts afresh, unbuilt, with the new values.

        Raises
        ------
        InvalidParameterError
            If a name is no argument of this part, or a value is not allowed. The part is then
            as it was.
        """
        if not params:
            return self
        merged = merge_params(type(self).__name__, self.get_params(deep=False), params)
        # A second object takes the checks first, so that a refused value leaves this one whole.
        self.__dict__ = type(self)(**merged).__dict__
        return self

    def __repr__(self) -> str:
        # What is a network shows its layers, as all of torch's do.
        return super().__repr__() if hasattr(super(), "extra_repr") else in_words(self)

    def __sklearn_clone__(self) -> Self:
        # A backbone given with its weights is meant to keep them; scikit-learn would rebuild it.
        return copy.deepcopy(self)


def in_words(part: object) -> str:
    """Return a part as a call: its class, and the parameters that are not the default.

    Other objects are shown by the name of their class or function, strings and numbers as they
    are.
    """
    if part is None or isinstance(part, str | int | float):
        return str(part)
    named = part if isinstance(part, type) or inspect.isroutine(part) else type(part)
    name: str = getattr(named, "__name__", type(part).__name__)
    if not isinstance(part, Part):
        return name
    usual = inspect.signature(type(part)).parameters
    own = [
        f"{key}={_value_in_words(value)}"
        for key, value in part.saved_params().items()
        if key in usual and _differs(value, usual[key].default)
    ]
    return f"{name}({', '.join(own)})"


def _value_in_words(value: object) -> str:
    is_part = isinstance(value, Part | type) or " at 0x" in repr(value)
    return in_words(value) if is_part else " ".join(repr(value).split())


def _differs(value: object, default: object) -> bool:
    return type(value) is not type(default) or repr(value) != repr(default)


def _with_inner(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters, and those of the parts among them as ``argument__parameter``."""
    inner = {
        f"{name}__{key}": value
        for name, part in params.items()
        if isinstance(part, Part)
        for key, value in part.get_params(deep=True).items()
    }
    return params | inner
