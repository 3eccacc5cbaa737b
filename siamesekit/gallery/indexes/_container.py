"""The file of an index: tensors, strict json about them, and a checksum over both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from siamesekit.errors import SavedModelError

__all__ = ["pack", "unpack"]

_FORMAT = 1
_DIGEST = 32


def pack(kind: str, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return one file's content of arrays and what json can hold.

    Parameters
    ----------
    kind : str
        Name of the index, without which the file is not read again.
    facts : mapping
    arrays : mapping of ndarray
    """
    header = json.dumps({"format": _FORMAT, "kind": kind, **facts}, allow_nan=False)
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    body = save(tensors, metadata={"index": header})
    return hashlib.sha256(body).digest() + body


def unpack(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return facts and arrays of a file that holds what `pack` made.

    Raises
    ------
    SavedModelError
        If the file is damaged, or of another kind of index.
    """
    content = path.read_bytes()
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise SavedModelError(f"{path} is damaged, or no file of an index.")
    try:
        size = int.from_bytes(body[:8], "little")
        facts = json.loads(json.loads(body[8 : 8 + size])["__metadata__"]["index"])
        arrays = load(body)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise SavedModelError(f"{path} is no file of an index: {error}") from error
    if facts.get("format") != _FORMAT or facts.get("kind") != kind:
        raise SavedModelError(
            f"{path} holds an index {facts.get('kind')!r} of format {facts.get('format')!r}; "
            f"wanted {kind!r} of format {_FORMAT}."
        )
    return facts, arrays
