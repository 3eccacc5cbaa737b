"""Format 1 of saved models, read as if it were format 2.

It had no checksum over its description, wrote NaN where json has no word for it, and told neither
tuples from lists nor the trained parts from the arguments.
"""

import math
from collections.abc import Mapping
from typing import Any

from siamesekit.errors import SavedModelError

__all__ = ["upgraded"]

_PARTS = {
    "backbone": "backbones",
    "head": "heads",
    "loss": "losses",
    "miner": "miners",
    "sampler": "samplers",
}
# The one augmentation there was.
_AUGMENTATIONS = {"RandomAffine": "affine"}


def upgraded(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what format 2 says of a model that was saved in format 1.

    Raises
    ------
    SavedModelError
        If format 1 cannot say that.
    """
    try:
        params = {name: _argument(name, entry) for name, entry in description["params"].items()}
        fitted = dict(description["fitted"])
        history = {
            str(name): [_number(value) for value in column]
            for name, column in fitted["history"].items()
        }
        labels = dict(description["labels"])
        dtype = str(labels["dtype"])
        return {
            "estimator": description["estimator"],
            "params": params,
            "parts": {a: params[a] for a in ("backbone", "head", "loss")},
            "fitted": {
                "input_shape": fitted["input_shape"],
                "calibration": fitted["calibration"],
                "n_classes_trained": fitted["n_classes_trained"],
                "history": {"$dict": [[name, column] for name, column in history.items()]},
            },
            "state": {
                "labels": labels | {"dtype": "U" if dtype.startswith(("<U", ">U")) else dtype}
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SavedModelError(f"model.json of format 1 is damaged: {error!r}") from error


def _argument(name: str, entry: Mapping[str, Any]) -> Any:
    if "given" in entry:
        return {"$omitted": str(entry["given"])}
    if "value" in entry:
        return _value(entry["value"])
    if "augmentation" in entry:
        return _part("augmentations", _AUGMENTATIONS[entry["augmentation"]], entry)
    return _part(_PARTS[name], entry["part"], entry)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return _part(value["kind"], value["part"], value)
    if isinstance(value, list):
        return {"$tuple": [_value(item) for item in value]}
    return _number(value)


def _part(kind: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    params = {key: _value(value) for key, value in entry["params"].items()}
    return {"$part": {"kind": kind, "name": name, "params": params}}


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value
