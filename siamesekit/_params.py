"""The parameter grammar that parts share with scikit-learn."""

import copy
import inspect
from typing import Any, Self

from siamesekit._checks import near_matches
from siamesekit.errors import InvalidParameterError

__all__ = ["Part"]


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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments as they are now.

        Parameters
        ----------
        deep : bool
            Also return the parameters of arguments that are parts themselves, as
            ``argument__parameter``.
        """
        params: dict[str, Any] = {name: getattr(self, name) for name in self.parameter_names()}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, Part):
                    inner = value.get_params(deep=True)
                    params.update({f"{name}__{key}": v for key, v in inner.items()})
        return params

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
        merged = self.get_params(deep=False)
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, delimiter, inner = key.partition("__")
            if name not in merged:
                hint = near_matches(name, merged)
                allowed = ", ".join(map(repr, merged)) or "none"
                raise InvalidParameterError(
                    f"{name!r} is no parameter of {type(self).__name__}; allowed: {allowed}.{hint}"
                )
            if delimiter:
                nested.setdefault(name, {})[inner] = value
            else:
                merged[name] = value
        for name, inner_params in nested.items():
            merged[name] = copy.deepcopy(merged[name]).set_params(**inner_params)
        # A second object takes the checks first, so that a refused value leaves this one whole.
        self.__dict__ = type(self)(**merged).__dict__
        return self

    def __sklearn_clone__(self) -> Self:
        # A backbone given with its weights is meant to keep them; scikit-learn would rebuild it.
        return copy.deepcopy(self)
