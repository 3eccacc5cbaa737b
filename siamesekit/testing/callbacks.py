"""What a callback must do."""

import copy
import pickle
from typing import Any

import numpy as np

from siamesekit.testing._findings import Findings
from siamesekit.training import Callback, History, Record

__all__ = ["BASE", "check"]

BASE: Any = Callback

_EPOCHS = 3


def check(part: Any, found: Findings) -> None:
    """Tell a training of some epochs, with validation and without, and again as it goes on.

    Parameters
    ----------
    part : Callback
    found : Findings
        Takes what is missing.
    """
    for validated in (True, False):
        for first in (0, 1):
            if validated or _runs_without(part):
                _tell(part, validated, first, found)
    with found.attempt("pickling it"):
        again = pickle.loads(pickle.dumps(part))
        found.expect(type(again) is type(part), "a pickle of it must be one of its kind")


def _runs_without(part: Any) -> bool:
    """Return whether it takes a training without validation, which it may refuse at the start."""
    try:
        part.on_start(_record(0, validated=False))
    except ValueError:
        return False
    return True


def _tell(part: Any, validated: bool, first: int, found: Findings) -> None:
    moments = [("on_start", first), *(("on_epoch", k) for k in range(first + 1, _EPOCHS + 1))]
    for moment, epoch in [*moments, ("on_end", _EPOCHS)]:
        record = _record(epoch, validated=validated)
        given = copy.deepcopy(record)
        with found.attempt(f"{moment} at epoch {epoch}"):
            answer = getattr(part, moment)(record)
            found.expect(
                answer is None or isinstance(answer, bool | np.bool_),
                f"{moment} must return True, False or None; got {answer!r}",
            )
            found.expect(record == given, f"{moment} must leave the record as it is")


def _record(epoch: int, *, validated: bool) -> Record:
    columns = {
        "loss": [1.0, 0.5, 0.4][:epoch],
        "learning_rate": [0.01] * epoch,
        "seconds": [0.1] * epoch,
    }
    if validated:
        columns["validation"] = [0.5, 0.7, 0.6][:epoch]
    return Record(
        epoch=epoch,
        max_epochs=_EPOCHS,
        numbers={name: column[-1] for name, column in columns.items() if column},
        history=History(columns),
        best_epoch=min(epoch, 2) if validated else 0,
        seconds=0.1 * epoch,
        validated=validated,
        facts={"backbone": "MLP()", "n_items": 32, "chunk_size": None},
    )
