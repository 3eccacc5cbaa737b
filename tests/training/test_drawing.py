"""Fits draw from generators of their own: reproducible in threads, and no one else is touched."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.samplers import BalancedSampler
from siamesekit.training import History, Plan, TrainingLine, train


class FunctionalDropout(nn.Module):
    """Draws where no layer says so."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(self.net(x), 0.3, self.training)


BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "layers": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3)),
    "foreign": FunctionalDropout,
}


def trained(seed: int, backbone: str, head: str, saw: list[Tensor] | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(24, 6, generator=generator), torch.arange(3).repeat_interleave(8)
    with drawing_from(seed):
        line = TrainingLine(
            BACKBONES[backbone](),
            registry.create("heads", head).build(8),
            registry.create("losses", "bce" if head == "cosine-concat" else "episodic").build(8, 3),
        )

    def watch(line: TrainingLine, history: History) -> None:
        if saw is not None:
            saw.append(torch.rand(2))

    sampler = BalancedSampler(classes=3, per_class=4).bind(y, seed=seed)
    train(line, x, y, sampler, Plan(max_epochs=3), seed=seed, callbacks=[watch])
    return torch.cat([p.detach().flatten() for p in line.parameters()])


@pytest.mark.parametrize("head", ["cosine", "cosine-concat"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_threads_train_what_one_alone_trains(backbone: str, head: str) -> None:
    before = torch.get_rng_state()
    alone = [trained(seed, backbone, head) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: trained(seed, backbone, head), range(3)))
    assert all(map(torch.equal, alone, together))
    assert not torch.equal(alone[0], alone[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_callbacks_draw_from_the_callers_generator(backbone: str) -> None:
    saw: list[Tensor] = []
    with torch.random.fork_rng():
        torch.manual_seed(4)
        expected = torch.rand(6)
        torch.manual_seed(4)
        trained(0, backbone, "cosine", saw)
    assert torch.equal(torch.cat(saw), expected)


def test_no_hook_is_left_on_a_layer() -> None:
    layer = nn.Dropout(0.3)
    BACKBONES["kept"] = lambda: nn.Sequential(nn.Linear(6, 8), layer)
    try:
        trained(0, "kept", "cosine")
    finally:
        del BACKBONES["kept"]
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks
