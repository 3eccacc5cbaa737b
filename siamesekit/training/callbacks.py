"""What is told of training as it goes on, and may end it: the contract."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from siamesekit import registry
from siamesekit._checks import check_callable, shown
from siamesekit._params import Part
from siamesekit.errors import InvalidParameterError
from siamesekit.training.history import History
from siamesekit.training.line import TrainingLine

__all__ = ["Callback", "EpochFunction", "Record", "check_callbacks"]

EpochFunction = Callable[[TrainingLine, History], None]
"""Called after every epoch, with the line and all numbers so far."""

_WANTED = "(line, history), a Callback, or the name of one"


class Record(NamedTuple):
    """Where training stands: plain numbers and words.

    Attributes
    ----------
    epoch : int
        Epochs trained, those of a run that this one goes on from among them.
    max_epochs : int
    numbers : dict of str to float
        Of the last epoch: ``loss``, ``learning_rate``, ``seconds``, ``validation`` where there is
        one, and what else `siamesekit.training.train` notes; none that is not a number. Empty
        before the first epoch.
    history : History
        All epochs, one column a number: a copy.
    best_epoch : int
        Epoch whose weights are kept for their validation score; 0 where none is.
    seconds : float
        Since training began, in this call.
    validated : bool
        Whether each epoch has a validation score.
    facts : dict of str to int, float, str, bool or None
        What is trained: the parts, the plan, and how many items and weights there are.
    """

    epoch: int
    max_epochs: int
    numbers: dict[str, float]
    history: History
    best_epoch: int
    seconds: float
    validated: bool
    facts: dict[str, int | float | str | bool | None]


class Callback(Part):
    """Base of what is told of training; a subclass overrides what it wants to hear.

    Where several processes train together, the first alone calls it, and what it answers holds for
    all. What `on_start` raises comes out of training, before anything is learned; what the others
    raise is a warning, and the callback is not called again: no log is worth a night's training.

    See Also
    --------
    siamesekit.training.EarlyStopping, siamesekit.training.TimeLimit
    siamesekit.training.TensorBoardLogger, siamesekit.training.MLflowLogger
    siamesekit.training.WandbLogger

    Notes
    -----
    One object may serve many runs, one after the other or at once (``cross_val_score``): what it
    needs to know of a run is in the `Record`, so that a run that goes on from a checkpoint is told
    the same.

    Examples
    --------
    >>> from siamesekit.training import Callback
    >>> class GoodEnough(Callback):
    ...     def on_epoch(self, record):
    ...         return record.numbers["loss"] < 0.01
    """

    def on_start(self, record: Record) -> bool | None:
        """Hear that training begins, or goes on; True ends it before the next epoch.

        It is not called where nothing is left to train.
        """
        return None

    def on_epoch(self, record: Record) -> bool | None:
        """Hear of an epoch; True ends training in good order: what was learned is kept."""
        return None

    def on_end(self, record: Record) -> None:
        """Hear that training has ended, unless by an error."""


def check_callbacks(name: str, value: object) -> None:
    """Raise unless `value` is a sequence of callbacks.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object

    Raises
    ------
    InvalidParameterError
        If it is none.
    UnknownPartError
        If there is no callback of a name in it.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidParameterError(
            f"{name} must be a sequence of callables {_WANTED}; got {shown(value)}."
        )
    for k, callback in enumerate(value):
        if isinstance(callback, str):
            registry.check("callbacks", callback)
        elif not isinstance(callback, Callback) and not is_class_of_callback(callback):
            check_callable(f"{name}[{k}]", callback, _WANTED)


def is_class_of_callback(value: object) -> bool:
    """Return whether a value is a class of callbacks, not yet an object."""
    return isinstance(value, type) and issubclass(value, Callback)
