"""Folders of runs that know whose they are, and refuse to go on, or to sign, as another's."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from siamesekit._checks import check_path, shown
from siamesekit._files import read_bounded, write_whole
from siamesekit.errors import RunMismatchError, SavedModelError
from siamesekit.evaluation._facts import json_of

__all__ = ["claim_folder", "read_json", "recorded_parameters", "write_json"]

RECORD = "run.json"
_LARGEST = 2**26


def claim_folder(folder: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Make a folder that of one run, or go on in it if it is that run's already.

    The record is written before anything else is, and compared before anything else is read.

    Parameters
    ----------
    folder : path-like
        Absent, empty, or of an earlier call.
    record : mapping
        All that makes the run: the command's arguments, the parameters of the estimator, a digest
        of the data, the commit. Of what json can hold.

    Raises
    ------
    RunMismatchError
        If the folder is of another run: what differs is named, with both values.
    SavedModelError
        If its record is damaged.
    """
    place = check_path("folder", folder)
    own = json.loads(json.dumps(json_of(record)))
    place.mkdir(parents=True, exist_ok=True)
    if not (place / RECORD).exists():
        others = sorted(path.name for path in place.iterdir() if not path.name.startswith("."))
        if others:
            raise RunMismatchError(
                f"{place} holds {', '.join(others[:5])} but no {RECORD} that says whose they are; "
                "give another folder, or empty this one."
            )
        write_json(place / RECORD, own)
        return
    there = read_json(place / RECORD)
    if there != own:
        raise RunMismatchError(
            f"{place} is of another run: {_differences(there, own)}. Give another folder, or the "
            "arguments of that run."
        )


def recorded_parameters(estimator: Any) -> dict[str, Any]:
    """Return all parameters of an estimator, and of the parts in it, as json can hold them."""
    parameters: dict[str, Any] = json_of(estimator.get_params())
    return parameters


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object that a file of strict json holds.

    Raises
    ------
    SavedModelError
        If it cannot be read, is no whole json or no object.
    """
    try:
        content = json.loads(read_bounded(path, _LARGEST), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise SavedModelError(f"{path} cannot be read as json: {error}") from error
    if not isinstance(content, dict):
        raise SavedModelError(f"{path} must hold a json object; got {shown(content)}.")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict json, whole or not at all; a number that is not finite becomes its name.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = json.dumps(json_of(content), indent=1, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def _differences(there: Any, own: Any) -> str:
    """Return what differs between two records, the first few by name."""
    theirs, ours = dict(_leaves(there)), dict(_leaves(own))
    names = sorted(theirs.keys() | ours.keys())
    differ = [name for name in names if theirs.get(name, "absent") != ours.get(name, "absent")]
    said = [
        f"{name} is {shown(theirs.get(name, 'absent'))} there, {shown(ours.get(name, 'absent'))} "
        "here"
        for name in differ[:5]
    ]
    return "; ".join(said) + (f"; and {len(differ) - 5} more" if len(differ) > 5 else "")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values in nested mappings, by the path that leads to them."""
    if not isinstance(value, Mapping):
        yield name or "record", value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _no_constant(name: str) -> Any:
    raise ValueError(f"strict json has no {name}")
