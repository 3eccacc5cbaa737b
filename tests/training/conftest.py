"""A small training set and lines on it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.samplers import BalancedSampler, Sampler
from siamesekit.training import History, Plan, TrainingLine, train

Make = Callable[..., TrainingLine]
RunIt = Callable[..., History]


@pytest.fixture
def blobs() -> tuple[Tensor, Tensor]:
    """Return 48 items of 4 classes, 6 numbers each."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(12)
    centres = 3 * torch.randn(4, 6, generator=generator)
    return centres[labels] + torch.randn(48, 6, generator=generator), labels


@pytest.fixture
def make() -> Make:
    """Return a maker of lines."""

    def make(
        backbone: nn.Module | Callable[[], nn.Module] | None = None,
        head: str = "cosine",
        loss: str = "episodic",
        miner: str | None = None,
    ) -> TrainingLine:
        with drawing_from(0):
            if backbone is not None and not isinstance(backbone, nn.Module):
                backbone = backbone()
            return TrainingLine(
                backbone or nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)),
                registry.create("heads", head).build(8),
                registry.create("losses", loss).build(8, 4),
                None if miner is None else registry.create("miners", miner),
            )

    return make


@pytest.fixture
def fit(blobs: tuple[Tensor, Tensor]) -> RunIt:
    """Return a trainer of lines on the small training set."""
    x, y = blobs

    def fit(
        line: TrainingLine, items: Tensor = x, sampler: Sampler | None = None, **options: object
    ) -> History:
        sampler = BalancedSampler(4, 3) if sampler is None else sampler
        sampler.bind(y, seed=0)
        names = set(Plan.__dataclass_fields__) & set(options)
        plan = {"max_epochs": 3, "learning_rate": 1e-2, **{n: options.pop(n) for n in names}}
        return train(line, items, y, sampler, Plan(**plan), **options)  # type: ignore[arg-type]

    return fit
