"""Randomness: everything flows from a ``random_state`` or a ``torch.Generator``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from siamesekit._checks import shown
from siamesekit.errors import InvalidParameterError

__all__ = [
    "RandomState",
    "Seeds",
    "Stream",
    "check_random_state",
    "drawing_from",
    "generator_from",
    "seed_from",
]

RandomState = int | np.random.RandomState | np.random.Generator | torch.Generator | None

_SEEDS = 2**32


def seed_from(random_state: RandomState) -> int:
    """Return a seed in ``[0, 2**32)`` drawn from `random_state`.

    Parameters
    ----------
    random_state : int, numpy RandomState or Generator, torch.Generator or None
        An int is the seed itself; None takes fresh entropy from the system. The others are
        advanced by one draw.

    Raises
    ------
    InvalidParameterError
        If it is none of these or a negative int.
    """
    check_random_state("random_state", random_state)
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(_SEEDS, dtype=np.uint32))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(_SEEDS))
    if isinstance(random_state, torch.Generator):
        draw = torch.randint(_SEEDS, (), generator=random_state, device=random_state.device)
        return int(draw)
    return int(random_state)


def check_random_state(name: str, value: object) -> None:
    """Raise `InvalidParameterError` unless `seed_from` takes `value`; nothing is drawn from it."""
    if value is None or isinstance(
        value, np.random.RandomState | np.random.Generator | torch.Generator
    ):
        return
    is_int = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_int or not 0 <= int(value) < _SEEDS:  # type: ignore[call-overload]
        raise InvalidParameterError(
            f"{name} must be None, an int in [0, 2**32), a numpy RandomState or Generator, "
            f"or a torch.Generator; got {shown(value)}."
        )


def generator_from(
    random_state: RandomState, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a ``torch.Generator`` on `device`; one that is already there is returned itself."""
    if isinstance(random_state, torch.Generator) and random_state.device == torch.device(device):
        return random_state
    return torch.Generator(device=device).manual_seed(seed_from(random_state))


class Stream:
    """A generator, and those of its seed on other devices, where something is drawn there too.

    Parameters
    ----------
    generator : torch.Generator
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generators = {generator.device: generator}
        self._seed = generator.initial_seed()

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator on `device`, made at need."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]

    def state(self) -> dict[torch.device, Tensor]:
        """Return where the generators are."""
        return {device: one.get_state() for device, one in self._generators.items()}

    def go_to(self, state: dict[torch.device, Tensor]) -> None:
        """Let the generators draw once more what they drew after `state` returned this."""
        for device, generator in self._generators.items():
            if device in state:
                generator.set_state(state[device])
            else:
                generator.manual_seed(self._seed)


@contextmanager
def drawing_from(generator: torch.Generator | Stream | int) -> Iterator[None]:
    """Run a block in which all that this thread draws comes from `generator`.

    ``nn.Dropout``, ``nn.init`` and third-party modules take no generator. Inside this block the
    random operators that they end in are handed one, so torch's default generators are neither
    read nor changed, at no moment, and threads do not meet. The numbers are those that a default
    generator in the same state would give.

    Blocks nest: the inner one draws. What is drawn on another device comes from a generator
    there, with the seed of this one.

    Parameters
    ----------
    generator : torch.Generator, Stream or int
        A seed makes a new generator on the CPU.

    Raises
    ------
    InvalidParameterError
        Inside, if random layers are run again in ``backward`` (activation checkpointing): they
        would draw anew, and the gradient would be that of another pass.

    Notes
    -----
    Each operator in the block passes through Python, at some microseconds. NumPy's and Python's
    own global generators are not reached.
    """
    if not isinstance(generator, torch.Generator | Stream):
        generator = torch.Generator().manual_seed(generator)
    stream = generator if isinstance(generator, Stream) else Stream(generator)
    with _ExplicitAttention(), _Drawing(stream):
        yield


class Seeds(nn.Module):
    """A layer that returns a new seed at every call, for layers that draw more than once the same.

    As ``nn.Dropout`` does, it draws from torch's default generator or from what `drawing_from`
    puts in its place.
    """

    def forward(self) -> int:
        """Return an int in ``[0, 2**31)``."""
        return int(torch.randint(2**31, ()))


class _Drawing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands a generator to every operator that draws and was given none."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stream = stream

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if _is_made_of_others(func):
            with self:
                return func.decompose(*args, **kwargs)
        drawing = _with_generator(func)
        if drawing is None or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        device = _device_of(args, kwargs)
        if device.type == "meta":  # nothing is drawn there
            return func(*args, **kwargs)
        # Gradient mode within backward: layers are run again there (activation checkpointing).
        if torch._C._current_graph_task_id() != -1 and torch.is_grad_enabled():
            raise InvalidParameterError(
                "random layers (dropout) cannot be run again in backward, as activation "
                f"checkpointing does; got {func}. Switch off the checkpointing, or the dropout."
            )
        return drawing(*args, **{**kwargs, "generator": self._stream.on(device)})


class _ExplicitAttention(TorchFunctionMode):
    """Keeps attention with dropout from kernels that draw from a default generator alone."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            dropout = kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)
            if dropout > 0:
                # The same operator, written in terms of others; one of them draws.
                return _attention_in_steps(*args, **kwargs)[0]
        return func(*args, **kwargs)


def _attention_in_steps(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    return torch.ops.aten._scaled_dot_product_attention_math(  # type: ignore[no-any-return]
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )


@cache
def _is_made_of_others(func: Any) -> bool:
    """Return whether `func` draws by calling other operators.

    Those come one by one where gradients are wanted, and else `func` itself.
    """
    return torch.Tag.nondeterministic_seeded in func.tags and (
        torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    )


@cache
def _with_generator(func: Any) -> Callable[..., Any] | None:
    """Return what draws like the operator `func` and takes a generator; None if it draws not."""
    if func in _REPLACEMENTS:
        return _REPLACEMENTS[func]
    arguments = {argument.name for argument in func._schema.arguments}
    if "generator" in arguments:
        return func  # type: ignore[no-any-return]
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return None
    packet = func.overloadpacket
    for name in packet.overloads():
        overload = getattr(packet, name)
        taken = {argument.name for argument in overload._schema.arguments}
        if taken == arguments | {"generator"}:
            return overload  # type: ignore[no-any-return]
    # An attention without dropout, a cuDNN network that is handed its dropout's state.
    return None


def _native_dropout(
    x: Tensor, p: float, train: bool | None, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    if train is False:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * kept / (1 - p) if p < 1 else torch.zeros_like(x), kept


def _rand_like(x: Tensor, *, generator: torch.Generator, **options: Any) -> Tensor:
    return torch.empty_like(x, **options).uniform_(generator=generator)


def _randn_like(x: Tensor, *, generator: torch.Generator, **options: Any) -> Tensor:
    return torch.empty_like(x, **options).normal_(generator=generator)


def _randint_like(x: Tensor, *limits: int, generator: torch.Generator, **options: Any) -> Tensor:
    low, high = limits if len(limits) == 2 else (0, *limits)
    return torch.empty_like(x, **options).random_(low, high, generator=generator)


_aten = torch.ops.aten
# Operators that take no generator in every version of torch that this package runs on.
_REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    _aten.native_dropout.default: _native_dropout,
    _aten.rand_like.default: _rand_like,
    _aten.randn_like.default: _randn_like,
    _aten.randint_like.default: _randint_like,
    _aten.randint_like.low_dtype: _randint_like,
}


def _device_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device:
    """Return where an operator draws: at its tensors, or where it is asked to make one."""
    if kwargs.get("device") is not None:
        device = torch.device(kwargs["device"])
    else:
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        device = next((tensor.device for tensor in tensors), torch.device("cpu"))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device
