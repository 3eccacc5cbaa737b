"""Where an operation written by hand may run, and its gradients where it may not.

Hand-written operations (spectra for a convolution, one pass for a distance) are fast, and know one
thing: to be carried out. A compiler or an exporter must see plain operators in their place, or it
records tables and loops that belong to one batch; transforms such as ``vmap`` and forward-mode
derivatives know no rule for them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["is_eager", "plain_gradients"]


def is_eager(*tensors: Any) -> bool:
    """Return whether operations on `tensors` are carried out as they come, and no more.

    Not so while they are compiled, exported, traced or fused, inside a transform of ``torch.func``,
    with forward-mode derivatives, or where something is no plain tensor.

    Parameters
    ----------
    *tensors : Tensor
        What the operation takes.
    """
    # First, for a compiler takes this for a constant and looks no further.
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    if not all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors):
        return False
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    modes = torch._C._TorchDispatchModeKey.__members__.values()
    return all(torch._C._get_dispatch_mode(mode) is None for mode in modes)


def plain_gradients(
    plain: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again, by way of the plain form.

    For the ``backward`` of a hand-written operation in which gradient mode is on (a gradient of
    the gradient is wanted) or gradients are no plain tensors (they come in batches).

    Parameters
    ----------
    plain : callable
        From `inputs` to what the operation returns, in operators that autograd knows.
    inputs : sequence of Tensor
        As the operation saved them.
    grad : Tensor
        Gradient of the outcome.

    Returns
    -------
    tuple of Tensor or None
        One for each input; None where it needs no gradient.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, or hooks on the inputs themselves would run here as well.
        views = [x.view_as(x) for x in inputs]
        wanted = [x for x in views if x.requires_grad]
        found = iter(torch.autograd.grad(plain(*views), wanted, grad, create_graph=again))
    return tuple(next(found) if x.requires_grad else None for x in inputs)
