"""The peer's network: torch's own convolutions in place of the library's."""

import copy
from typing import TypeVar

from torch import nn

__all__ = ["with_torch_convolutions"]

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def with_torch_convolutions(network: NetworkT) -> NetworkT:
    """Return a copy of `network` whose convolutions are ``nn.Conv2d`` with the same weights."""
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and type(layer) is not nn.Conv2d:
                plain = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size)
                plain.load_state_dict(layer.state_dict())
                setattr(parent, name, plain.to(layer.weight.device))
    return copied
