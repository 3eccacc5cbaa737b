"""Optimiser and schedule of Koch, Zemel and Salakhutdinov, §3.2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import LRScheduler

from siamesekit._checks import check_integer, check_kind, check_number, shown
from siamesekit.errors import InvalidParameterError

__all__ = ["KochSchedule", "KochScheduleOf", "LayerwiseSGD", "layerwise_sgd"]

_LAYERS = 6


@dataclass(frozen=True)
class LayerwiseSGD:
    """Stochastic gradient descent with numbers a layer, for ``SiameseClassifier(optimizer=…)``.

    Called with a training line, it returns the optimiser. `layerwise_sgd` makes one from numbers
    that all layers share.

    Attributes
    ----------
    rates, momenta, decays : tuple of 6 float
        Of the four convolutions, the dense layer and the head.
    """

    rates: tuple[float, ...]
    momenta: tuple[float, ...]
    decays: tuple[float, ...]

    def __call__(self, line: nn.Module) -> optim.SGD:
        """Return the optimiser of a line of `KochNet` and a learned head.

        Raises
        ------
        InvalidParameterError
            If the line has other layers.
        """
        layers = [
            list(module.parameters())
            for module in line.modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        ]
        own = {id(p) for layer in layers for p in layer}
        layers.append([p for p in line.parameters() if id(p) not in own])
        layers = [layer for layer in layers if layer]
        if len(layers) != _LAYERS:
            raise InvalidParameterError(
                "optimizer: layerwise_sgd is for four convolutions, a dense layer and a learned "
                f"head; this line has {len(layers)} layers."
            )
        numbers = zip(layers, self.rates, self.momenta, self.decays, strict=True)
        groups = [
            {"params": layer, "lr": rate, "momentum": momentum, "weight_decay": decay}
            for layer, rate, momentum, decay in numbers
        ]
        return optim.SGD(groups, lr=self.rates[0])


def layerwise_sgd(
    rates: float | Sequence[float],
    momenta: float | Sequence[float],
    decays: float | Sequence[float],
) -> LayerwiseSGD:
    """Return an optimiser for ``SiameseClassifier(optimizer=…)``: SGD with numbers a layer (§3.2).

    Parameters
    ----------
    rates : float or sequence of 6 float
        Learning rates of the four convolutions, the dense layer and the head; above 0.
    momenta : float or sequence of 6 float
        Final momenta, in [0, 1).
    decays : float or sequence of 6 float
        Weights of the L2 term; at least 0.

    Raises
    ------
    InvalidParameterError
        If a number is out of its range or a sequence has another length, or, when training
        starts, the network is not `KochNet`.
    """
    return LayerwiseSGD(
        rates=_six("rates", rates, low=0.0, open_low=True),
        momenta=_six("momenta", momenta, low=0.0, high=1.0, open_high=True),
        decays=_six("decays", decays, low=0.0),
    )


class KochSchedule(LRScheduler):
    """Rates fall by 1 % an epoch; momenta rise linearly from 0.5 to their final values (§3.2).

    Parameters
    ----------
    optimizer : torch.optim.SGD
        Its momenta are the final ones.
    steps_per_epoch : int
    ramp : int
        Epochs until the momenta are final; the paper does not say how many.

    Raises
    ------
    InvalidParameterError
        If `optimizer` is no SGD, or a number is no integer of at least 1.
    """

    def __init__(self, optimizer: optim.Optimizer, steps_per_epoch: int, ramp: int = 20) -> None:
        check_kind("optimizer", optimizer, optim.SGD)
        self.steps_per_epoch = check_integer("steps_per_epoch", steps_per_epoch, low=1)
        self.ramp = check_integer("ramp", ramp, low=1)
        self.momenta = [group["momentum"] for group in optimizer.param_groups]
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each layer for the next step."""
        fallen = 0.99 ** (self.last_epoch // self.steps_per_epoch)
        return [rate * fallen for rate in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Set the rates and momenta of the next step."""
        super().step(epoch)
        done = min(1.0, self.last_epoch / (self.ramp * self.steps_per_epoch))
        for group, final in zip(self.optimizer.param_groups, self.momenta, strict=True):
            group["momentum"] = 0.5 + (final - 0.5) * done


@dataclass(frozen=True)
class KochScheduleOf:
    """Makes a `KochSchedule` for ``SiameseClassifier(schedule=…)``.

    Attributes
    ----------
    steps_per_epoch : int
    """

    steps_per_epoch: int

    def __call__(self, optimizer: optim.Optimizer, steps: int) -> KochSchedule:
        """Return the schedule; it is the same however many steps there are."""
        return KochSchedule(optimizer, self.steps_per_epoch)


def _six(name: str, values: object, **bounds: Any) -> tuple[float, ...]:
    several = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    listed = list(values) if several else [values] * _LAYERS  # type: ignore[call-overload]
    if len(listed) != _LAYERS:
        raise InvalidParameterError(
            f"{name} must be a number or {_LAYERS} of them, a layer each; got {shown(values)}."
        )
    return tuple(check_number(name, value, **bounds) for value in listed)
