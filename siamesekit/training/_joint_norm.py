"""Batch normalisation over the batch that several processes share."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from siamesekit.errors import InvalidParameterError
from siamesekit.training.distributed import Team

__all__ = ["Share", "normalising_jointly"]

_KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Share:
    """Whether the batch that this process embeds counts: not where it stands for an empty share."""

    counts = True


@contextmanager
def normalising_jointly(line: nn.Module, team: Team | None) -> Iterator[Share]:
    """Run a block in which the batch normalisations of `line` that learn see the whole batch.

    Parameters
    ----------
    line : nn.Module
        In ``train()`` mode.
    team : Team or None
        None changes nothing.

    Raises
    ------
    InvalidParameterError
        If a layer normalises over the batch in a way of its own, and so cannot be made to see it.
    """
    share = Share()
    if team is None:
        yield share
        return
    with ExitStack() as undo:
        for name, layer in line.named_modules():
            if not _sees_the_batch(layer):
                continue
            if type(layer) not in _KNOWN or "forward" in vars(layer):
                raise InvalidParameterError(
                    f"layer {name} ({type(layer).__name__}) normalises over the items of one "
                    "process, where several train. Take nn.BatchNorm1d, 2d or 3d, which are made "
                    "to see the batch of all, or nn.GroupNorm, or freeze the layer."
                )
            layer.forward = partial(_forward, layer, team, share)
            undo.callback(vars(layer).pop, "forward")
        yield share


def _sees_the_batch(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return layer.training or layer.running_mean is None
    # Of each item alone, but the statistics that it keeps are those of the batch.
    keeps = isinstance(layer, nn.modules.instancenorm._InstanceNorm) and layer.track_running_stats
    return keeps and layer.training


def _forward(layer: Any, team: Team, share: Share, x: Tensor) -> Tensor:
    layer._check_input_dim(x)
    if not layer.training and layer.running_mean is not None:
        out: Tensor = type(layer).forward(layer, x)
        return out
    moments = _moments(x, team, share)
    if layer.training and layer.track_running_stats:
        _keep_statistics(layer, moments)
    apply: Any = _Normalise.apply
    normalised: Tensor = apply(x, layer.weight, layer.bias, moments, layer.eps, team)
    return normalised


class _Moments:
    """Number of values, mean and variance of each channel over the batch of all processes.

    Of which the own batch is a part, or not (`counts`).
    """

    def __init__(self, n: Tensor, mean: Tensor, variance: Tensor, counts: bool) -> None:
        self.n, self.mean, self.variance, self.counts = n, mean, variance, counts


@torch.no_grad()
def _moments(x: Tensor, team: Team, share: Share) -> _Moments:
    n, mean, spread = _own_moments(x, share)
    # Each process's stand in a row of their own: one exchange, and the same sums on each.
    rows = n.new_zeros(team.size, 1 + 2 * len(mean))
    rows[team.rank] = torch.cat([n, mean, spread])
    sums = team.sum(rows)
    number, means, spreads = torch.split(sums, [1, len(mean), len(mean)], dim=1)
    total = number.sum()
    mean = (number * means).sum(0) / total
    # About the mean of all (Chan et al. 1979): squares less the square of the mean would lose the
    # digits.
    spread = (spreads + number * (means - mean).square()).sum(0)
    return _Moments(total, mean, spread / total, share.counts)


def _own_moments(x: Tensor, share: Share) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of values a channel, (1,), their mean, and the sum of squares about it."""
    size = x.numel() / x.shape[1]
    mean, variance = (moment.float() for moment in _mean_and_variance(x))
    if not share.counts:
        size, mean, variance = 0.0, torch.zeros_like(mean), torch.zeros_like(variance)
    return mean.new_full((1,), size), mean, size * variance


def _mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel, as torch's own layer takes them.

    Several times faster than `var_mean` on a CPU.
    """
    if x.device.type == "cpu":
        return torch.batch_norm_update_stats(x, None, None, 0.0)
    # What else a device may not have; it normalises the batch too, for nothing.
    mean, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, 0.0)[1:]
    return mean, inverse.float().square().reciprocal()


def _keep_statistics(layer: Any, moments: _Moments) -> None:
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum
    step = 1.0 / float(layer.num_batches_tracked) if momentum is None else momentum
    # As in nn.BatchNorm: what is kept is the unbiased estimate.
    unbiased = moments.variance * (moments.n / (moments.n - 1).clamp(min=1))
    for kept, new in ((layer.running_mean, moments.mean), (layer.running_var, unbiased)):
        kept.lerp_(new.to(kept.dtype), step)


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, mean and variance being of all.

    The gradient is that of Ioffe and Szegedy (2015, §3), its two sums over the batch of all.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        moments: _Moments,
        eps: float,
        team: Team,
    ) -> Tensor:
        ctx.moments, ctx.eps, ctx.team = moments, eps, team
        ctx.save_for_backward(x, weight)
        return functional.batch_norm(
            x, moments.mean, moments.variance, weight, bias, training=False, eps=eps
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (grad,), mean, variance = grads, ctx.moments.mean, ctx.moments.variance
        # With the statistics taken as fixed: sums over the own batch.
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        width = len(mean)
        sums = ctx.team.sum(torch.cat([of_weight.float(), of_bias.float()])) / ctx.moments.n
        inverse = (variance + ctx.eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        slope = -scale * inverse * sums[:width]
        offset = -scale * sums[width:] - slope * mean
        moved = torch.addcmul(_along(offset, x), x, _along(slope, x))
        whole = moved.addcmul_(grad, _along(scale, x))
        if not ctx.moments.counts:
            whole = torch.zeros_like(whole)
        trained = weight is not None
        return (
            whole.to(x.dtype),
            of_weight if trained else None,
            of_bias if trained else None,
            None,
            None,
            None,
        )


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Return values of channels as they stand beside a batch."""
    return values.view(1, -1, *[1] * (x.ndim - 2)).to(x.dtype)
