"""The callbacks of one run: each called at its moments, and what follows from their answers."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from siamesekit import registry
from siamesekit.errors import InvalidParameterError
from siamesekit.training.callbacks import (
    Callback,
    EpochFunction,
    Record,
    check_callbacks,
    is_class_of_callback,
)
from siamesekit.training.distributed import Team, alone, by_the_first
from siamesekit.training.history import History
from siamesekit.training.line import TrainingLine

__all__ = ["Listeners"]


class Listeners:
    """The callbacks of one run.

    Plain functions are called by every process, before the others; `Callback` objects by the first
    process alone, whose answer holds for all.

    Parameters
    ----------
    callbacks : sequence of callable, Callback or str
    team : Team or None

    Raises
    ------
    InvalidParameterError, UnknownPartError
        If one of them is no callback.
    """

    def __init__(self, callbacks: Sequence[Any], team: Team | None) -> None:
        check_callbacks("callbacks", callbacks)
        made = [_made(callback) for callback in callbacks]
        self._objects: list[Callback] = [c for c in made if isinstance(c, Callback)]
        self._functions: list[EpochFunction] = [c for c in made if not isinstance(c, Callback)]
        self._team = team

    def start(self, record: Callable[[], Record]) -> bool:
        """Say that training begins; return whether it is to end at once."""
        return by_the_first(self._team, lambda: self._asked("on_start", record))

    def epoch(self, line: TrainingLine, history: History, record: Callable[[], Record]) -> bool:
        """Tell of an epoch; return whether training is to end."""
        with alone():
            for call in self._functions:
                call(line, history)
        return by_the_first(self._team, lambda: self._asked("on_epoch", record))

    def end(self, record: Callable[[], Record]) -> None:
        """Say that training is over."""
        by_the_first(self._team, lambda: self._asked("on_end", record))

    def _asked(self, moment: str, record: Callable[[], Record]) -> bool:
        if not self._objects:
            return False
        answers, now = [], record()
        with alone():
            for callback in tuple(self._objects):
                try:
                    answers.append(_answer(callback, moment, now))
                except Exception as error:
                    if moment == "on_start":
                        raise  # nothing is lost by it yet
                    self._objects.remove(callback)
                    _warn(callback, moment, now, error)
        return any(answers)


def _answer(callback: Callback, moment: str, record: Record) -> bool:
    answer: object = getattr(callback, moment)(record)
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise InvalidParameterError(
            f"{moment} must return True to end training, or False or None; got {answer!r}."
        )
    return bool(answer)


def _warn(callback: Callback, moment: str, record: Record, error: Exception) -> None:
    warnings.warn(
        f"{type(callback).__name__}.{moment} failed in epoch {record.epoch} and is not called "
        f"again; training is not ended by it. {type(error).__name__}: {error}",
        stacklevel=2,
    )


def _made(callback: Any) -> Any:
    if isinstance(callback, str):
        return registry.create("callbacks", callback)
    return callback() if is_class_of_callback(callback) else callback
