"""The one training loop."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from siamesekit._checks import check_all
from siamesekit.errors import InvalidParameterError, SavedModelError
from siamesekit.samplers import Sampler
from siamesekit.training._constraints import PLAN
from siamesekit.training.averaging import averaged, weight_average
from siamesekit.training.checkpoint import Checkpoint
from siamesekit.training.drawing import drawing_of
from siamesekit.training.health import HealthMonitor, batch_health
from siamesekit.training.history import EpochMeans, History
from siamesekit.training.items import Augment, draw_batch
from siamesekit.training.line import Charge, TrainingLine
from siamesekit.training.optimisation import (
    OptimizerSpec,
    ScheduleSpec,
    make_optimizer,
    make_schedule,
)

__all__ = ["Callback", "Plan", "Validate", "train"]

Validate = Callable[[TrainingLine], float]
"""Gets the line in ``eval()`` mode; returns a score, higher = better."""

Callback = Callable[[TrainingLine, History], None]
"""Called after every epoch, with the line and all numbers so far."""


@dataclass(frozen=True)
class Plan:
    """How long and how to train.

    Parameters
    ----------
    max_epochs : int
    learning_rate, weight_decay : float
    optimizer, schedule : str or callable
        See `make_optimizer` and `make_schedule`.
    averaging : float or None
        Decay a step of an exponential moving average of the weights, in (0, 1); the averaged
        weights are those validated and returned. None returns the last ones.
    patience : int or None
        Stop after so many epochs in a row without a better validation score.
    verbose : bool
        Show a progress bar.
    """

    max_epochs: int = 20
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: OptimizerSpec = "adam"
    schedule: ScheduleSpec = "cosine"
    averaging: float | None = None
    patience: int | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        check_all(PLAN, vars(self))


def train(
    line: TrainingLine,
    items: Tensor,
    labels: Tensor,
    sampler: Sampler,
    plan: Plan | None = None,
    *,
    augment: Augment | None = None,
    validate: Validate | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Checkpoint | None = None,
    seed: int = 0,
) -> History:
    """Train `line` in place.

    Parameters
    ----------
    line : TrainingLine
        Built, and on the device where it is to train.
    items : Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
        On the line's device, or on the CPU where the device has not the room.
    labels : Tensor of int64, shape (n,)
    sampler : Sampler
        Bound to `labels`.
    plan : Plan, optional
    augment : callable, optional
        Changes a float batch with draws from the generator that it is given.
    validate : callable, optional
        Scores the line after every epoch. The weights of the best epoch are kept (the later of
        equals).
    callbacks : sequence of callable
    checkpoint : Checkpoint, optional
        Written as training goes; where its file exists, training goes on from there.
    seed : int
        Of dropout and augmentation.

    Returns
    -------
    History
        ``loss``, ``seconds``, ``learning_rate``, the numbers of `batch_health` and, where there
        is a `validate`, ``validation``; one number an epoch.

    Raises
    ------
    InvalidParameterError
        If ``plan.patience`` is given without `validate`.
    SavedModelError
        If the checkpoint cannot be read, or is of another line.

    Warns
    -----
    TrainingHealthWarning
        If a loss is not finite, or training collapses.
    """
    plan = plan or Plan()
    if plan.patience is not None and validate is None:
        raise InvalidParameterError("patience needs a validation; got validation=None.")
    run = _Run(line, items, labels, sampler, plan, augment, seed)
    if checkpoint is not None and (state := checkpoint.read()) is not None:
        run.load_state_dict(state, checkpoint)
    with tqdm(
        total=plan.max_epochs, initial=run.history.epochs, disable=not plan.verbose, unit="epoch"
    ) as bar:
        while run.history.epochs < plan.max_epochs and not run.out_of_patience():
            numbers = run.epoch(validate)
            bar.set_postfix(
                {k: f"{numbers[k]:.4g}" for k in ("loss", "validation") if k in numbers}
            )
            bar.update()
            for callback in callbacks:
                callback(line, run.history)
            last = run.history.epochs == plan.max_epochs or run.out_of_patience()
            if checkpoint is not None and checkpoint.due(run.history.epochs, last):
                checkpoint.write(run.state_dict())
    run.finish()
    return run.history


@dataclass
class _Run:
    """State of one call of `train`."""

    line: TrainingLine
    items: Tensor
    labels: Tensor
    sampler: Sampler
    plan: Plan
    augment: Augment | None
    seed: int
    history: History = field(default_factory=History)
    best_score: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        self.device = next(
            (p.device for p in self.line.parameters()), torch.device(self.items.device)
        )
        self.labels = self.labels.to(self.device)
        plan, steps = self.plan, max(1, self.plan.max_epochs * len(self.sampler))
        self.optimizer = make_optimizer(
            plan.optimizer, self.line, plan.learning_rate, plan.weight_decay
        )
        self.schedule = make_schedule(plan.schedule, self.optimizer, steps)
        self.average = None if plan.averaging is None else weight_average(self.line, plan.averaging)
        self.monitor = HealthMonitor(_margin_of(self.line))

    def epoch(self, validate: Validate | None) -> dict[str, float]:
        """Train one epoch, validate, and return its numbers."""
        number = self.history.epochs
        start = time.perf_counter()
        # Each epoch has its own streams, so that a resumed run draws what an unbroken one would.
        stream = (self.seed * 1_000_003 + number) % 2**32
        generator = torch.Generator(self.device).manual_seed(stream)
        means = EpochMeans()
        self.sampler.set_epoch(number)
        self.line.train()
        # Augmentations and layers draw apart, so that one without the other changes nothing there.
        layers = torch.Generator(self.device).manual_seed(stream)
        with drawing_of(layers, self.line, self.line.miner, self.sampler, self.augment):
            for index in self.sampler:
                self._step(index, generator, means)
        numbers = means.read()
        loss = numbers.get("loss", math.nan)
        if numbers:
            self.monitor.check_epoch(loss, numbers)
        numbers["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        if validate is not None:
            numbers["validation"] = self._validate(validate)
        numbers["seconds"] = time.perf_counter() - start
        self.history.append_epoch(numbers)
        if validate is not None:
            self._keep_best(numbers["validation"])
        return numbers

    def _step(self, index: Tensor, generator: torch.Generator, means: EpochMeans) -> None:
        batch = draw_batch(self.items, index.flatten(), self.augment, generator, self.device)
        labels = self.labels[index.flatten().to(self.device)]
        forward = self.line.forward_pairs if index.ndim == 2 else self.line.forward
        charge: Charge = forward(batch, labels)
        self.optimizer.zero_grad(set_to_none=True)
        if self.monitor.check_loss(float(charge.loss.detach())):
            charge.loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            health = batch_health(charge, self.monitor.margin)
            means.add({"loss": charge.loss, **health})
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.line)

    def _validate(self, validate: Validate) -> float:
        self.line.eval()
        with averaged(self.line, self.average):
            return validate(self.line)

    def _keep_best(self, score: float) -> None:
        if score >= self.best_score:
            self.best_score, self.best_epoch = score, self.history.epochs
            self.best_weights = copy.deepcopy(self._final_weights())

    def _final_weights(self) -> dict[str, Tensor]:
        source = self.line if self.average is None else self.average.module
        return source.state_dict()

    def out_of_patience(self) -> bool:
        """Return whether validation has not improved for ``plan.patience`` epochs."""
        patience = self.plan.patience
        return patience is not None and self.history.epochs - self.best_epoch >= patience

    def finish(self) -> None:
        """Leave the best weights, or the averaged ones, in the line, in ``eval()`` mode."""
        weights = self._final_weights() if self.best_weights is None else self.best_weights
        self.line.load_state_dict(weights)
        self.line.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a checkpoint holds."""
        return {
            "line": self.line.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "history": dict(self.history),
            "best": (self.best_score, self.best_epoch, self.best_weights),
            "seed": self.seed,
        }

    def load_state_dict(self, state: dict[str, Any], checkpoint: Checkpoint) -> None:
        """Go on from what `state_dict` returned."""
        if state["seed"] != self.seed:
            raise SavedModelError(
                f"checkpoint {checkpoint.path} was written with seed {state['seed']}; "
                f"this run has seed {self.seed}. Use another path, or the same random_state."
            )
        try:
            self.line.load_state_dict(state["line"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise SavedModelError(
                f"checkpoint {checkpoint.path} is of other parts than these: {error}"
            ) from error
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        self.history = History(state["history"])
        self.best_score, self.best_epoch, self.best_weights = state["best"]


def _margin_of(line: TrainingLine) -> float | None:
    margin = getattr(line.loss, "margin", None)
    on_distances = line.loss.takes == "scores" and line.head.gives == "distance"
    return float(margin) if on_distances and isinstance(margin, int | float) else None
