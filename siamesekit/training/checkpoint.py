"""Checkpoints from which training goes on as if it had never stopped."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siamesekit._checks import check_integer, check_path
from siamesekit.errors import (
    CheckpointMismatchError,
    SavedModelError,
    SiamesekitError,
)
from siamesekit.training.packing import pack, unpack

__all__ = ["Checkpoint", "RunFile"]

_ENDING = ".ckpt"


class Checkpoint:
    """Writes the state of training every few epochs, and reads it again.

    Parameters
    ----------
    path : path-like
        A folder has a file for each run, named by what the run is made of, so that one path serves
        cross-validation and searches; a run that is there already is not trained again. A file
        belongs to one run, which may be given more epochs, and refuses any other. A path where
        there is nothing yet is a folder if it has no suffix, and a file (``"run.ckpt"``) if it has.
    every : int
        Epochs between writings; the last epoch is always written.

    Raises
    ------
    InvalidParameterError
        If `path` is no path or `every` no integer of at least 1.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path = check_path("checkpoint", path)
        self.every = check_integer("every", every, low=1)
        self._ends_as_folder = os.fspath(path).endswith(("/", os.sep))

    def of_run(self, marks: dict[str, str], max_epochs: int) -> "RunFile":
        """Return the file of one run.

        Parameters
        ----------
        marks : dict of str
            As `siamesekit.training.fingerprint.fingerprint` returns them.
        max_epochs : int
        """
        is_folder = self.path.is_dir() or (
            not self.path.exists() and (self._ends_as_folder or not self.path.suffix)
        )
        path = self.path
        if is_folder:
            whole = "\n".join([*(f"{k} {v}" for k, v in sorted(marks.items())), str(max_epochs)])
            name = hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
            path = self.path / f"{name}{_ENDING}"
        return RunFile(path, self.every, marks, max_epochs)


class RunFile:
    """The checkpoint file of one run.

    Parameters
    ----------
    path : Path
    every : int
    marks : dict of str
    max_epochs : int
    """

    def __init__(self, path: Path, every: int, marks: dict[str, str], max_epochs: int) -> None:
        self.path = path
        self.every = every
        self.marks = marks
        self.max_epochs = max_epochs

    def due(self, epoch: int, last: bool) -> bool:
        """Return whether to write after `epoch` (counted from 1)."""
        return last or epoch % self.every == 0

    def write(self, state: dict[str, Any]) -> None:
        """Write `state`; the file is whole at every moment, the old one or the new.

        Raises
        ------
        SavedModelError
            If the file cannot be written (no room, no right to): what was there is as it was.
        """
        content = pack({"marks": self.marks, "state": state}, f"checkpoint {self.path}")
        # A link stays a link: what it points to is replaced.
        target = Path(os.path.realpath(self.path))
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_new(partial, content)
            os.replace(partial, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise SavedModelError(
                f"checkpoint {self.path} cannot be written ({error}); what was there is as it was."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()

    def read(self) -> dict[str, Any] | None:
        """Return the state last written, or None where there is no file yet.

        Raises
        ------
        SavedModelError
            If the file is damaged or of another format.
        CheckpointMismatchError
            If it is of another run.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SavedModelError(f"checkpoint {self.path} cannot be read: {error}") from error
        with self.explaining():
            written = unpack(content)
            marks, state = dict(written["marks"]), dict(written["state"])
            done = max(map(len, state["history"].values()))
        differing = sorted(
            name for name in marks | self.marks if marks.get(name) != self.marks.get(name)
        )
        if done > self.max_epochs:
            differing.append(f"max_epochs ({done} are trained, {self.max_epochs} asked for)")
        if differing:
            raise CheckpointMismatchError(
                f"checkpoint {self.path} is of another run: it differs in {', '.join(differing)}. "
                "Give another file, or a folder, which has a file for each run."
            )
        return state

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Run a block; let all that goes wrong in it be an error that names the file."""
        try:
            yield
        except SiamesekitError:
            raise
        except Exception as error:
            raise SavedModelError(
                f"checkpoint {self.path} cannot be read; it is damaged or not a checkpoint of this "
                f"version ({error})."
            ) from error


def _write_new(path: Path, content: bytes) -> None:
    # O_EXCL follows no link and takes no file of another; the mode leaves the rest to the umask.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere folders cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
