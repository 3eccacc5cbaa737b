"""Randomness flows from what is given, and global generators are left alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from siamesekit._random import drawing_from, generator_from, seed_from
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


def dropped_attention(x: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)


DRAWS: dict[str, Callable[[], Tensor]] = {
    "rand": lambda: torch.rand(5),
    "rand out": lambda: torch.rand(3, out=torch.empty(3)),
    "rand_like": lambda: torch.rand_like(torch.zeros(3)),
    "randn": lambda: torch.randn(3, 4),
    "randn_like": lambda: torch.randn_like(torch.zeros(3)),
    "randint": lambda: torch.randint(2, 9, (5,)),
    "randint_like": lambda: torch.randint_like(torch.zeros(5), 9),
    "randint_like low": lambda: torch.randint_like(torch.zeros(5), 2, 9),
    "randperm": lambda: torch.randperm(9),
    "normal": lambda: torch.normal(torch.zeros(3), 1.0),
    "normal numbers": lambda: torch.normal(0.0, 1.0, (4,)),
    "bernoulli": lambda: torch.bernoulli(torch.full((9,), 0.5)),
    "bernoulli p": lambda: torch.bernoulli(torch.zeros(9), 0.5),
    "bernoulli_": lambda: torch.zeros(9).bernoulli_(0.5),
    "multinomial": lambda: torch.multinomial(torch.ones(9), 3),
    "poisson": lambda: torch.poisson(torch.ones(4)),
    "exponential_": lambda: torch.empty(3).exponential_(),
    "gamma": lambda: torch.distributions.Gamma(torch.ones(3), torch.ones(3)).sample(),
    "dropout": lambda: functional.dropout(torch.ones(20), 0.5),
    "native dropout": lambda: torch.native_dropout(torch.ones(20), 0.5, True)[0],
    "dropout of maps": lambda: functional.dropout1d(torch.ones(2, 9, 3), 0.5),
    "alpha dropout": lambda: functional.alpha_dropout(torch.ones(20), 0.5, True),
    "rrelu": lambda: functional.rrelu(-torch.ones(9), training=True),
    "gumbel": lambda: functional.gumbel_softmax(torch.ones(2, 4)),
    "fractional": lambda: functional.fractional_max_pool2d(
        torch.arange(100.0).view(1, 1, 10, 10), 2, output_size=5
    ),
    "linear": lambda: nn.Linear(3, 4).weight.detach(),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(4, 4)),
    "attention": lambda: dropped_attention(torch.ones(1, 2, 3, 4)),
}


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", DRAWS)
def test_all_draws_come_from_the_generator_and_are_those_of_a_global_seed(
    name: str, gradients: bool
) -> None:
    with torch.random.fork_rng(), torch.inference_mode(not gradients):
        torch.manual_seed(5)
        expected = DRAWS[name]()
        torch.manual_seed(9)
        before = torch.get_rng_state()
        with drawing_from(5):
            drawn = DRAWS[name]()
        assert torch.equal(drawn, expected)
        assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_goes_on_where_it_was() -> None:
    generator = torch.Generator().manual_seed(3)
    with drawing_from(generator):
        first = torch.rand(2)
    with drawing_from(generator):
        second = torch.rand(2)
    assert torch.equal(
        torch.cat([first, second]), torch.rand(4, generator=generator.manual_seed(3))
    )


def test_the_inner_of_nested_blocks_draws_and_explicit_generators_are_kept() -> None:
    own = torch.Generator().manual_seed(1)
    with drawing_from(2):
        a = torch.rand(2)
        with drawing_from(1):
            assert torch.equal(torch.rand(2), torch.rand(2, generator=own))
        b = torch.rand(2)
    with drawing_from(2):
        assert torch.equal(torch.rand(4), torch.cat([a, b]))


def test_threads_do_not_meet() -> None:
    def draw(seed: int) -> Tensor:
        with drawing_from(seed):
            return torch.cat([functional.dropout(torch.ones(8), 0.5) for _ in range(50)])

    alone = [draw(seed) for seed in range(4)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(4)))
    assert all(map(torch.equal, alone, together))
    assert torch.equal(torch.get_rng_state(), before)


def test_backward_and_autocast_keep_the_mask() -> None:
    x = torch.ones(64, 8, requires_grad=True)
    with drawing_from(0), torch.autocast("cpu", torch.bfloat16):
        y = functional.dropout(x @ torch.eye(8), 0.5)
        y.float().sum().backward()
    assert torch.equal(x.grad, y.detach().float())  # type: ignore[arg-type]


def test_layers_run_again_in_backward_are_refused() -> None:
    x = torch.ones(8, requires_grad=True)
    with drawing_from(0):
        y = checkpoint(functional.dropout, x, use_reentrant=False)
        with pytest.raises(InvalidParameterError, match="checkpointing"):
            y.sum().backward()


def test_a_recurrent_layer_keeps_its_numbers() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = nn.GRU(3, 4, 2, dropout=0.5)(torch.ones(5, 2, 3))[0]
    with drawing_from(5):
        assert torch.equal(nn.GRU(3, 4, 2, dropout=0.5)(torch.ones(5, 2, 3))[0], expected)
