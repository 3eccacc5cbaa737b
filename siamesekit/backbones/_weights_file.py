"""Weights of a network, read from a file that may have come from anywhere."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from siamesekit._checks import first_line
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["read_weights"]

# Under which scripts of training put the weights beside what else they keep.
_BELOW = ("state_dict", "model", "model_state_dict")
# What wrappers for several devices, and torch.compile, put before each key.
_PREFIXES = ("module.", "_orig_mod.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file, by their keys.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, or one of ``torch.save`` that holds tensors and plain values alone
        (``weights_only``: no code in it runs).

    Raises
    ------
    DatasetNotFoundError
        If there is no such file.
    CorruptDatasetError
        If it holds no weights.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"pretrained must be a file of weights; {path} is none.")
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        said = first_line(error) or type(error).__name__
        raise CorruptDatasetError(f"{path} is no file of weights: {said}") from error
    for name in _BELOW:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found:
        raise CorruptDatasetError(f"{path} must hold a mapping from keys to weights.")
    strange = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if strange:
        raise CorruptDatasetError(
            f"{path} must hold tensors alone, or below {' or '.join(map(repr, _BELOW))}; "
            f"{strange[0]!r} is a {type(found[strange[0]]).__name__}."
        )
    return _without_prefix({str(key): value for key, value in found.items()})


def _without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in weights):
            weights = {key[len(prefix) :]: value for key, value in weights.items()}
    return weights
