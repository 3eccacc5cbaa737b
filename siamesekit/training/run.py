"""The state of one training run, epoch by epoch and step by step."""

import copy
import functools
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from siamesekit._copying import let_go_of_graphs, load_state
from siamesekit._params import in_words
from siamesekit._random import Stream
from siamesekit.errors import InvalidDataError, InvalidParameterError, TrainingDivergedError
from siamesekit.samplers import Sampler
from siamesekit.training._joint_norm import normalising_jointly
from siamesekit.training.averaging import averaged, final_weights, update_average, weight_average
from siamesekit.training.callbacks import Record
from siamesekit.training.chunked import BatchPass
from siamesekit.training.distributed import alone, current
from siamesekit.training.drawing import drawing_of
from siamesekit.training.embedding import embed_items
from siamesekit.training.health import TRY_FINITE, HealthMonitor, batch_health
from siamesekit.training.history import EpochMeans, History
from siamesekit.training.items import Augment, Items, finish_batch
from siamesekit.training.line import Charge, TrainingLine
from siamesekit.training.optimisation import (
    check_moments,
    make_optimizer,
    make_schedule,
    step_optimizer,
    step_schedule,
)
from siamesekit.training.plan import Plan, Validate
from siamesekit.training.progress import counted
from siamesekit.training.rewind import Rewind, all_finite
from siamesekit.training.scaling import LossScaler
from siamesekit.training.stopping import epochs_without_gain

__all__ = ["Run"]

# Between the streams of processes, so that they meet in no epoch.
_APART = 0x9E3779B9
# Steps in a row that are not finite: so many end training, …
_TOO_MANY = 50
# … and so do so many that fill the whole of an epoch.
_MANY = 5
_GRADIENTS = "the gradients"


@dataclass
class Run:
    """State of one call of `train`."""

    line: TrainingLine
    items: Items
    labels: Tensor
    sampler: Sampler
    plan: Plan
    augment: Augment | None
    seed: int
    history: History = field(default_factory=History)
    steps: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.device = next((p.device for p in self.line.parameters()), self.items.device)
        self.team = current()
        if self.team is not None:
            self.team.same_state(self.line)
        self.labels = self.labels.to(self.device)
        plan, steps = self.plan, max(1, self.plan.max_epochs * len(self.sampler))
        self.weights = [p for p in self.line.parameters() if p.requires_grad]
        if self.weights:
            self.optimizer = make_optimizer(
                plan.optimizer, self.line, plan.learning_rate, plan.weight_decay
            )
            self.schedule = make_schedule(plan.schedule, self.optimizer, steps)
        self.average = None if plan.averaging is None else weight_average(self.line, plan.averaging)
        self.scaler = LossScaler() if self.line.precision == torch.float16 else None
        self.monitor = HealthMonitor(_margin_of(self.line))
        self.validated = False
        self._began = time.perf_counter()
        self.bad_in_a_row = 0
        self._epochs_begun = 0
        # What is known to have given finite numbers: a batch, and the weights before its step.
        self.good_index: Tensor | None = None
        self.good_weights: dict[str, Any] | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.team is None or self.team.leads

    def check_validation(self, validate: Validate | None) -> None:
        """Raise `InvalidParameterError` if the schedule follows a score that nothing gives."""
        self.validated = validate is not None
        plateau = self.weights and isinstance(self.schedule, ReduceLROnPlateau)
        if plateau and self.schedule.mode == "max" and validate is None:  # type: ignore[attr-defined]
            raise InvalidParameterError(
                "schedule ReduceLROnPlateau(mode='max') follows the validation score; got "
                "validation=None. Give mode='min' to follow the loss."
            )

    def is_over(self) -> bool:
        """Return whether there is no epoch to come."""
        done = self.history.epochs >= self.plan.max_epochs
        return done or not self.weights or self.out_of_patience()

    def record(self) -> Record:
        """Return where training stands, for callbacks."""
        columns = {name: list(column) for name, column in self.history.items()}
        last = {name: column[-1] for name, column in columns.items() if column}
        return Record(
            epoch=self.history.epochs,
            max_epochs=self.plan.max_epochs,
            numbers={name: number for name, number in last.items() if not math.isnan(number)},
            history=History(columns),
            best_epoch=self.best_epoch,
            seconds=time.perf_counter() - self._began,
            validated=self.validated,
            facts=dict(self._facts),
        )

    @functools.cached_property
    def _facts(self) -> dict[str, int | float | str | bool | None]:
        line, plan = self.line, self.plan
        parts = {name: getattr(line, name) for name in ("backbone", "head", "loss", "miner")}
        parts |= {"sampler": self.sampler, "augment": self.augment}
        plain = {
            name: value if isinstance(value, int | float | None) else in_words(value)
            for name, value in vars(plan).items()
            if name != "verbose"
        }
        return {
            **{name: in_words(part) for name, part in parts.items()},
            **plain,
            "precision": str(line.precision).removeprefix("torch."),
            "device": self.device.type,
            "processes": 1 if self.team is None else self.team.size,
            "seed": self.seed,
            "n_items": len(self.items),
            "n_weights": sum(weight.numel() for weight in self.weights),
        }

    def epoch(self, validate: Validate | None) -> dict[str, float]:
        """Train one epoch, validate, and return its numbers."""
        number = self.history.epochs
        self._epochs_begun = number + 1
        start = time.perf_counter()
        # Each epoch has its own streams, so that a resumed run draws what an unbroken one would.
        stream = (self.seed * 1_000_003 + number) % 2**32
        if self.team is not None:
            self.team.draw_alike(torch.Generator(self.device).manual_seed(stream))
            # Each embeds and augments other items, and so draws for itself.
            stream = (stream + self.team.rank * _APART) % 2**32
        generator = torch.Generator(self.device).manual_seed(stream)
        # Augmentations and layers draw apart, so that one without the other changes nothing there.
        layers = Stream(torch.Generator(self.device).manual_seed(stream))
        batch_pass = BatchPass(self.line, self.plan.chunk_size, layers)
        means, skipped = EpochMeans(), 0
        self.sampler.set_epoch(number)
        self.line.train()
        renewed = False
        with (
            drawing_of(layers, self.line, self.line.miner, self.sampler, self.augment),
            normalising_jointly(self.line, self.team) as share,
        ):
            batches = self._shares(stream)
            for index, raw in counted(
                batches, len(self.sampler), f"epoch {number + 1}", " batches"
            ):
                share.counts = self._has_a_share(index)
                # No name is given to the batch: its memory is free once the step is taken.
                if self._step(
                    index,
                    finish_batch(raw, self.augment, generator, self.device),
                    batch_pass,
                    means,
                    keep=not renewed,
                ):
                    renewed = True
                else:
                    skipped += 1
                    if self.bad_in_a_row >= _TOO_MANY:
                        self._diverged()
                del raw
        whole_epoch = not renewed and self.bad_in_a_row >= _MANY
        if whole_epoch or not bool(all_finite(self.weights)):
            self._diverged()
        numbers = means.read()
        if numbers:
            self.monitor.check_epoch(numbers["loss"], numbers)
        numbers["skipped"] = skipped
        if self.scaler is not None:
            numbers["loss_scale"], numbers["overflows"] = self.scaler.scale, self.scaler.overflows
            self.scaler.overflows = 0
        numbers["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        if self.team is not None:
            self.team.same_state(self.line)
        if validate is not None:
            numbers["validation"] = self._validate(validate)
        numbers["seconds"] = time.perf_counter() - start
        if self.team is not None:
            # Seconds, and a user's score, differ; what follows from them must not.
            own = numbers
            numbers = self.team.first(lambda: own)
        self._step_on_plateau(numbers)
        self.history.append_epoch(numbers)
        if validate is not None:
            self._keep_best(numbers["validation"])
        return numbers

    def _shares(self, stream: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each batch of positions, and the items of the part that this process embeds."""
        drawn: deque[Tensor] = deque()

        def own() -> Iterator[Tensor]:
            for index in self.sampler:
                drawn.append(index)
                if self.team is None:
                    yield index
                else:
                    # Never an empty part: it is made up for by an item that counts for nothing.
                    share = self.team.own(len(index))
                    yield index[share] if self._has_a_share(index) else index[:1]

        for k, (_, raw) in enumerate(self.items.batches(own(), seed=stream)):
            if k == 0 and self.team is not None:
                # Until the first comes, workers start and files are opened, here and there longer.
                self.team.wait()
            yield drawn.popleft(), raw
            del raw

    def _has_a_share(self, index: Tensor) -> bool:
        if self.team is None:
            return True
        own = self.team.own(len(index))
        return bool(own.stop > own.start)

    def _step(
        self, index: Tensor, batch: Tensor, batch_pass: BatchPass, means: EpochMeans, keep: bool
    ) -> bool:
        """Take one step; return False where it was not finite, and so changed nothing."""
        flat = index.flatten()
        labels = self.labels[flat.to(self.device)]
        charge = self._finite_pass(batch_pass, batch, labels, pairs=index.ndim == 2)
        if charge is None:
            self.bad_in_a_row += 1
            return False
        self.bad_in_a_row = 0
        if keep:
            self.good_index, self.good_weights = flat, copy.deepcopy(self.line.state_dict())
        if not self.steps:
            self.monitor.check_gradients(self.line.backbone)
        step_optimizer(self.optimizer)
        means.add({"loss": charge.loss, **batch_health(charge, self.monitor.margin)})
        self.steps += 1
        if not isinstance(self.schedule, ReduceLROnPlateau):
            step_schedule(self.schedule)
        if self.average is not None:
            update_average(self.average, self.line)
        return True

    def _finite_pass(
        self, batch_pass: BatchPass, batch: Tensor, labels: Tensor, *, pairs: bool
    ) -> Charge | None:
        """Charge a batch and differentiate; undo all that and return None if it is not finite."""
        rewind, scaler, draws = Rewind(self.line), self.scaler, batch_pass.stream.state()
        if scaler is not None:
            scaler.begin()
        while True:
            # The backbone may work in place on what it is given.
            own = batch if scaler is None else batch.clone()
            charge, sick, loss = self._try_pass(batch_pass, own, labels, rewind, pairs=pairs)
            if scaler is None or sick != [_GRADIENTS] or not scaler.shrink():
                break
            rewind.undo()
            batch_pass.stream.go_to(draws)
        if sick:
            rewind.undo()
            self.optimizer.zero_grad(set_to_none=True)
            self.monitor.skipped_step(" and ".join(sick), loss)
            return None
        if scaler is not None:
            scaler.grow()
        return charge

    def _try_pass(
        self, batch_pass: BatchPass, batch: Tensor, labels: Tensor, rewind: Rewind, *, pairs: bool
    ) -> tuple[Charge, list[str], float]:
        """Return what a batch is charged, what is not finite in it, and its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        scale = 1.0 if self.scaler is None else self.scaler.scale
        charge = batch_pass(batch, labels, pairs=pairs, scale=scale)
        if self.team is not None:
            charge = replace(charge, loss=self.team.sum_gradients(self.weights, charge.loss))
        if self.scaler is not None:
            self.scaler.unscale(self.weights)
        sick, loss = self._what_is_not_finite(charge, rewind)
        return charge, sick, loss

    def _what_is_not_finite(self, charge: Charge, rewind: Rewind) -> tuple[list[str], float]:
        """Return what of a step is not finite, and its loss, at the price of one transfer."""
        found = {
            "the embeddings": all_finite([charge.embeddings]),
            "the loss": charge.loss.detach().isfinite().all(),
            _GRADIENTS: all_finite([p.grad for p in self.weights if p.grad is not None]),
            "the statistics": rewind.buffers_stay_finite(),
        }
        flags = [flag.to(self.device, torch.float32, non_blocking=True) for flag in found.values()]
        if self.team is not None:
            # What is not finite in one process must be skipped by all.
            flags = list(self.team.sum(torch.stack(flags)) == self.team.size)
        loss, *finite = torch.stack([charge.loss.detach().float().mean(), *flags]).tolist()
        return [name for name, fine in zip(found, finite, strict=True) if not fine], loss

    def _diverged(self) -> None:
        """Leave weights that gave finite numbers in the line, and raise."""
        ails = f"{self.bad_in_a_row} steps in a row" if self.bad_in_a_row else "the weights"
        if self.best_weights is not None:
            load_state(self.line, self.best_weights)
        elif not self._still_works() and self.good_weights is not None:
            own = copy.deepcopy(self.line.state_dict())
            load_state(self.line, self.good_weights)
            # A fault of the data or of the network itself: then the latest weights are as good.
            if not self._still_works() and bool(all_finite(self.weights)):
                load_state(self.line, own)
        self.line.eval()
        raise TrainingDivergedError(
            f"training diverged in epoch {self._epochs_begun}: {ails} are not finite. "
            f"The last good weights are kept in the line. {TRY_FINITE}"
        )

    def _still_works(self) -> bool:
        """Return whether the weights are finite and embed a batch that was fine before."""
        if self.good_index is None or not bool(all_finite(list(self.line.parameters()))):
            return False
        some = self.items.take(self.good_index)
        embedded = embed_items(self.line.backbone, some, self.device, self.line.precision)
        return bool(all_finite([embedded]))

    def _validate(self, validate: Validate) -> float:
        self.line.eval()
        with averaged(self.line, self.average):
            try:
                # What a user wrote may embed other items in each process.
                with nullcontext() if getattr(validate, "jointly", False) else alone():
                    score = validate(self.line)
            except InvalidDataError as error:
                if self.average is not None or self._still_works():
                    raise
                self.line.eval()
                raise TrainingDivergedError(
                    f"training diverged in epoch {self._epochs_begun}: embeddings in eval() "
                    f"mode are not finite. {TRY_FINITE}"
                ) from error
        try:
            return float(score)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidParameterError(
                f"validation must return a number (higher = better); got {score!r}."
            ) from error

    def _step_on_plateau(self, numbers: dict[str, float]) -> None:
        if not isinstance(self.schedule, ReduceLROnPlateau):
            return
        value = numbers.get("loss" if self.schedule.mode == "min" else "validation", math.nan)
        if math.isfinite(value):
            step_schedule(self.schedule, value)

    def _keep_best(self, score: float) -> None:
        # Of equals the later weights are kept; but they are no reason to be patient.
        if score >= self.best_score:
            self.best_score, self.best_epoch = score, self.history.epochs
            self.best_weights = copy.deepcopy(final_weights(self.line, self.average))

    def out_of_patience(self) -> bool:
        """Return whether validation has not become better for ``plan.patience`` epochs."""
        patience = self.plan.patience
        scores = self.history.get("validation", [])
        return patience is not None and epochs_without_gain(scores) >= patience

    def finish(self) -> None:
        """Leave the best weights, or the averaged ones, in the line, in ``eval()`` mode.

        Raises
        ------
        TrainingDivergedError
            If no step of the whole run was finite.
        """
        if self.bad_in_a_row and not self.steps:
            self._diverged()
        own = final_weights(self.line, self.average)
        load_state(self.line, own if self.best_weights is None else self.best_weights)
        let_go_of_graphs(self.line)
        self.line.eval()

    # -- checkpoints ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that a checkpoint holds."""
        return {
            "steps": self.steps,
            "line": self.line.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self._plateau(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "history": dict(self.history),
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; if that cannot be, raise and change nothing.

        A plan of more epochs than the one before takes at each step the learning rate that a run
        of its own length has there.
        """
        _check_like(state["line"], self.line, "line")
        if state["best_weights"] is not None:
            _check_like(state["best_weights"], self.line, "best weights")
        if self.average is not None:
            _check_like(state["average"], self.average, "average")
        _check_progress(state, len(self.sampler))
        check_moments(self.optimizer, state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self._load_optimizer(state)
        load_state(self.line, state["line"])
        if self.average is not None:
            load_state(self.average, state["average"])
        self.history = History(state["history"])
        self.steps = int(state["steps"])
        self.best_score = float(state["best_score"])
        self.best_epoch = int(state["best_epoch"])
        self.best_weights = state["best_weights"]

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        # The schedule is run again rather than read, so that it may be of any length. That sets
        # what it rules over, in each group of weights; all else there is as it was.
        groups = self.optimizer.param_groups
        before = [dict(group) for group in groups]
        plateau = isinstance(self.schedule, ReduceLROnPlateau)
        if not plateau:
            self.optimizer._opt_called = True  # type: ignore[attr-defined]
            for _ in range(int(state["steps"])):
                self.schedule.step()
        scheduled = [
            {k: v for k, v in group.items() if k != "params" and v != old.get(k)}
            for group, old in zip(groups, before, strict=True)
        ]
        rate_names = ("lr", "initial_lr", "max_lr", "min_lr")
        kept = [{k: group[k] for k in rate_names if k in group} for group in groups]
        self.optimizer.load_state_dict(state["optimizer"])
        if plateau:
            self.schedule.load_state_dict(state["plateau"])
            return
        for group, by_schedule, rates in zip(
            self.optimizer.param_groups, scheduled, kept, strict=True
        ):
            group.update(by_schedule)
            group.update(rates)

    def _plateau(self) -> dict[str, Any] | None:
        return self.schedule.state_dict() if isinstance(self.schedule, ReduceLROnPlateau) else None


def _check_like(state: dict[str, Any], module: nn.Module, what: str) -> None:
    """Raise `ValueError` unless a state has the names, shapes and types of a module's.

    Of buffers the shapes are free: some networks make a table for a batch.
    """
    own = module.state_dict()
    weights = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    if set(state) != set(own):
        names = ", ".join(sorted(set(state) ^ set(own))[:3])
        raise ValueError(f"its {what} has other names ({names})")
    for name, value in own.items():
        if not isinstance(value, Tensor):
            continue
        other = state[name]
        same = isinstance(other, Tensor) and other.dtype == value.dtype
        if not same or (name in weights and other.shape != value.shape):
            raise ValueError(f"its {what} has another {name}")


def _check_progress(state: dict[str, Any], steps_per_epoch: int) -> None:
    """Raise `ValueError` unless a state says what so many epochs can have left."""
    history = state["history"]
    columns = list(history.values())
    if not columns or not all(
        isinstance(column, list) and all(isinstance(number, int | float) for number in column)
        for column in columns
    ):
        raise ValueError("its history is none")
    epochs = len(columns[0])
    if any(len(column) != epochs for column in columns):
        raise ValueError("its history has columns of different lengths")
    bounds = {"steps": epochs * steps_per_epoch, "best_epoch": epochs}
    for name, most in bounds.items():
        if type(state[name]) is not int or not 0 <= state[name] <= most:
            raise ValueError(f"its {name} cannot be {state[name]!r}")


def _margin_of(line: TrainingLine) -> float | None:
    margin = getattr(line.loss, "margin", None)
    on_distances = line.loss.takes == "scores" and line.head.gives == "distance"
    return float(margin) if on_distances and isinstance(margin, int | float) else None
