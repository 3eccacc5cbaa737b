"""What the forward pass of a step changes, and how it is put back."""

import copy
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Rewind", "all_finite"]

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


class Rewind:
    """Remembers a line as it is before a forward pass, and puts it back.

    Remembered are all buffers (statistics of batch normalisation, a cross-batch memory). Of modules
    that are neither torch's nor this package's, weights too: some give them a length as they
    compute. Of these and of the loss, also tensors and collections kept in plain attributes, and
    extra state. Numbers in plain attributes are not: counters go on.

    Parameters
    ----------
    line : nn.Module
        Its loss is ``line.loss``.
    """

    def __init__(self, line: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        self._buffers: list[tuple[dict[str, Any], str, Tensor]] = []
        for module in line.modules():
            if module._buffers:
                self._buffers += self._remember_tensors(module._buffers)
        foreign = [module for module in line.modules() if _is_foreign(module)]
        self._remember_weights(foreign)
        loss = getattr(line, "loss", None)
        of_loss = loss.modules() if isinstance(loss, nn.Module) else ()
        for module in dict.fromkeys([*of_loss, *foreign]):
            self._remember_attributes(module)

    def buffers_stay_finite(self) -> Tensor:
        """Return whether each buffer that was finite still is, a bool on the line's device."""
        pairs = [
            (values[name], old)
            for values, name, old in self._buffers
            if old.is_floating_point() and isinstance(values.get(name), Tensor)
        ]
        if not pairs:
            return torch.ones((), dtype=torch.bool)
        return (_each_finite([n for n, _ in pairs]) | ~_each_finite([o for _, o in pairs])).all()

    @torch.no_grad()
    def undo(self) -> None:
        """Put everything back."""
        for step in self._undo:
            step()

    def _remember_tensors(
        self, values: dict[str, Any], leave: frozenset[str] = frozenset()
    ) -> list[tuple[dict[str, Any], str, Tensor]]:
        before = {
            name: value
            for name, value in values.items()
            if name not in leave and (value is None or isinstance(value, Tensor))
        }
        kept = [
            (values, name, value.detach().clone())
            for name, value in before.items()
            if value is not None and _is_writable(value)
        ]

        def undo() -> None:
            for name in [k for k, v in values.items() if isinstance(v, Tensor)]:
                if name not in before and name not in leave:
                    del values[name]
            values.update(before)
            for _, name, old in kept:
                values[name].copy_(old)

        self._undo.append(undo)
        return kept

    def _remember_weights(self, modules: Sequence[nn.Module]) -> None:
        weights = list(dict.fromkeys(p for module in modules for p in module.parameters()))
        before = [(weight, weight.data, weight.detach().clone()) for weight in weights]

        def undo() -> None:
            for weight, own, old in before:
                # Where the module gave it other numbers, in place or by another tensor.
                weight.data = own
                weight.copy_(old)

        self._undo.append(undo)

    def _remember_attributes(self, module: nn.Module) -> None:
        self._remember_tensors(vars(module), _OF_EVERY_MODULE)
        for name, value in vars(module).items():
            if name not in _OF_EVERY_MODULE and isinstance(value, list | deque | dict | set):
                self._undo.append(_refill(value, copy.copy(value)))
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            state = copy.deepcopy(module.get_extra_state())
            self._undo.append(lambda: module.set_extra_state(state))


def _is_foreign(module: nn.Module) -> bool:
    return type(module).__module__.partition(".")[0] not in ("torch", "siamesekit")


def _is_writable(tensor: Tensor) -> bool:
    """Return whether a forward pass can have written to it: not where places share memory."""
    shared = any(n > 1 and step == 0 for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return not tensor.is_inference() and not shared


def _refill(collection: Any, before: Any) -> Callable[[], None]:
    def undo() -> None:
        collection.clear()
        if isinstance(collection, list | deque):
            collection.extend(before)
        else:
            collection.update(before)

    return undo


def all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Return whether all numbers of some tensors are finite, a bool on their device."""
    values = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    values = [value for value in values if value.numel()]
    return _each_finite(values).all() if values else torch.ones((), dtype=torch.bool)


def _each_finite(tensors: list[Tensor]) -> Tensor:
    # The largest magnitude is not finite if any number is not, and no sum overflows on its way.
    filled = [t if t.numel() else t.new_zeros(1) for t in tensors]
    sizes = torch._foreach_norm(filled, torch.inf)
    return torch.stack([size.float() for size in sizes]).isfinite()
