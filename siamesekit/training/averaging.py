"""An exponential moving average of the weights."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from siamesekit._copying import let_go_of_graphs, load_state

__all__ = ["averaged", "final_weights", "update_average", "weight_average"]


def weight_average(module: nn.Module, decay: float) -> AveragedModel:
    """Return a keeper of ``average ← decay · average + (1 − decay) · weights``.

    The decay is held at ``(1 + t) / (10 + t)`` in step ``t`` while that is smaller, so that the
    first weights are soon forgotten. Buffers (batch-normalisation statistics) are averaged too.

    Parameters
    ----------
    module : nn.Module
    decay : float
        In (0, 1).

    References
    ----------
    .. [1] B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging",
       SIAM J. Control and Optimization 30, 1992.
    """

    def take_in(averages: list[Tensor], weights: list[Tensor], steps: Tensor | int) -> None:
        t = int(steps)
        share = 1.0 - min(decay, (1 + t) / (10 + t))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, share)
        else:
            torch._foreach_copy_(averages, weights)

    let_go_of_graphs(module)  # or it could not be copied
    return AveragedModel(module, multi_avg_fn=take_in, use_buffers=True)  # type: ignore[arg-type]


def update_average(average: AveragedModel, module: nn.Module) -> None:
    """Take the weights of `module` into the average, and buffers that have a new size as they are.

    Parameters
    ----------
    average : AveragedModel
        Of `weight_average`.
    module : nn.Module
    """
    for mean, own in zip(average.module.modules(), module.modules(), strict=True):
        for name, value in own._buffers.items():
            old = mean._buffers.get(name)
            if value is not None and (old is None or old.shape != value.shape):
                mean._buffers[name] = value.detach().clone()
    average.update_parameters(module)


def final_weights(module: nn.Module, average: AveragedModel | None) -> dict[str, Any]:
    """Return the averaged state of `module`, or its own where there is no average.

    Only tensors are averaged; extra state (``get_extra_state``) is the module's own.
    """
    own: dict[str, Any] = module.state_dict()
    if average is None:
        return own
    means = average.module.state_dict()
    return {
        name: means[name] if isinstance(value, Tensor) else value for name, value in own.items()
    }


@contextmanager
def averaged(module: nn.Module, average: AveragedModel | None) -> Iterator[None]:
    """Put the averaged weights into `module` for a while; do nothing where there are none."""
    if average is None:
        yield
        return
    own = copy.deepcopy(module.state_dict())
    load_state(module, final_weights(module, average))
    try:
        yield
    finally:
        load_state(module, own)
