"""The pilot: how much of what is learned helps on classes that were not trained on."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit.estimators._pilot import best_share
from siamesekit.heads import CosineHead
from siamesekit.registry import create
from siamesekit.training import TrainingLine

LABELS = torch.arange(6).repeat_interleave(5)


class Mixed(nn.Module):
    """Items as they are, and a share of noise that hides them or of the class that shows it."""

    shares = (0.0, 0.1, 0.5, 1.0)

    def __init__(self, helps: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.share = 1.0
        self.helps = helps

    def forward(self, x: Tensor) -> Tensor:
        plain, noise, code = x.split(6, dim=1)
        return plain + self.share * (code if self.helps else 10 * noise)


def items() -> Tensor:
    draw = np.random.default_rng(0)
    code = np.eye(6)[LABELS.numpy()]
    plain = code + draw.normal(scale=0.6, size=code.shape)
    return torch.from_numpy(np.hstack([plain, draw.normal(size=code.shape), 10 * code])).float()


@pytest.mark.parametrize(("helps", "share"), [(True, 0.5), (False, 0.1)])
def test_the_least_share_that_is_as_good_as_the_best_and_never_none(
    helps: bool, share: float
) -> None:
    line = TrainingLine(Mixed(helps), CosineHead(), create("losses", "contrastive"))
    assert best_share(line.eval(), items(), LABELS, seed=0) == share
    assert line.backbone.share == share
