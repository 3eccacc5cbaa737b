"""A fitted estimator as a folder: one json file and two safetensors files, no pickle."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from siamesekit import data, registry
from siamesekit._params import Part
from siamesekit.errors import InvalidParameterError, SavedModelError

__all__ = [
    "FORMAT",
    "decode_labels",
    "decode_spec",
    "encode_labels",
    "encode_spec",
    "read",
    "write",
]

FORMAT = 1
_DESCRIPTION = "model.json"


def write(
    path: Path, description: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Write a folder so that `path` is at every moment the old one or the new, and whole.

    Parameters
    ----------
    path : Path
    description : mapping
        What json can hold.
    tensors : mapping from file stem to mapping from name to Tensor
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (path / _DESCRIPTION).is_file():
        raise InvalidParameterError(
            f"path must be new or a folder saved before; {path} exists and is neither."
        )
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        digests = {}
        for stem, group in tensors.items():
            file = fresh / f"{stem}.safetensors"
            save_file({name: t.detach().cpu().contiguous() for name, t in group.items()}, file)
            file.chmod(0o644)  # safetensors makes files that only their owner can read
            digests[file.name] = _digest(file)
        text = json.dumps({"format": FORMAT, **description, "sha256": digests}, indent=1)
        (fresh / _DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        os.chmod(fresh, 0o755)
        _swap(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Return the description and the tensors of a folder that `write` made.

    Raises
    ------
    SavedModelError
        If a file is missing, damaged, truncated, or of another format version.
    """
    try:
        description: dict[str, Any] = json.loads((path / _DESCRIPTION).read_text("utf-8"))
    except FileNotFoundError as error:
        raise SavedModelError(f"{path} holds no saved model: {_DESCRIPTION} is missing.") from error
    except (OSError, ValueError) as error:
        raise SavedModelError(f"{path / _DESCRIPTION} is damaged: {error}") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise SavedModelError(
            f"{path} was saved in format {found!r}; this version of siamesekit reads {FORMAT}."
        )
    tensors = {}
    for name, digest in description["sha256"].items():
        file = path / name
        if not file.is_file():
            raise SavedModelError(f"{path} is incomplete: {name} is missing.")
        if _digest(file) != digest:
            raise SavedModelError(f"{file} is damaged or truncated: its sha256 has changed.")
        tensors[file.stem] = load_file(file)
    return description, tensors


def encode_spec(kind: str | None, spec: object) -> Any:
    """Return what json can hold of an estimator's argument.

    Parts become their name and parameters. What has no name in the registry is recorded by its
    class, and must be given again to load.
    """
    if isinstance(spec, type) and kind is not None:
        return encode_spec(kind, spec())
    try:
        return _encode_part(kind, spec) or {"value": _plain(spec)}
    except TypeError:
        return {"given": f"{type(spec).__module__}.{type(spec).__qualname__}"}


def _encode_part(kind: str | None, spec: object) -> dict[str, Any] | None:
    """Return the name and the parameters of a part or an augmentation; None of anything else."""
    name = None if kind is None else registry.name_of(kind, spec)
    if name is not None:
        entry = {"part": name}
    elif getattr(data, type(spec).__name__, None) is type(spec):
        entry = {"augmentation": type(spec).__name__}
    else:
        return None
    assert isinstance(spec, Part)
    return entry | {"params": {k: _plain(v) for k, v in spec.get_params(deep=False).items()}}


def decode_spec(argument: str, kind: str | None, entry: Mapping[str, Any]) -> Any:
    """Return the argument that `encode_spec` recorded."""
    if "value" in entry:
        return _tuples(entry["value"])
    params = {key: _tuples(value) for key, value in entry.get("params", {}).items()}
    if "part" in entry and kind is not None:
        return registry.create(kind, entry["part"], **params)
    if entry.get("augmentation") in data.__all__:
        return getattr(data, entry["augmentation"])(**params)
    raise SavedModelError(
        f"{argument} was saved as a {entry['given']}, which has no name in the registry; "
        f"pass it as load(path, {argument}=...)."
    )


def encode_labels(labels: np.ndarray) -> dict[str, Any]:
    """Return class labels as json can hold them.

    Raises
    ------
    InvalidParameterError
        If they are neither numbers, booleans nor strings.
    """
    values = labels.tolist()
    for value in values:
        if not isinstance(value, str | int | float | bool):
            raise InvalidParameterError(
                f"y must hold numbers, booleans or strings to be saved; got the label {value!r}."
            )
    return {"dtype": labels.dtype.str, "values": values}


def decode_labels(entry: Mapping[str, Any]) -> np.ndarray:
    """Return the labels that `encode_labels` recorded."""
    return np.array(entry["values"], dtype=np.dtype(entry["dtype"]))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    # A part that is a parameter of another, as the network of `TurnedNet`.
    for kind in registry.KINDS if isinstance(value, Part) else ():
        entry = _encode_part(kind, value)
        if entry is not None and "part" in entry:
            return {"kind": kind, **entry}
    raise TypeError(f"json cannot hold {value!r}")


def _tuples(value: Any) -> Any:
    """Return what `_plain` recorded: lists as tuples, and parts as parts."""
    if isinstance(value, Mapping):
        return decode_spec("params", value["kind"], value)
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _swap(fresh: Path, path: Path) -> None:
    if not path.exists():
        os.rename(fresh, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent)) / path.name
    os.rename(path, old)
    try:
        os.rename(fresh, path)
    except OSError:
        os.rename(old, path)
        raise
    shutil.rmtree(old.parent)
