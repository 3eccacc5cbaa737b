"""Checkpoints from which training goes on as if it had never stopped."""

import os
from pathlib import Path
from typing import Any

import torch

from siamesekit.errors import SavedModelError

__all__ = ["Checkpoint"]

_FORMAT = 1


class Checkpoint:
    """Writes the state of training to one file every few epochs, and reads it again.

    Parameters
    ----------
    path : path-like
        The file. If it exists when training starts, training goes on from it.
    every : int
        Epochs between writings; the last epoch is always written.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path = Path(path)
        self.every = every

    def due(self, epoch: int, last: bool) -> bool:
        """Return whether to write after `epoch` (counted from 1)."""
        return last or epoch % self.every == 0

    def write(self, state: dict[str, Any]) -> None:
        """Write `state`; the file is whole at every moment, the old one or the new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")
        torch.save({"format": _FORMAT, **state}, partial)
        os.replace(partial, self.path)

    def read(self) -> dict[str, Any] | None:
        """Return the state last written, or None where there is no file yet.

        Raises
        ------
        SavedModelError
            If the file is damaged or of another format.
        """
        if not self.path.exists():
            return None
        try:
            # weights_only: tensors and plain containers, never code.
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise SavedModelError(f"checkpoint {self.path} cannot be read: {error}") from error
        if state.get("format") != _FORMAT:
            raise SavedModelError(
                f"checkpoint {self.path} has format {state.get('format')!r}; "
                f"this version reads {_FORMAT}."
            )
        return state
