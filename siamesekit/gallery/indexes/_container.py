"""The file of an index or a gallery: tensors, strict json about them, and a checksum over both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from siamesekit._files import open_regular
from siamesekit.errors import SavedModelError

__all__ = ["Content", "content_of", "pack", "unpack"]

_FORMAT = 1
_DIGEST = 32
# A header says names, types and shapes, and a few facts.
_MOST_HEADER = 2**26


class Content(NamedTuple):
    """What a file says of itself.

    Attributes
    ----------
    kind : str
    digest : bytes
        Of all else in the file: what was written later has another one.
    """

    kind: str
    digest: bytes


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


def unpack(
    path: Path, kind: str, what: str = "an index"
) -> tuple[dict[str, Any], dict[str, np.ndarray], bytes]:
    """Return facts, arrays and the digest of a file that holds what `pack` made.

    Parameters
    ----------
    path : Path
    kind : str
    what : str
        What the file is to be, for an error.

    Raises
    ------
    SavedModelError
        If the file cannot be read, is damaged, or is of another kind.
    """
    try:
        with open_regular(path) as file:
            digest, body = file.read(_DIGEST), file.read()
    except OSError as error:
        raise SavedModelError(f"{path} cannot be read: {error}.") from error
    if hashlib.sha256(body).digest() != digest:
        raise SavedModelError(f"{path} is damaged, or no file of {what}.")
    try:
        size = int.from_bytes(body[:8], "little")
        facts = _facts(body[8 : 8 + size])
        arrays = load(body)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SavedModelError(f"{path} is no file of {what}: {error}") from error
    if facts.get("format") != _FORMAT or facts.get("kind") != kind:
        raise SavedModelError(
            f"{path} holds {facts.get('kind')!r} of format {facts.get('format')!r}; "
            f"wanted {kind!r} of format {_FORMAT}."
        )
    return facts, arrays, digest


def content_of(path: Path) -> Content | None:
    """Return what a file says of itself, which is not checked; None if `pack` did not make it.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open_regular(path) as file:
        digest, size = file.read(_DIGEST), int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= _MOST_HEADER else b""
    try:
        return Content(str(_facts(header)["kind"]), digest)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _facts(header: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(json.loads(header)["__metadata__"]["index"])
    return facts
