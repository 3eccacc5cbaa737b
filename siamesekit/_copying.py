"""Copies of parts, and of networks as they are after use."""

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

__all__ = ["copied", "let_go_of_graphs", "load_state"]

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def copied(part: Any) -> Any:
    """Return a deep copy of a part, such as a network that was used before.

    Three things that ``copy.deepcopy`` refuses or spoils are copied too: what a network keeps of
    a pass (an activation, a weight that ``weight_norm`` makes before each), buffers that wait for
    their shape, and the weights of TorchScript, which come out as no leaves.

    Parameters
    ----------
    part : object
    """
    if not isinstance(part, nn.Module):
        return copy.deepcopy(part)
    memo: dict[int, Any] = {}
    for module in _modules(part):
        for value in _kept(module):
            if not value.is_leaf:
                memo[id(value)] = value.detach().clone()
        for buffer in module._buffers.values():
            if isinstance(buffer, UninitializedBuffer):
                empty: Any = UninitializedBuffer
                memo[id(buffer)] = empty(device=buffer.device, dtype=buffer.dtype)
    new = copy.deepcopy(part, memo)
    for weight in new.parameters():
        if not weight.is_leaf:
            weight.detach_().requires_grad_()
    return new


def let_go_of_graphs(network: nn.Module) -> None:
    """Cut what a network keeps of a pass from the graph of that pass.

    The graph would hold the memory of a whole step, and keep the network from being copied.
    """
    for module in network.modules():
        attributes = vars(module)
        for name in attributes.keys() - _OF_EVERY_MODULE:
            attributes[name] = _without_graph(attributes[name])


def load_state(network: nn.Module, state: dict[str, Any]) -> bool:
    """Load a state of the same network; return whether buffers had other sizes in it.

    Tables and masks that a network makes for a batch are as large as the latest batch.
    """
    resized = False
    for path, module in network.named_modules(remove_duplicate=False):
        for name in set(module._buffers.keys()) - module._non_persistent_buffers_set:
            own, value = module._buffers[name], state.get(f"{path}.{name}" if path else name)
            if isinstance(value, Tensor) and (own is None or own.shape != value.shape):
                module._buffers[name] = value.detach().to(value if own is None else own, copy=True)
                resized = True
    network.load_state_dict(state)
    return resized


def _modules(part: nn.Module) -> Iterator[nn.Module]:
    """Yield all modules of a part, and those of a network that it was given to wrap."""
    for module in part.modules():
        yield module
        for name, value in vars(module).items():
            if name not in _OF_EVERY_MODULE and isinstance(value, nn.Module):
                yield from value.modules()


def _kept(module: nn.Module) -> Iterator[Tensor]:
    """Yield tensors in plain attributes, and in collections there."""
    for name, value in vars(module).items():
        if name in _OF_EVERY_MODULE:
            continue
        values = value.values() if isinstance(value, dict) else value
        for one in values if isinstance(value, dict | list | tuple) else (value,):
            if isinstance(one, Tensor):
                yield one


def _without_graph(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.is_leaf else value.detach()
    if isinstance(value, list) and any(isinstance(one, Tensor) for one in value):
        value[:] = [_without_graph(one) if isinstance(one, Tensor) else one for one in value]
    if isinstance(value, dict):
        cut = {key: one.detach() for key, one in value.items() if isinstance(one, Tensor)}
        value.update(cut)
    if type(value) is tuple and any(isinstance(one, Tensor) for one in value):
        return tuple(_without_graph(one) if isinstance(one, Tensor) else one for one in value)
    return value
