"""What every part must do with its parameters."""

import re
from typing import Any

from sklearn.base import clone

from siamesekit._params import Part
from siamesekit.testing._findings import Findings

__all__ = ["check_parameters"]


def check_parameters(part: Part, found: Findings) -> None:
    """Take the parameters of a part round: made again, cloned, set.

    Parameters
    ----------
    part : Part
    found : Findings
        Takes what is missing.
    """
    with found.attempt("get_params"):
        params = part.get_params(deep=False)
        with found.attempt("making it again from get_params()"):
            again = type(part)(**params).get_params(deep=False)
            found.expect(
                _alike(again, params),
                "the constructor must keep every argument, unchanged, in an attribute of its "
                f"name; made again from {params} it has {again}",
            )
        with found.attempt("clone"):
            found.expect(
                _alike(clone(part).get_params(deep=False), params),
                "sklearn.base.clone must keep its parameters",
            )
        with found.attempt("set_params"):
            found.expect(
                _alike(clone(part).set_params(**params).get_params(deep=False), params),
                "set_params(**get_params()) must leave its parameters as they are",
            )


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    # Copies of objects and arrays need not be ==; what they show of themselves is compared.
    return _shown(one) == _shown(other)


def _shown(params: dict[str, Any]) -> dict[str, str]:
    return {key: re.sub(" at 0x[0-9a-f]+", "", repr(value)) for key, value in params.items()}
