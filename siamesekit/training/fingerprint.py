"""What a run is made of, in short: the marks by which a checkpoint knows its own."""

import enum
import functools
import hashlib
import inspect
import logging
import random
import re
import types
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from siamesekit._params import Part
from siamesekit.samplers import Sampler
from siamesekit.training._surroundings import attributes, surroundings
from siamesekit.training.items import Augment, Items, as_protocol

if TYPE_CHECKING:  # a line embeds, and what embeds compares by digests
    from siamesekit.training.line import TrainingLine
    from siamesekit.training.plan import Plan, Validate

__all__ = ["digest", "fingerprint"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, complex, str, bytes, np.generic, enum.Enum, torch.dtype)
_DEEPEST = 10
# Of these, what they are at the moment says nothing of what they are for.
_CHANGED_BY_USE = (
    torch.Generator,
    np.random.Generator,
    np.random.RandomState,
    random.Random,
    logging.Logger,
    types.ModuleType,
)


def fingerprint(
    line: "TrainingLine",
    items: Tensor | Items,
    sampler: Sampler,
    plan: "Plan",
    augment: Augment | None,
    validate: "Validate | None",
    seed: int,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return a digest of each aspect of a run; equal runs have equal ones, in any process.

    The number of epochs is none of them, since a run may be made longer, nor are callbacks, the
    device and the progress bar. Functions are told apart by their name, code, defaults, what they
    enclose and what they take from their module (numbers, strings, arrays, collections of these,
    other functions of the module), objects by their class and attributes; but for what they change
    themselves, as a list that a function appends to.

    Parameters
    ----------
    line, items, sampler, plan, augment, validate, seed
        As `siamesekit.training.train` takes them; the sampler bound.
    facts : mapping, optional
        Further aspects, name to value.
    """
    own = ("learning_rate", "weight_decay", "optimizer", "schedule", "averaging", "patience")
    aspects: dict[str, Any] = {
        "data": as_protocol(items),
        "labels": sampler.labels,
        "groups": sampler.groups,
        "sampler": sampler,
        **{name: getattr(plan, name) for name in own},
        "backbone": _network(line.backbone),
        "head": _network(line.head),
        "loss": _network(line.loss),
        "miner": line.miner,
        "precision": str(line.precision),
        "augment": augment,
        "validation": validate,
        "random_state": (seed, sampler.seed),
        # Said only where there are chunks: runs from before there were any have no such mark.
        **({} if plan.chunk_size is None else {"chunk_size": plan.chunk_size}),
        **(facts or {}),
    }
    return {name: digest(value) for name, value in aspects.items()}


def _network(module: nn.Module) -> tuple[Any, ...]:
    """Return what a network is, whatever its weights.

    Of what its modules keep in plain attributes, numbers, names, functions, and lists of these.
    """
    params = module.get_params(deep=False) if isinstance(module, Part) else None
    shapes = [
        (name, str(value.dtype), tuple(value.shape))
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor)
    ]
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    kept = [
        (name, key, value)
        for name, inner in module.named_modules()
        for key, value in attributes(inner)
        if key not in _OF_EVERY_MODULE and _tells(value)
    ]
    return type(module), params, _ADDRESS.sub("", repr(module)), shapes, trained, kept


def _tells(value: object, module: str | None = None, depth: int = 0) -> bool:
    """Return whether a value belongs to what uses it by name.

    Numbers, strings, arrays, functions (of one module, if it is named), and collections of these;
    weights do not, which are told apart elsewhere.
    """
    if isinstance(value, types.FunctionType):
        return module is None or value.__module__ == module
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return depth < _DEEPEST and all(_tells(inner, module, depth + 1) for inner in value)
    known = (*_PLAIN, Tensor, np.ndarray, functools.partial, types.BuiltinFunctionType)
    return value is None or (isinstance(value, known) and not isinstance(value, nn.Parameter))


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits of what `value` is; equal ones in every process."""
    hasher = hashlib.blake2b(digest_size=16)
    _Feeder(hasher.update).feed(value)
    return hasher.hexdigest()


class _Feeder:
    """Feeds a hash with the content of objects, each told apart from those of other kinds."""

    def __init__(self, update: Callable[[Any], None]) -> None:
        self.update = update
        self.open: set[int] = set()

    def feed(self, value: Any) -> None:
        if id(value) in self.open:  # a cycle
            self.mark("again")
            return
        self.open.add(id(value))
        try:
            self._feed(value)
        finally:
            self.open.discard(id(value))

    def mark(self, *words: object) -> None:
        self.update(("\0".join(map(str, words)) + "\1").encode())

    def _feed(self, value: Any) -> None:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | complex | str | enum.Enum):
            self.mark(type(value).__name__ if not isinstance(value, float) else "float", value)
        elif isinstance(value, bytes | bytearray | PurePath | torch.dtype | torch.device):
            self.mark(type(value).__name__, value)
        elif isinstance(value, Items):
            self.feed(value.content())
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray):
            self._array(value)
        elif isinstance(value, Mapping):
            self.mark("mapping", len(value))
            for key, inner in value.items():
                self.feed(key)
                self.feed(inner)
        elif isinstance(value, list | tuple | deque):
            self.mark("sequence", len(value))
            for inner in value:
                self.feed(inner)
        elif isinstance(value, set | frozenset):
            self.mark("set", *sorted(map(digest, value)))
        elif isinstance(value, type):
            self.mark("class", value.__module__, value.__qualname__)
        elif isinstance(value, _CHANGED_BY_USE):
            self.mark(type(value).__name__)
        else:
            self._object(value)

    def _tensor(self, value: Tensor) -> None:
        plain = value.detach()
        if plain.is_sparse:
            plain = plain.to_dense()
        plain = plain.cpu().contiguous()
        self.mark("tensor", plain.dtype, tuple(plain.shape))
        if plain.numel():
            self.update(plain.reshape(-1).view(torch.uint8).numpy().data)

    def _array(self, value: np.ndarray) -> None:
        self.mark("array", value.dtype.str, value.shape)
        if value.dtype.hasobject:
            for inner in value.ravel().tolist():
                self.feed(inner)
        elif value.size:
            self.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)

    def _object(self, value: Any) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self.mark("method")
            self.feed(value.__func__)
            self.feed(value.__self__)
        elif isinstance(value, functools.partial):
            self.mark("partial")
            for inner in (value.func, value.args, value.keywords):
                self.feed(inner)
        elif isinstance(value, nn.Module):
            self.mark("module")
            self.feed(_network(value))
            self.feed({k: v for k, v in value.state_dict().items() if isinstance(v, Tensor)})
        elif isinstance(value, Part):
            self.mark("part")
            self.feed(type(value))
            self.feed(value.get_params(deep=False))
        else:
            # Of an object without attributes, such as a function of C, the name has to do.
            self.mark("object", getattr(value, "__qualname__", ""))
            self.feed(type(value))
            call = inspect.getattr_static(type(value), "__call__", None)
            if isinstance(call, types.FunctionType):
                self.feed(call)
            for name, inner in attributes(value):
                self.mark(name)
                self.feed(inner)

    def _function(self, function: types.FunctionType) -> None:
        self.mark("function", function.__module__, function.__qualname__)
        self._code(function.__code__)
        self.feed(function.__defaults__)
        self.feed(function.__kwdefaults__)
        for name, value in surroundings(function):
            if name in function.__code__.co_freevars or _tells(value, function.__module__):
                self.mark(name)
                self.feed(value)

    def _code(self, code: types.CodeType) -> None:
        self.mark("code", code.co_names, code.co_varnames, code.co_argcount)
        self.update(code.co_code)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            else:
                self.feed(constant)
