"""A folder of one json file, some safetensors files and a card, whole at every moment.

Tensors are written first, under names that the folder's model.json does not use; then one
``os.replace`` of model.json takes the folder from the old model to the new one; then files that
nothing refers to any more are removed. Whatever else lies in the folder stays there.

model.json begins with the sha256 of all that follows it, and names each other file with its size
and sha256: no byte of a saved model can change unnoticed.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from
from safetensors.torch import save as bytes_from
from torch import Tensor

from siamesekit._files import (
    alone_in,
    is_stale,
    mode_of,
    open_regular,
    read_bounded,
    sync_folder,
    write_whole,
)
from siamesekit.errors import InvalidParameterError, ModelNotWrittenError, SavedModelError
from siamesekit.estimators._card import is_own

__all__ = ["CARD", "DESCRIPTION", "FORMAT", "Files", "opened", "write"]

FORMAT = 2
"""Version of what a folder holds; 1 had no checksum over the description."""
DESCRIPTION = "model.json"
CARD = "README.md"
_MOST_CARD = 2**22

# A description holds labels and numbers, no weights: a gallery of millions fits.
_MOST_TEXT = 2**28
_HEAD = re.compile(rb'\{\n "sha256": "([0-9a-f]{64})",\n')
_TENSORS = re.compile(r"([a-z_]+)(-[0-9a-f]{16})?\.safetensors")
_PARTIAL = re.compile(r"\.siamesekit-[0-9a-f]{16}\.partial")
# Metadata by which a file of tensors is known as written here, whatever it is called.
_MARK = "siamesekit"
# A file's header says no more than names, types and shapes.
_MOST_HEADER = 2**26
# Times that a reader starts anew because a writer came between.
_TRIES = 200


class Files(NamedTuple):
    """The open files of one saved model.

    Attributes
    ----------
    description : dict
        As `write` was given it, and ``format``, ``siamesekit`` and ``torch``.
    handles : dict from stem to file
    entries : dict from stem to dict
        Recorded ``sha256`` and, from format 2 on, ``bytes``.
    """

    description: dict[str, Any]
    handles: dict[str, BinaryIO]
    entries: dict[str, dict[str, Any]]

    def size(self, stem: str) -> int:
        """Return the number of bytes in a file."""
        return os.fstat(self.handles[stem].fileno()).st_size

    def tensors(self, stem: str, most: int) -> dict[str, Tensor]:
        """Return the tensors of a file, once it was found to be what was saved.

        Parameters
        ----------
        stem : str
        most : int
            Bytes beyond which the file is not even read.

        Raises
        ------
        SavedModelError
            If the file is damaged, or larger.
        """
        handle, entry = self.handles[stem], self.entries[stem]
        name, size = f"{stem}.safetensors", self.size(stem)
        if size > most:
            raise SavedModelError(f"{name} holds {size:,} bytes; the model needs fewer")
        data = handle.read(size + 1)
        # The very bytes that are checked are those that are used.
        if entry.get("bytes", size) != size or _digest(data) != entry["sha256"]:
            raise SavedModelError(f"{name} is damaged or truncated: its sha256 has changed")
        try:
            tensors: dict[str, Tensor] = tensors_from(data)
        except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise SavedModelError(f"{name} holds no tensors: {error}") from error
        return tensors


# -- writing ----------------------------------------------------------------------------------


def write(
    path: Path,
    description: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
    card: str,
) -> None:
    """Write a model so that the folder holds at every moment the old one or the new, and whole.

    Parameters
    ----------
    path : Path
        New, an empty folder, or one that holds a model; a link to a folder stays one.
    description : mapping
        What json can hold.
    tensors : mapping from file stem to mapping from name to Tensor
    card : str
        Text beside the model. It is written last, and not in the place of what another hand wrote;
        that it could not be is a warning.

    Raises
    ------
    InvalidParameterError
        If `path` holds something else; nothing is then changed.
    ModelNotWrittenError
        If the disk is full, the folder may not be written to, or another process has been writing
        to it for a minute. What was saved before is as it was.
    """
    try:
        folder = Path(os.path.realpath(path))
        _refuse_foreign(folder, path)
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with alone_in(folder) as alone:
                _refuse_foreign(folder, path)  # now that nobody else writes
                _write_in(folder, description, tensors, alone)
                _write_card(folder, card)
        except BaseException:
            if is_new:
                with suppress(OSError):
                    folder.rmdir()
            raise
    except OSError as error:
        raise ModelNotWrittenError(
            error.errno, f"{path} cannot be written, what was saved before is kept: {error}"
        ) from error


def _write_in(
    folder: Path,
    description: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
    alone: bool,
) -> None:
    mode = mode_of(folder / DESCRIPTION)
    used = _referred_to(folder)
    _sweep(folder, used, alone)
    files = {}
    for stem, group in tensors.items():
        data = _serialized(stem, group)
        digest = _digest(data)
        name = f"{stem}.safetensors"
        if not alone or name in used or (folder / name).exists():
            name = f"{stem}-{digest[:16]}.safetensors"
        write_whole(folder / name, data, mode, _MARK)
        files[stem] = {"file": name, "bytes": len(data), "sha256": digest}
    body = {"format": FORMAT, **description, "files": files}
    text = json.dumps(body, indent=1, allow_nan=False).encode("ascii")[2:] + b"\n"
    head = f'{{\n "sha256": "{_digest(text)}",\n'.encode("ascii")
    sync_folder(folder)
    write_whole(folder / DESCRIPTION, head + text, mode, _MARK)
    sync_folder(folder)
    sync_folder(folder.parent)
    now = {str(entry["file"]) for entry in files.values()}
    for name in used - now:
        with suppress(OSError):
            os.unlink(folder / name)
    _sweep(folder, now, alone)


def _write_card(folder: Path, card: str) -> None:
    file, mode = folder / CARD, mode_of(folder / DESCRIPTION)
    try:
        if os.path.lexists(file) and not is_own(read_bounded(file, _MOST_CARD).decode()):
            said = "was written or changed by hand, and stays as it is; `card` has the new one"
        else:
            write_whole(file, card.encode(), mode, _MARK)
            return
    except (OSError, UnicodeDecodeError) as error:  # the model is whole without it
        said = f"cannot be written, the model was: {error}"
    warnings.warn(f"{file} {said}.", stacklevel=4)


def _serialized(stem: str, tensors: Mapping[str, Tensor]) -> bytes:
    # A tensor that shares memory with another (tied weights, views) is written as its own.
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        shares = place in seen or own.untyped_storage().nbytes() != own.nbytes
        plain[name] = own.clone() if shares else own
        seen.add(place)
    try:
        data: bytes = bytes_from(plain, metadata={_MARK: stem})
    except (SafetensorError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise InvalidParameterError(
            f"{stem} must be dense tensors to be saved: {error}."
        ) from error
    return data


def _refuse_foreign(folder: Path, path: Path) -> None:
    """Raise an error unless the folder is new, empty but for what a killed save left, or ours."""
    what = "is a file"
    if folder.is_dir() or not os.path.lexists(folder):
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        foreign = [name for name in names if not _is_own(folder / name)]
        if not foreign or _is_model(folder / DESCRIPTION):
            return
        what = f"holds {foreign[0]!r} and no saved model"
    raise InvalidParameterError(
        f"path must be new, an empty folder or one saved before; {path} is neither: it {what}."
    )


def _is_model(file: Path) -> bool:
    """Return whether a file is a description that `write` made, of whatever version."""
    try:
        found = json.loads(_read_text(file))
    except (OSError, ValueError, RecursionError, SavedModelError):
        return False
    keys = {"format", "estimator", "params", "fitted", "sha256"}
    return isinstance(found, dict) and keys <= found.keys() and type(found["format"]) is int


def _is_own(file: Path) -> bool:
    """Return whether a file was written here: by its name, and by the mark inside."""
    if _PARTIAL.fullmatch(file.name):
        return True
    named = _TENSORS.fullmatch(file.name)
    return named is not None and _mark_in(file) == named[1]


def _mark_in(file: Path) -> Any:
    try:
        with open_regular(file) as handle:
            size = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(size)) if size <= _MOST_HEADER else {}
        return header["__metadata__"][_MARK]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _referred_to(folder: Path) -> set[str]:
    """Return the names of the files that the folder's description refers to."""
    try:
        found = json.loads(_read_text(folder / DESCRIPTION))
        if found["format"] == 1:
            return {name for name in found["sha256"] if _TENSORS.fullmatch(name)}
        names = {entry["file"] for entry in found["files"].values()}
        return {name for name in names if _TENSORS.fullmatch(name)}
    except (SavedModelError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return set()


def _sweep(folder: Path, used: set[str], alone: bool) -> None:
    """Remove what earlier saves left: files of our own naming that nothing refers to."""
    for name in os.listdir(folder):
        file = folder / name
        if name in used or not _is_own(file):
            continue
        with suppress(OSError):
            if alone or is_stale(file):
                os.unlink(file)


# -- reading ----------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[Files]:
    """Open a saved model: its description, read and checked, and its other files.

    A writer may come between; then the newer model is opened, as a whole.

    Raises
    ------
    SavedModelError
        If there is none, a file is missing, the description is damaged, or it is of a newer
        version.
    """
    text = b""
    for _ in range(_TRIES):
        before, text = text, _read_text(path / DESCRIPTION)
        description = _parsed(text)
        entries = _entries(description)
        with ExitStack() as stack:
            try:
                handles = {
                    stem: stack.enter_context(open_regular(path / entry["file"]))
                    for stem, entry in entries.items()
                }
            except OSError as error:
                if text == before:
                    raise SavedModelError(f"it is incomplete: {error}") from error
                continue
            # Names are used again: a file may be the next model's, but then that one is here.
            if _read_text(path / DESCRIPTION) == text:
                yield Files(description, handles, entries)
                return
    raise SavedModelError("it is written to again and again")


def _read_text(file: Path) -> bytes:
    try:
        with open_regular(file) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > _MOST_TEXT:
                raise SavedModelError(f"{file.name} is damaged: it holds {size:,} bytes")
            return handle.read(_MOST_TEXT)
    except FileNotFoundError as error:
        raise SavedModelError(f"it holds no saved model: {file.name} is missing") from error
    except OSError as error:
        raise SavedModelError(f"{file.name} cannot be read: {error}") from error


def _parsed(text: bytes) -> dict[str, Any]:
    """Return the description, once no byte of it was found to have changed."""
    try:
        found: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SavedModelError(f"{DESCRIPTION} is damaged: {error}") from error
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is not int or version < 1:
        raise SavedModelError(f"{DESCRIPTION} describes no saved model")
    if version > FORMAT:
        raise SavedModelError(
            f"it was saved in format {version} by siamesekit {found.get('siamesekit')}; this "
            f"version reads formats up to {FORMAT}: install a newer one"
        )
    if version > 1:
        head = _HEAD.match(text)
        if head is None or head[1].decode() != _digest(text[head.end() :]):
            raise SavedModelError(f"{DESCRIPTION} was changed after it was saved")
    return found


def _entries(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the other files by stem: names in the folder itself, with what is known of each."""
    files: dict[str, dict[str, Any]] = description.get("files", {})
    if description["format"] == 1:
        digests = description.get("sha256")
        listed = digests.items() if isinstance(digests, dict) else ()
        files = {
            name.removesuffix(".safetensors"): {"file": name, "sha256": digest}
            for name, digest in listed
        }
    whole = (
        isinstance(files, dict)
        and bool(files)
        and all(
            isinstance(entry, dict)
            and isinstance(entry.get("file"), str)
            and _TENSORS.fullmatch(entry["file"])
            and isinstance(entry.get("sha256"), str)
            for entry in files.values()
        )
    )
    if not whole:
        raise SavedModelError(f"{DESCRIPTION} names files that no saved model has")
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
