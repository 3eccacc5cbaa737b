"""Arguments, labels and numbers as strict json can hold them, and back.

Plain values stand as they are; what json has no word for is a mapping of one key, such as
``{"$tuple": [1, 2]}``. Reading them back calls nothing but parts that the registry knows.
"""

import base64
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._params import Part
from siamesekit.errors import PluginError, SavedModelError, UnknownPartError

__all__ = [
    "CannotWriteError",
    "MissingPartError",
    "decode",
    "decode_labels",
    "encode",
    "encode_labels",
]

# Arrays among the parameters are small ones; no file may ask for much memory by them.
_MOST_NUMBERS = 10**6
_DEEPEST = 50
# Python's own limit on digits that it reads is 4,300 by default.
_TOO_LONG = 10**4000
_ARRAY = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")
_LABELS = re.compile(r"\|b1|\|[iu]1|[<>=][iu][248]|[<>=]f[248]|U|\|O")


class CannotWriteError(TypeError):
    """A value that json cannot hold and no part of the registry stands for."""


class MissingPartError(SavedModelError):
    """A part was saved by a name that this installation does not know."""


def encode(value: Any) -> Any:
    """Return `value` as strict json can hold it.

    Numbers of NumPy become Python's. Parts become their name and parameters; their weights are
    saved elsewhere.

    Raises
    ------
    CannotWriteError
        If it, or something in it, can only be held by a pickle.
    """
    try:
        return _encode(value)
    except RecursionError as error:
        raise CannotWriteError("json cannot hold a value that holds itself") from error


def decode(entry: Any) -> Any:
    """Return the value that `encode` wrote.

    Raises
    ------
    MissingPartError
        If it is a part by a name that this installation does not know.
    SavedModelError
        If `encode` cannot have written it, or a part refuses its parameters.
    """
    return _decode(entry, 0)


def encode_labels(labels: np.ndarray) -> dict[str, Any]:
    """Return class labels, shape (n,), as strict json can hold them, exactly.

    Raises
    ------
    CannotWriteError
        If they are of a type that json cannot hold exactly.
    """
    kind = "U" if labels.dtype.kind == "U" else labels.dtype.str
    values = labels.tolist()
    known = all(isinstance(value, str | int | float) for value in values)
    if not known or not _LABELS.fullmatch(kind):
        raise CannotWriteError(f"json cannot hold labels of type {labels.dtype}")
    if kind == "|O":  # others have no room for so many digits
        for value in values:
            _check_digits(value)
    return {"dtype": kind, "values": values}


def decode_labels(entry: Any) -> np.ndarray:
    """Return the labels that `encode_labels` wrote.

    Raises
    ------
    SavedModelError
        If it cannot have written them.
    """
    _want(isinstance(entry, dict) and entry.keys() == {"dtype", "values"}, "labels", entry)
    kind, values = entry["dtype"], entry["values"]
    _want(isinstance(values, list), "labels", values)
    _want(isinstance(kind, str) and _LABELS.fullmatch(kind), "type of labels", kind)
    if kind == "U":
        _want(all(type(value) is str for value in values), "labels", values)
        return np.array(values, dtype=np.str_)
    if kind == "|O":
        objects = np.empty(len(values), dtype=object)
        _want(len({type(value) for value in values} - {str, int}) == 0, "labels", values)
        objects[:] = values
        return objects
    return _numbers(values, np.dtype(kind), "labels")


def _check_digits(value: object) -> None:
    """Raise `CannotWriteError` for an integer that Python would not read again."""
    if isinstance(value, int) and abs(value) >= _TOO_LONG:
        raise CannotWriteError("json cannot hold a number of more than 4,000 digits")


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        _check_digits(value)
        return int(value)
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, str):
        return str(value)
    if type(value) is list:
        return [_encode(item) for item in value]
    if type(value) is tuple:
        return {"$tuple": [_encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"$dict": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if isinstance(value, PurePath):
        return {"$path": os.fspath(value)}
    if isinstance(value, bytes | bytearray):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, torch.device):
        return {"$device": str(value)}
    if isinstance(value, torch.dtype):
        return {"$dtype": str(value).removeprefix("torch.")}
    if isinstance(value, np.ndarray):
        return {"$array": _encode_array(value)}
    if isinstance(value, Tensor):
        return {"$tensor": _encode_tensor(value)}
    return _encode_part(value)


def _encode_array(array: np.ndarray) -> dict[str, Any]:
    if not _ARRAY.fullmatch(array.dtype.str) or array.dtype.kind == "c":
        raise CannotWriteError(f"json cannot hold an array of {array.dtype}")
    if array.size > _MOST_NUMBERS:
        raise CannotWriteError(f"json cannot hold an array of {array.size} numbers well")
    values = [_encode(value) for value in array.ravel().tolist()]
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def _encode_tensor(tensor: Tensor) -> dict[str, Any]:
    if tensor.is_sparse or tensor.is_quantized or tensor.is_complex():
        raise CannotWriteError(f"json cannot hold a tensor of {tensor.dtype} ({tensor.layout})")
    if tensor.numel() > _MOST_NUMBERS:
        raise CannotWriteError(f"json cannot hold a tensor of {tensor.numel()} numbers well")
    values = [_encode(value) for value in tensor.detach().flatten().tolist()]
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(tensor.shape), "values": values}


def _encode_part(value: Any) -> dict[str, Any]:
    is_class = isinstance(value, type)
    for kind in registry.KINDS if is_class or isinstance(value, Part) else ():
        name = registry.name_of(kind, value)
        if name is not None and is_class:
            return {"$class": {"kind": kind, "name": name}}
        if name is not None:
            own = {key: _encode(param) for key, param in value.saved_params().items()}
            return {"$part": {"kind": kind, "name": name, "params": own}}
    raise CannotWriteError(f"json cannot hold {value!r}")


def _decode(entry: Any, depth: int) -> Any:
    _want(depth < _DEEPEST, "depth of a value", depth)
    if isinstance(entry, list):
        return [_decode(item, depth + 1) for item in entry]
    if isinstance(entry, float):
        _want(np.isfinite(entry), "number", entry)
    if not isinstance(entry, dict):
        return entry
    _want(len(entry) == 1, "value", entry)
    ((key, content),) = entry.items()
    reader = _READERS.get(key)
    if reader is None:
        raise SavedModelError(f"its value of the kind {key!r} is unknown to this version")
    return reader(content, depth + 1)


def _decode_tuple(content: Any, depth: int) -> tuple[Any, ...]:
    _want(isinstance(content, list), "tuple", content)
    return tuple(_decode(item, depth) for item in content)


def _decode_dict(content: Any, depth: int) -> dict[Any, Any]:
    _want(isinstance(content, list), "mapping", content)
    for item in content:
        _want(isinstance(item, list) and len(item) == 2, "mapping", item)
        _want(not isinstance(item[0], list | dict), "key of a mapping", item[0])
    return {key: _decode(value, depth) for key, value in content}


def _decode_float(content: Any, depth: int) -> float:
    _want(isinstance(content, str) and content in ("nan", "inf", "-inf"), "number", content)
    return float(content)


def _decode_path(content: Any, depth: int) -> Path:
    _want(isinstance(content, str), "path", content)
    return Path(content)


def _decode_bytes(content: Any, depth: int) -> bytes:
    _want(isinstance(content, str), "bytes", content)
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise SavedModelError("its bytes are damaged") from error


def _decode_device(content: Any, depth: int) -> torch.device:
    _want(isinstance(content, str), "device", content)
    try:
        return torch.device(content)
    except RuntimeError as error:
        raise SavedModelError(f"its device {_short(content)} is unknown") from error


def _decode_dtype(content: Any, depth: int) -> torch.dtype:
    dtype = getattr(torch, content, None) if isinstance(content, str) else None
    _want(isinstance(dtype, torch.dtype), "number type", content)
    return dtype  # type: ignore[return-value]


def _decode_array(content: Any, depth: int) -> np.ndarray:
    kind, shape, values = _block(content, "array", depth)
    _want(_ARRAY.fullmatch(kind), "type of an array", kind)
    return _numbers(values, np.dtype(kind), "array").reshape(shape)


def _decode_tensor(content: Any, depth: int) -> Tensor:
    kind, shape, values = _block(content, "tensor", depth)
    dtype = _decode_dtype(kind, depth)
    wanted = float if dtype.is_floating_point else bool if dtype == torch.bool else int
    _want(all(type(value) is wanted for value in values), "tensor", values)
    try:
        return torch.tensor(values, dtype=dtype).reshape(shape)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise SavedModelError(f"its tensor of {kind} is damaged") from error


def _block(content: Any, what: str, depth: int) -> tuple[str, list[int], list[Any]]:
    """Return the type, the shape and the values of an array or a tensor."""
    keys = {"dtype", "shape", "values"}
    _want(isinstance(content, dict) and content.keys() == keys, what, content)
    kind, shape, values = content["dtype"], content["shape"], content["values"]
    _want(isinstance(kind, str), f"type of an {what}", kind)
    _want(isinstance(values, list) and isinstance(shape, list), what, content)
    _want(all(type(n) is int and 0 <= n <= _MOST_NUMBERS for n in shape), "shape", shape)
    _want(len(shape) <= 32 and int(np.prod(shape, dtype=float)) == len(values), "shape", shape)
    return kind, shape, [_decode(value, depth) for value in values]


def _decode_class(content: Any, depth: int) -> type[Any]:
    _want(isinstance(content, dict) and content.keys() == {"kind", "name"}, "part", content)
    return _class(content["kind"], content["name"])


def _decode_part(content: Any, depth: int) -> Any:
    keys = {"kind", "name", "params"}
    _want(isinstance(content, dict) and content.keys() == keys, "part", content)
    kind, name, params = content["kind"], content["name"], content["params"]
    _want(isinstance(params, dict), "parameters of a part", params)
    _class(kind, name)
    own = {key: _decode(value, depth) for key, value in params.items()}
    try:
        return registry.create(kind, name, **own)
    except MissingPartError:
        raise
    except Exception as error:  # a part may raise anything at what a file makes of its parameters
        raise SavedModelError(
            f"its part {name!r} of {kind} cannot be made: {type(error).__name__}: {error}"
        ) from error


def _class(kind: Any, name: Any) -> type[Any]:
    _want(isinstance(kind, str) and kind in registry.KINDS, "kind of part", kind)
    _want(isinstance(name, str), "name of a part", name)
    try:
        return registry.get(kind, name)
    except (UnknownPartError, PluginError) as error:
        raise MissingPartError(str(error)) from error


_READERS: dict[str, Callable[[Any, int], Any]] = {
    "$array": _decode_array,
    "$bytes": _decode_bytes,
    "$class": _decode_class,
    "$device": _decode_device,
    "$dict": _decode_dict,
    "$dtype": _decode_dtype,
    "$float": _decode_float,
    "$part": _decode_part,
    "$path": _decode_path,
    "$tensor": _decode_tensor,
    "$tuple": _decode_tuple,
}


def _numbers(values: list[Any], dtype: np.dtype[Any], what: str) -> np.ndarray:
    """Return plain numbers as an array, each as exactly as its type holds them."""
    wanted = {"b": bool, "i": int, "u": int, "f": float}[dtype.kind]
    _want(all(type(value) is wanted for value in values), what, values)
    try:
        with np.errstate(over="raise"):
            return np.array(values, dtype=dtype)
    except (OverflowError, FloatingPointError) as error:
        raise SavedModelError(f"its {what} are too large for {dtype}") from error


def _want(holds: object, what: str, found: Any) -> None:
    if not holds:
        raise SavedModelError(f"its {what} cannot be {_short(found)}")


def _short(found: Any) -> str:
    text = repr(found) if isinstance(found, str | int | float | None) else type(found).__name__
    return text if len(text) <= 60 else text[:57] + "…"
