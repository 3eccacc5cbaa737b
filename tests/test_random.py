"""Randomness flows from what is given, and global generators are left alone."""

import numpy as np
import pytest
import torch

from siamesekit._random import generator_from, isolated_rng, seed_from
from siamesekit.errors import InvalidParameterError


@pytest.mark.parametrize(
    "make", [lambda: np.random.RandomState(3), lambda: np.random.default_rng(3),
             lambda: torch.Generator().manual_seed(3), lambda: 3]
)  # fmt: skip
def test_equal_states_give_equal_seeds(make: object) -> None:
    assert seed_from(make()) == seed_from(make())  # type: ignore[operator]


def test_generators_advance_and_none_is_fresh() -> None:
    state = np.random.RandomState(0)
    assert seed_from(state) != seed_from(state)
    assert seed_from(None) != seed_from(None)


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, "seed", True])
def test_other_states_are_refused(bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="random_state"):
        seed_from(bad)  # type: ignore[arg-type]


def test_a_generator_on_the_device_is_itself() -> None:
    generator = torch.Generator()
    assert generator_from(generator) is generator
    assert generator_from(5).initial_seed() == 5


def test_the_isolated_block_neither_reads_nor_changes_global_state() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with isolated_rng(7):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with isolated_rng(7):
        assert torch.equal(torch.rand(3), first)
