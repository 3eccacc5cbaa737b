"""How long and how to train."""

from collections.abc import Callable
from dataclasses import dataclass

from siamesekit._checks import check_all
from siamesekit.training._constraints import PLAN
from siamesekit.training.line import TrainingLine
from siamesekit.training.optimisation import OptimizerSpec, ScheduleSpec

__all__ = ["Plan", "Validate"]

Validate = Callable[[TrainingLine], float]
"""Gets the line in ``eval()`` mode; returns a score, higher = better."""


@dataclass(frozen=True)
class Plan:
    """How long and how to train.

    Parameters
    ----------
    max_epochs : int
        0 trains nothing: the line is used as it is.
    learning_rate, weight_decay : float
    optimizer, schedule : str or callable
        See `make_optimizer` and `make_schedule`.
    averaging : float or None
        Decay a step of an exponential moving average of the weights, in (0, 1); the averaged
        weights are those validated and returned. None returns the last ones.
    patience : int or None
        Stop after so many epochs in a row without a better validation score.
    verbose : bool
        Show on stderr how far training has come; of several processes, in the first alone.
    chunk_size : int or None
        Items that the backbone embeds at once in a step. The gradient is that of the whole batch
        all the same, with the memory of a chunk and about a third more time; None embeds the batch
        as a whole. See `siamesekit.training.chunked.BatchPass`.
    compile : bool
        Compile backbone and head by ``torch.compile`` as long as training lasts; where that
        cannot be, training goes on without, with a warning. See
        `siamesekit.training.compiling.compiled`.
    """

    max_epochs: int = 20
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: OptimizerSpec = "adam"
    schedule: ScheduleSpec = "cosine"
    averaging: float | None = None
    patience: int | None = None
    verbose: bool = False
    chunk_size: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        check_all(PLAN, vars(self))
