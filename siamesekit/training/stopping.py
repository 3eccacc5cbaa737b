"""Callbacks that end training early: for want of a gain, or of time."""

import math
from collections.abc import Sequence

from siamesekit._checks import check_choice, check_integer, check_number
from siamesekit.errors import InvalidParameterError
from siamesekit.registry import register
from siamesekit.training.callbacks import Callback, Record

__all__ = ["EarlyStopping", "TimeLimit", "epochs_without_gain"]

# +1: higher is better.
_MONITORS = {"validation": 1.0, "loss": -1.0}


@register("callbacks", "early-stopping")
class EarlyStopping(Callback):
    """End training after so many epochs in a row without a gain.

    Where there is a validation, the weights of its best epoch are kept, whatever is monitored here,
    as they are without this; where there is none, those of the last epoch.
    ``EarlyStopping(patience=5)`` does what the argument ``patience=5`` does.

    Parameters
    ----------
    patience : int
        Epochs without a gain after which training ends, at least 1.
    min_delta : float
        By how much an epoch must be better than the last one that was a gain; at least 0.
    monitor : {"validation", "loss"}
        The validation score (higher is better) or the mean loss of training (lower is).

    Raises
    ------
    InvalidParameterError
        If an argument is not as said; by training, if there is no validation score to monitor.

    See Also
    --------
    siamesekit.training.TimeLimit : end training after a time.

    Notes
    -----
    It remembers nothing: a run that goes on from a checkpoint ends where it would have ended.
    """

    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, monitor: str = "validation"
    ) -> None:
        check_integer("patience", patience, low=1)
        check_number("min_delta", min_delta, low=0.0)
        check_choice("monitor", monitor, _MONITORS)
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor

    def on_start(self, record: Record) -> bool:
        """Return whether a run that goes on has run out of patience already."""
        if self.monitor == "validation" and not record.validated:
            raise InvalidParameterError(
                "EarlyStopping(monitor='validation') needs a validation; got validation=None. "
                "Give one, or monitor='loss'."
            )
        return self.on_epoch(record)

    def on_epoch(self, record: Record) -> bool:
        """Return whether patience has run out."""
        column = record.history.get(self.monitor, [])
        waited = epochs_without_gain(column, self.min_delta, _MONITORS[self.monitor])
        return waited >= self.patience


@register("callbacks", "time-limit")
class TimeLimit(Callback):
    """End training after the epoch in which a time is up.

    What was learned is kept, and a checkpoint is written: the same call again goes on from there,
    for as long again. At least one epoch is trained in each call.

    Parameters
    ----------
    seconds : float
        Of training proper, above 0: reading the data before it, and enrolment and calibration
        after it, are not counted. An hour by default.

    Raises
    ------
    InvalidParameterError
        If `seconds` is no number above 0.

    See Also
    --------
    siamesekit.training.EarlyStopping : end training for want of a gain.

    Notes
    -----
    The learning rate follows the schedule of all `max_epochs`; one that falls to 0 at their end
    has not fallen far when training ends early. With ``schedule="constant"`` and `averaging` a run
    may end anywhere.
    """

    def __init__(self, seconds: float = 3600.0) -> None:
        check_number("seconds", seconds, low=0.0, open_low=True)
        self.seconds = seconds

    def on_epoch(self, record: Record) -> bool:
        """Return whether time is up."""
        return record.seconds >= self.seconds


def epochs_without_gain(column: Sequence[float], min_delta: float = 0.0, sign: float = 1.0) -> int:
    """Return how many epochs have passed since the last gain; all of them, if there was none.

    Parameters
    ----------
    column : sequence of float
        A number of each epoch; one that is NaN is no gain.
    min_delta : float
        What a gain exceeds the one before by.
    sign : float
        1 where higher is better, -1 where lower is.
    """
    best, at = -math.inf, 0
    for epoch, number in enumerate(column, start=1):
        if sign * number > best + min_delta:
            best, at = sign * number, epoch
    return len(column) - at
