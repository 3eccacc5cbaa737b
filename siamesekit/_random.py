"""Randomness: everything flows from a ``random_state`` or a ``torch.Generator``."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import torch

from siamesekit.errors import InvalidParameterError

__all__ = ["RandomState", "generator_from", "isolated_rng", "seed_from"]

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
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(_SEEDS, dtype=np.uint32))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(_SEEDS))
    if isinstance(random_state, torch.Generator):
        draw = torch.randint(_SEEDS, (), generator=random_state, device=random_state.device)
        return int(draw)
    is_int = isinstance(random_state, Integral) and not isinstance(random_state, bool)
    if is_int and 0 <= int(random_state) < _SEEDS:
        return int(random_state)
    raise InvalidParameterError(
        "random_state must be None, an int in [0, 2**32), a numpy RandomState or Generator, "
        f"or a torch.Generator; got {random_state!r}."
    )


def generator_from(
    random_state: RandomState, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a ``torch.Generator`` on `device`; one that is already there is returned itself."""
    if isinstance(random_state, torch.Generator) and random_state.device == torch.device(device):
        return random_state
    return torch.Generator(device=device).manual_seed(seed_from(random_state))


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Run a block whose draws from torch's default generators depend on `seed` alone.

    ``nn.Dropout``, ``nn.init`` and third-party modules take no generator. Inside this block they
    draw from default generators that start at `seed`; afterwards those are as they were before,
    so the caller's global state is neither read nor changed.

    Parameters
    ----------
    seed : int
        In ``[0, 2**32)``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
