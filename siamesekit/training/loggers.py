"""Callbacks that pass the numbers of each epoch on: to TensorBoard, MLflow, Weights & Biases.

None of these packages is imported: a logger takes any object with the methods that it calls.
"""

import copy
import pickle
import warnings
from abc import abstractmethod
from typing import Any, ClassVar, Self

from siamesekit._checks import check_kind, shown
from siamesekit.errors import InvalidParameterError
from siamesekit.training.callbacks import Callback, Record

__all__ = ["MLflowLogger", "TensorBoardLogger", "WandbLogger"]

# Characters of a parameter: MLflow's own limit was this for long.
_LONGEST = 250


class _Logger(Callback):
    """Base of the loggers: a live writer, which copies share and which no pickle holds."""

    _methods: ClassVar[tuple[str, ...]]

    def __init__(self, writer: Any, prefix: str = "") -> None:
        missing = [name for name in self._methods if not callable(getattr(writer, name, None))]
        if missing and writer is not None:
            raise InvalidParameterError(
                f"writer must have the methods {', '.join(self._methods)}; {shown(writer)} lacks "
                f"{', '.join(missing)}."
            )
        check_kind("prefix", prefix, str)
        self.writer = writer
        self.prefix = prefix

    def on_start(self, record: Record) -> None:
        """Write what is trained, where the writer has a place for it."""
        if self.writer is not None:
            self._write_facts(
                {
                    f"{self.prefix}{name}": fact[:_LONGEST] if isinstance(fact, str) else fact
                    for name, fact in record.facts.items()
                }
            )

    def on_epoch(self, record: Record) -> None:
        """Write the numbers of an epoch."""
        if self.writer is not None:
            self._write({f"{self.prefix}{k}": v for k, v in record.numbers.items()}, record.epoch)

    def on_end(self, record: Record) -> None:
        """Let the writer bring to its file what it still holds, if it can."""
        flush = getattr(self.writer, "flush", None)
        if callable(flush):
            flush()

    @abstractmethod
    def _write(self, numbers: dict[str, float], epoch: int) -> None:
        """Write the numbers of an epoch."""

    def _write_facts(self, facts: dict[str, Any]) -> None:
        """Write what is trained; by default nowhere."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # What a writer holds (threads, a connection, a file) cannot be doubled, nor should it be.
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.writer)
        except Exception as error:
            warnings.warn(
                f"The writer of a {type(self).__name__} cannot be pickled "
                f"({type(error).__name__}: {error}); what comes out of the pickle logs nothing.",
                stacklevel=2,
            )
            return vars(self) | {"writer": None}
        return vars(self)

    def __copy__(self) -> Self:
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(vars(self))
        return fresh


class TensorBoardLogger(_Logger):
    """Write the numbers of each epoch as scalars of TensorBoard.

    Parameters
    ----------
    writer : object or None
        Has ``add_scalar(tag, scalar_value, global_step)``: a
        ``torch.utils.tensorboard.SummaryWriter``, say; closing it is its owner's. None, which a
        logger out of a pickle may have, writes nothing.
    prefix : str
        Before each tag: ``"fold 1/"``.

    Raises
    ------
    InvalidParameterError
        If `writer` has no such method, or `prefix` is no string.

    Examples
    --------
    >>> from torch.utils.tensorboard import SummaryWriter  # doctest: +SKIP
    >>> clf.set_params(callbacks=[TensorBoardLogger(SummaryWriter("runs"))])  # doctest: +SKIP
    """

    _methods = ("add_scalar",)

    def _write(self, numbers: dict[str, float], epoch: int) -> None:
        for tag, number in numbers.items():
            self.writer.add_scalar(tag, number, epoch)


class MLflowLogger(_Logger):
    """Write the numbers of each epoch as metrics of MLflow, and what is trained as parameters.

    Parameters
    ----------
    writer : object or None
        Has ``log_metrics(metrics, step)`` and ``log_params(params)``: the module ``mlflow``, which
        logs to the active run, say. None, which a logger out of a pickle may have, writes nothing.
    prefix : str
        Before each name. Parameters of one run cannot be written twice with other values: give
        each training in it a prefix of its own.

    Raises
    ------
    InvalidParameterError
        If `writer` has no such methods, or `prefix` is no string.

    Examples
    --------
    >>> import mlflow  # doctest: +SKIP
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     clf.set_params(callbacks=[MLflowLogger(mlflow)]).fit(X, y)
    """

    _methods = ("log_metrics", "log_params")

    def _write(self, numbers: dict[str, float], epoch: int) -> None:
        self.writer.log_metrics(numbers, step=epoch)

    def _write_facts(self, facts: dict[str, Any]) -> None:
        self.writer.log_params(facts)


class WandbLogger(_Logger):
    """Write the numbers of each epoch to a run of Weights & Biases, and what is trained to it.

    Parameters
    ----------
    writer : object or None
        Has ``log(data)``: what ``wandb.init()`` returns, say. What is trained goes to its
        ``config``, if it has one. None, which a logger out of a pickle may have, writes nothing.
    prefix : str
        Before each name.

    Raises
    ------
    InvalidParameterError
        If `writer` has no such method, or `prefix` is no string.

    Notes
    -----
    The epoch is one of the numbers, and no step: a run's steps may only go up, whoever counts
    them, and a training that goes on from a checkpoint would be refused.

    Examples
    --------
    >>> import wandb  # doctest: +SKIP
    >>> with wandb.init() as run:  # doctest: +SKIP
    ...     clf.set_params(callbacks=[WandbLogger(run)]).fit(X, y)
    """

    _methods = ("log",)

    def _write(self, numbers: dict[str, float], epoch: int) -> None:
        self.writer.log({f"{self.prefix}epoch": epoch, **numbers})

    def _write_facts(self, facts: dict[str, Any]) -> None:
        config = getattr(self.writer, "config", None)
        if config is not None:
            config.update(facts, allow_val_change=True)
