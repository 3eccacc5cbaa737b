"""A tree of plain values and tensors as bytes, and back: safetensors, strict json, a checksum."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from siamesekit.errors import InvalidParameterError

__all__ = ["pack", "unpack"]

_FORMAT = "siamesekit checkpoint 2"


def pack(value: Any, name: str) -> bytes:
    """Return `value` as bytes of safetensors, its tree as json beside the tensors.

    Parameters
    ----------
    value : Any
        Of dicts, lists, tuples, strings, numbers (NumPy's too), bool, None, tensors, arrays.
    name : str
        What is packed, for the message.

    Raises
    ------
    InvalidParameterError
        If there is anything else in it.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_packed(value, tensors, name), allow_nan=False)
    metadata = {"format": _FORMAT, "tree": tree, "checksum": _checksum(tree, tensors)}
    return save(tensors, metadata)


def unpack(content: bytes) -> Any:
    """Return what `pack` made bytes of.

    Raises
    ------
    ValueError
        If the bytes are damaged, or of another format. Safetensors raises its own errors.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise ValueError("it ends too early")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    if metadata["format"] != _FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}, not {_FORMAT!r}")
    tensors = load(content)
    if metadata["checksum"] != _checksum(metadata["tree"], tensors):
        raise ValueError("its checksum is wrong")
    return _unpacked(json.loads(metadata["tree"]), tensors)


def _checksum(tree: str, tensors: dict[str, Tensor]) -> str:
    hasher = hashlib.sha256(tree.encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        hasher.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor | np.ndarray):
        key, kind = f"{len(tensors)}", "tensor" if isinstance(value, Tensor) else "array"
        # Own memory each: safetensors takes no two names of one storage (tied weights).
        own = value.detach() if isinstance(value, Tensor) else torch.from_numpy(value)
        tensors[key] = own.cpu().contiguous().clone()
        return {kind: key}
    if isinstance(value, Mapping):
        pairs = [[_packed(part, tensors, name) for part in pair] for pair in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(inner, tensors, name) for inner in value]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    raise InvalidParameterError(
        f"{name} can hold tensors and plain values; the optimiser's, a network's or a schedule's "
        f"state holds {type(value).__name__}. Train without checkpoint, or keep that out of it."
    )


def _unpacked(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "float":
        return float(content)
    if kind in ("tensor", "array"):
        return tensors[content] if kind == "tensor" else tensors[content].numpy()
    if kind == "dict":
        return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in content}
    if kind == "bytes":
        return bytes.fromhex(content)
    values = [_unpacked(inner, tensors) for inner in content]
    return values if kind == "list" else tuple(values)
