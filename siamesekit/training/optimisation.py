"""Optimisers and learning-rate schedules by name."""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    PolynomialLR,
)

from siamesekit._checks import check_choice, check_integer, check_kind, check_number
from siamesekit.errors import InvalidParameterError, SiamesekitError
from siamesekit.training._constraints import OPTIMIZERS, SCHEDULES

__all__ = [
    "OptimizerSpec",
    "ScheduleSpec",
    "make_optimizer",
    "make_schedule",
    "step_optimizer",
    "step_schedule",
]

OptimizerSpec = str | type[optim.Optimizer] | Callable[[nn.Module], optim.Optimizer]
"""A name, a class, or a function from the training line to an optimiser (layer-wise rates)."""

ScheduleSpec = str | Callable[[optim.Optimizer, int], LRScheduler]
"""A name, or a function from the optimiser and the number of steps to a schedule."""

_ADAMS = (optim.Adam, optim.AdamW)
_WARM_UP = 0.1
# By what name torch's schedules take the number of steps of a run.
_LENGTHS: dict[Any, str] = {
    CosineAnnealingLR: "T_max",
    OneCycleLR: "total_steps",
    PolynomialLR: "total_iters",
}


def make_optimizer(
    spec: OptimizerSpec, line: nn.Module, learning_rate: float, weight_decay: float
) -> optim.Optimizer:
    """Return the optimiser of all weights of `line`.

    Parameters
    ----------
    spec : {"adam", "adamw", "sgd"}, class or callable
        ``"sgd"`` has Nesterov momentum of 0.9. A class (``torch.optim.RMSprop``) gets the weights
        and the two numbers below, as far as it takes them, and so does a ``functools.partial`` of
        one, as far as it does not say them itself. Any other callable gets `line` and returns an
        optimiser of its weights; the two numbers are then not used.
    line : nn.Module
    learning_rate : float
        Above 0.
    weight_decay : float
        At least 0. Vectors of weights (biases, normalisation) are left out of it.

    Raises
    ------
    InvalidParameterError
        If a parameter is not allowed, or what comes is no optimiser of weights of `line` that
        steps by itself.
    """
    check_kind("line", line, nn.Module)
    cls = spec.func if isinstance(spec, partial) else spec
    if callable(cls) and not isinstance(cls, type):
        make: Any = spec
        with _explaining("optimizer", spec, "make an optimiser of the training line"):
            return _checked_optimizer(make(line), line)
    if not isinstance(cls, type):
        check_choice("optimizer", spec, OPTIMIZERS)
    rate = check_number("learning_rate", learning_rate, low=0.0, open_low=True)
    decay = check_number("weight_decay", weight_decay, low=0.0)
    weights = [p for p in line.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if isinstance(cls, type):
        return _checked_optimizer(_of_class(spec, cls, groups, rate), line)
    # One pass over weights, gradients and moments: 3 times as fast for 38 million of them.
    can_fuse = (p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in weights)
    fused = all(can_fuse) or None
    if spec == "sgd":
        return optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=fused)
    adam = optim.AdamW if spec == "adamw" else optim.Adam
    return adam(groups, lr=rate, fused=fused)


def _of_class(
    spec: Any, cls: type[Any], groups: list[dict[str, Any]], rate: float
) -> optim.Optimizer:
    """Return an optimiser of a class, or of a partial of it, which says some of its options."""
    if not issubclass(cls, optim.Optimizer):
        raise InvalidParameterError(
            f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))}, a class of "
            f"torch.optim.Optimizer, or a function from the line to one; got {spec!r}."
        )
    said = spec.keywords if isinstance(spec, partial) else {}
    taken = inspect.signature(cls).parameters.keys() - said.keys()
    weights: Any = groups if "weight_decay" in taken else [p for g in groups for p in g["params"]]
    options: dict[str, Any] = {"lr": rate} if "lr" in taken else {}
    try:
        optimizer: optim.Optimizer = spec(weights, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidParameterError(
            f"optimizer {cls.__name__} cannot be made of weights and a learning rate alone "
            f"({error}); give a function from the line to an optimiser."
        ) from error
    return optimizer


def _checked_optimizer(optimizer: object, line: nn.Module) -> optim.Optimizer:
    if not isinstance(optimizer, optim.Optimizer):
        raise InvalidParameterError(
            f"optimizer must return a torch.optim.Optimizer; got {optimizer!r}."
        )
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise InvalidParameterError(
            "optimizer must step without a closure that computes the loss again; "
            f"got {type(optimizer).__name__}."
        )
    trained = {id(p) for p in line.parameters() if p.requires_grad}
    if not any(id(p) in trained for group in optimizer.param_groups for p in group["params"]):
        raise InvalidParameterError(
            "optimizer must train weights of the line that it is given (line.parameters(), a copy "
            f"of what was given for the parts); got a {type(optimizer).__name__} of other weights."
        )
    return optimizer


@contextmanager
def _explaining(argument: str, part: object, what: str) -> Iterator[None]:
    """Say of errors in a user's optimiser or schedule whose they are."""
    try:
        yield
    except (SiamesekitError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        inner = part.func if isinstance(part, partial) else part
        name = getattr(inner, "__name__", type(inner).__name__)
        raise InvalidParameterError(
            f"{argument} {name} cannot {what}: {type(error).__name__}: {error}"
        ) from error


def step_optimizer(optimizer: optim.Optimizer) -> None:
    """Take a step.

    Raises
    ------
    InvalidParameterError
        If the optimiser cannot take one (``SparseAdam`` of dense gradients).
    """
    with _explaining("optimizer", optimizer, "take a step"):
        optimizer.step()


def step_schedule(schedule: LRScheduler, *score: float) -> None:
    """Set the rates of the step to come.

    Parameters
    ----------
    schedule : LRScheduler
    *score : float
        What ``ReduceLROnPlateau`` follows.

    Raises
    ------
    InvalidParameterError
        If the schedule is at its end, or gives what is no rate.
    """
    with _explaining("schedule", schedule, "be stepped after a step of training"):
        schedule.step(*score)  # type: ignore[arg-type]
    _check_rates(schedule)


def _check_rates(schedule: LRScheduler) -> None:
    for group in schedule.optimizer.param_groups:
        rate = group["lr"]
        if not isinstance(rate, Tensor) and not 0.0 <= rate < math.inf:
            raise InvalidParameterError(
                "schedule must give learning rates of at least 0; "
                f"{type(schedule).__name__} gave {rate}."
            )


def check_moments(optimizer: optim.Optimizer, state: dict[str, Any]) -> None:
    """Raise `ValueError` unless `state` could be a state of `optimizer`.

    A fused optimiser trusts the sizes of its moments, and would read and write beyond them.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        New: what weights it has counts.
    state : dict
        As ``optimizer.state_dict()`` returns it, perhaps of another optimiser.
    """
    own = optimizer.state_dict()["param_groups"]
    if [(set(g), g["params"]) for g in state["param_groups"]] != [
        (set(g), g["params"]) for g in own
    ]:
        raise ValueError("its optimiser has other groups of weights")
    if any(
        g.get("fused") != o.get("fused") for g, o in zip(state["param_groups"], own, strict=True)
    ):
        raise ValueError("its optimiser has other groups of weights")
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    if any(number not in range(len(weights)) for number in state["state"]):
        raise ValueError("its optimiser has moments of other weights")
    needed = {"exp_avg", "exp_avg_sq", "step"} if isinstance(optimizer, _ADAMS) else set()
    if any(needed - set(moments) for moments in state["state"].values()):
        raise ValueError("its optimiser has other moments")
    fused = any(group["fused"] for group in own if "fused" in group)
    for number, moments in state["state"].items():
        weight = weights[number]
        for name, moment in moments.items() if fused else ():
            if moment is None:  # a momentum that has not begun
                continue
            wanted = (
                (torch.Size(), torch.float32) if name == "step" else (weight.shape, weight.dtype)
            )
            if not isinstance(moment, Tensor) or (moment.shape, moment.dtype) != wanted:
                raise ValueError(f"its optimiser has a {name} of another shape")


def make_schedule(spec: ScheduleSpec, optimizer: optim.Optimizer, steps: int) -> LRScheduler:
    """Return the schedule of the learning rate over `steps` steps.

    Parameters
    ----------
    spec : {"constant", "cosine", "one-cycle"}, class or callable
        ``"cosine"`` falls along half a cosine to 0; ``"one-cycle"`` first rises linearly over a
        tenth of the steps. A callable gets the optimiser and `steps`, and returns a schedule of
        torch; it is stepped after every step of the optimiser. ``ReduceLROnPlateau`` is stepped
        after every epoch: with ``mode="min"`` (its default) by the epoch's loss, with
        ``mode="max"`` by the validation score. A class, or a ``functools.partial`` of one, will
        do where it needs nothing but the optimiser and, as ``CosineAnnealingLR``, ``OneCycleLR``
        and ``PolynomialLR`` do, `steps`.
    optimizer : torch.optim.Optimizer
    steps : int

    Raises
    ------
    InvalidParameterError
        If a parameter is not allowed, or what comes is no schedule of `optimizer`.
    """
    check_kind("optimizer", optimizer, optim.Optimizer)
    check_integer("steps", steps, low=0)
    if callable(spec):
        return _own_schedule(spec, optimizer, steps)
    check_choice("schedule", spec, SCHEDULES)
    if spec == "constant":
        return LambdaLR(optimizer, lambda step: 1.0)
    warm_up = max(1, round(_WARM_UP * steps)) if spec == "one-cycle" else 0

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        progress = (step - warm_up) / max(1, steps - warm_up)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)


def _own_schedule(spec: Any, optimizer: optim.Optimizer, steps: int) -> LRScheduler:
    cls = spec.func if isinstance(spec, partial) else spec
    with _explaining("schedule", spec, "be made of the optimiser and the number of steps"):
        if isinstance(cls, type):
            schedule = _schedule_of_class(spec, cls, optimizer, steps)
        else:
            schedule = spec(optimizer, steps)
    if not isinstance(schedule, LRScheduler) or schedule.optimizer is not optimizer:
        raise InvalidParameterError(
            "schedule must return a torch.optim.lr_scheduler.LRScheduler of the optimiser that it "
            f"is given; got {schedule!r}."
        )
    _check_rates(schedule)
    return schedule


def _schedule_of_class(
    spec: Any, cls: type[Any], optimizer: optim.Optimizer, steps: int
) -> LRScheduler:
    """Return a schedule of a class, or of a partial of it, as long as the run."""
    said = spec.keywords if isinstance(spec, partial) else {}
    length = _LENGTHS.get(cls)
    options = {length: steps} if length and not {length, "epochs"} & said.keys() else {}
    try:
        if not issubclass(cls, LRScheduler):
            raise TypeError
        inspect.signature(spec).bind(optimizer, **options)
    except TypeError:
        raise InvalidParameterError(
            "schedule must be a name, or a function of the optimiser and the number of steps "
            "(schedule=lambda optimizer, steps: StepLR(optimizer, steps // 3)); "
            f"got the class {cls.__name__}."
        ) from None
    schedule: LRScheduler = spec(optimizer, **options)
    return schedule
