"""Random numbers of a step of training, for layers that take no generator."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from siamesekit._random import Seeds, Stream, drawing_from

__all__ = ["drawing_of"]

_OURS_AND_TORCHS = ("siamesekit.", "torch.nn.modules.")
# Layers that draw in training whatever their parameters.
_ALWAYS = (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, Seeds)


@contextmanager
def drawing_of(
    generator: torch.Generator | Stream, line: nn.Module, *others: object
) -> Iterator[None]:
    """Run a block in which `line` and `others` draw from `generator`, and from nothing else.

    To hand out generators costs some microseconds an operator (`drawing_from`). So where all that
    runs is known, only the layers that draw pay for it: of torch's layers those with dropout are
    known, and parts of this package draw through such layers or from generators of their own. Of
    all else it must be assumed that it draws anywhere.

    Parameters
    ----------
    generator : torch.Generator or Stream
    line : nn.Module
    *others : object
        A miner, a sampler, an augmentation; None for what there is not.
    """
    stream = generator if isinstance(generator, Stream) else Stream(generator)
    layers = list(line.modules())
    if any(map(_is_unknown_layer, layers)) or any(map(_is_unknown, others)):
        with drawing_from(stream):
            yield
        return
    with ExitStack() as handles:
        for layer in filter(_draws, layers):
            handles.enter_context(_drawing_in(layer, stream))
        yield


@contextmanager
def _drawing_in(layer: nn.Module, stream: Stream) -> Iterator[None]:
    """Let one layer draw from `stream` as long as this lasts."""
    entered: list[AbstractContextManager[None]] = []

    def enter(*_: Any) -> None:
        entered.append(drawing_from(stream))
        entered[-1].__enter__()

    def leave(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    with (
        layer.register_forward_pre_hook(enter),
        layer.register_forward_hook(leave, always_call=True),
    ):
        yield


def _draws(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.dropout._DropoutNd):
        return layer.p > 0
    share = getattr(layer, "dropout", 0.0)  # of a recurrent or an attention layer
    return isinstance(layer, _ALWAYS) or (isinstance(share, float | int) and share > 0)


def _is_unknown_layer(layer: nn.Module) -> bool:
    hooks: tuple[dict[int, Callable[..., Any]], ...] = (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._backward_hooks,
        layer._backward_pre_hooks,
    )
    return any(hooks) or _is_foreign(layer)


def _is_unknown(part: object) -> bool:
    """Return whether `part`, or a module that it adapts, is neither torch's nor of this package."""
    if part is None:
        return False
    inner = getattr(part, "__dict__", {}).values()
    return _is_foreign(part) or any(isinstance(p, nn.Module) and _is_foreign(p) for p in inner)


def _is_foreign(part: object) -> bool:
    return not type(part).__module__.startswith(_OURS_AND_TORCHS)
