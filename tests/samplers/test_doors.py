"""What every sampler refuses, and what an epoch is at its edges."""

import time

import numpy as np
import pytest
import torch

from siamesekit import registry
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.samplers import BalancedSampler, EpisodeSampler, RandomSampler, Sampler

NAMES = ["balanced", "episodes", "pairs", "random"]
LABELS = torch.arange(40) % 20


def make(name: str) -> Sampler:
    sampler: Sampler = registry.create("samplers", name)
    return sampler


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "labels",
    [LABELS.tolist(), LABELS.numpy(), None, LABELS.float(), LABELS[None], torch.tensor(3)],
    ids=["list", "array", "None", "floats", "matrix", "number"],
)
def test_labels_that_are_no_vector_of_integers_are_named(name: str, labels: object) -> None:
    with pytest.raises(InvalidDataError, match="labels must be a Tensor of int64"):
        make(name).bind(labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_groups_and_seeds_are_named(name: str) -> None:
    with pytest.raises(InvalidDataError, match="groups must be a Tensor"):
        make(name).bind(LABELS, np.zeros(40))  # type: ignore[arg-type]
    for seed in ("a", None, -1, 1.5):
        with pytest.raises(InvalidParameterError, match="seed"):
            make(name).bind(LABELS, seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_in_two_groups_is_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match="a class in one group"):
        make(name).bind(LABELS, torch.arange(40) // 20)


@pytest.mark.parametrize("name", NAMES)
def test_before_bind_there_is_no_length_and_no_batch(name: str) -> None:
    with pytest.raises(NotBuiltError, match="bind"):
        len(make(name))
    with pytest.raises(NotBuiltError, match="bind"):
        next(iter(make(name)))


@pytest.mark.parametrize("batch_size", [2, 3, 4, 7, 256])
def test_random_batches_leave_no_single_item(batch_size: int) -> None:
    for n in range(2, 40):
        sampler = RandomSampler(batch_size).bind(torch.arange(n) % 2)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(torch.cat(batches).tolist()) == list(range(n))
        assert min(map(len, batches)) >= 2
        assert max(map(len, batches)) <= max(batch_size, 3)


def test_episodes_of_many_classes_are_drawn_as_fast_as_of_few() -> None:
    def seconds(classes: int) -> float:
        sampler = EpisodeSampler(way=20, n_batches=30).bind(torch.arange(classes).repeat(2))
        list(sampler)
        start = time.perf_counter()
        batches = list(sampler)
        assert all(len(set(batch.tolist())) == 40 for batch in batches)
        return time.perf_counter() - start

    # 50 times the classes; the shuffling of an epoch grows with them, the batches do not.
    assert seconds(100_000) < 20 * seconds(2_000) + 0.2


def test_an_epoch_that_shows_few_of_the_items_is_warned_of() -> None:
    labels = (torch.arange(1000) < 8).long()
    with pytest.warns(UserWarning, match="shows .* of 1000 items in 1 batches"):
        BalancedSampler(2, 64).bind(labels)
