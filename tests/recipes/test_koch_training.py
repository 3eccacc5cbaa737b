"""Optimiser and schedule do as the paper says."""

import pickle

import numpy as np
import pytest
import torch

from siamesekit import recipes
from siamesekit.backbones import KochNet
from siamesekit.errors import InvalidParameterError
from siamesekit.heads import CosineHead, L1Head
from siamesekit.losses import BCELoss, TripletLoss
from siamesekit.training import TrainingLine


def koch_line() -> TrainingLine:
    backbone = KochNet(filters=(2, 2, 2, 2), units=4).build((1, 65, 65))
    return TrainingLine(backbone, L1Head().build(4), BCELoss())


def test_each_layer_has_its_own_numbers() -> None:
    line = koch_line()
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    optimizer = recipes.layerwise_sgd(rates, 0.9, 1e-3)(line)
    assert [group["lr"] for group in optimizer.param_groups] == rates
    counts = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert counts[0] == 2 * 100 + 2
    assert counts[-1] == sum(p.numel() for p in line.head.parameters())
    assert sum(counts) == sum(p.numel() for p in line.parameters())


def test_numbers_of_another_length_and_other_networks_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="rates must be a number or 6"):
        recipes.layerwise_sgd([0.1, 0.2], 0.9, 0.0)
    line = TrainingLine(torch.nn.Linear(3, 2), CosineHead(), TripletLoss())
    with pytest.raises(InvalidParameterError, match="1 layers"):
        recipes.layerwise_sgd(0.1, 0.9, 0.0)(line)


def test_rates_fall_by_one_per_cent_an_epoch_and_momenta_rise_from_a_half() -> None:
    optimizer = recipes.layerwise_sgd(0.1, [0.9, 0.5, 0.0, 0.9, 0.9, 0.9], 0.0)(koch_line())
    schedule = recipes.KochSchedule(optimizer, steps_per_epoch=2, ramp=4)
    seen = []
    for _ in range(10):
        group = optimizer.param_groups
        seen.append((group[0]["lr"], group[0]["momentum"], group[2]["momentum"]))
        optimizer.step()
        schedule.step()
    rates, momenta, falling = (np.array(column) for column in zip(*seen, strict=True))
    np.testing.assert_allclose(rates, 0.1 * 0.99 ** (np.arange(10) // 2))
    np.testing.assert_allclose(momenta, np.minimum(0.9, 0.5 + 0.4 * np.arange(10) / 8))
    np.testing.assert_allclose(falling, np.maximum(0.0, 0.5 - 0.5 * np.arange(10) / 8))


def test_an_optimiser_is_its_numbers() -> None:
    made = recipes.layerwise_sgd(0.1, [0.9] * 6, 0.0)
    assert made == recipes.layerwise_sgd([0.1] * 6, 0.9, 0)
    assert pickle.loads(pickle.dumps(made)) == made
    assert repr(made).startswith("LayerwiseSGD(rates=(0.1, 0.1,")
