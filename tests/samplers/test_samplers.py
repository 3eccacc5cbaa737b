"""What holds for every sampler."""

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit import registry
from siamesekit.errors import InvalidDataError, NotBuiltError
from siamesekit.samplers import (
    BalancedSampler,
    EpisodeSampler,
    PairSampler,
    RandomSampler,
    Sampler,
)

LABELS = torch.arange(30).repeat_interleave(6)
GROUPS = LABELS // 10
MAKERS: dict[str, Callable[[], Sampler]] = {
    "random": lambda: RandomSampler(batch_size=32),
    "pairs": lambda: PairSampler(batch_size=32),
    "balanced": lambda: BalancedSampler(classes=8, per_class=3),
    "episodes": lambda: EpisodeSampler(way=8, shot=2, queries=1),
}
each_sampler = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def drawn(sampler: Sampler) -> list[list[int]]:
    return [batch.flatten().tolist() for batch in sampler]


def test_all_are_found_by_name() -> None:
    for name, make in MAKERS.items():
        assert registry.get("samplers", name) is type(make())


@each_sampler
def test_an_epoch_depends_on_seed_and_number_alone(make: Callable[[], Sampler]) -> None:
    sampler = make().bind(LABELS, GROUPS, seed=3)
    first = drawn(sampler)
    sampler.set_epoch(1)
    second = drawn(sampler)
    sampler.set_epoch(0)
    assert drawn(sampler) == first
    assert drawn(make().bind(LABELS, GROUPS, seed=3)) == first
    assert second != first
    assert drawn(make().bind(LABELS, GROUPS, seed=4)) not in (first, second)


@each_sampler
def test_a_half_drawn_epoch_leaves_no_trace(make: Callable[[], Sampler]) -> None:
    sampler = make().bind(LABELS, GROUPS, seed=3)
    whole = drawn(sampler)
    list(itertools.islice(sampler, 2))
    assert drawn(sampler) == whole


@each_sampler
def test_the_global_generators_are_neither_read_nor_changed(make: Callable[[], Sampler]) -> None:
    before = torch.get_rng_state()
    drawn(make().bind(LABELS, GROUPS))
    assert torch.equal(before, torch.get_rng_state())


@each_sampler
def test_the_length_is_the_number_of_batches(make: Callable[[], Sampler]) -> None:
    sampler = make().bind(LABELS, GROUPS)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    assert all(batch.dtype == torch.int64 for batch in batches)


@each_sampler
def test_labels_need_be_neither_dense_nor_sorted(make: Callable[[], Sampler]) -> None:
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0))
    labels, groups = (LABELS * 17 - 5)[order], (GROUPS * 3 - 1)[order]
    for batch in make().bind(labels, groups):
        assert 0 <= int(batch.min()) <= int(batch.max()) < len(labels)
        assert len(labels[batch].unique()) >= 2


@each_sampler
def test_one_class_is_refused(make: Callable[[], Sampler]) -> None:
    with pytest.raises(InvalidDataError, match="labels must hold at least two classes"):
        make().bind(torch.zeros(50, dtype=torch.int64))


@each_sampler
def test_groups_of_another_length_are_refused(make: Callable[[], Sampler]) -> None:
    with pytest.raises(InvalidDataError, match="groups must have one entry"):
        make().bind(LABELS, GROUPS[:-1])


@each_sampler
def test_an_unbound_sampler_says_so(make: Callable[[], Sampler]) -> None:
    with pytest.raises(NotBuiltError, match="bind"):
        next(iter(make()))


@pytest.mark.parametrize("name", ["pairs", "balanced"])
def test_one_item_a_class_is_refused_where_pairs_are_needed(name: str) -> None:
    with pytest.raises(InvalidDataError, match="two items"):
        MAKERS[name]().bind(torch.arange(30))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=120), st.integers(2, 60))
def test_random_shows_every_item_once_in_batches_of_like_size(
    labels: list[int], batch_size: int
) -> None:
    labels[0], labels[1] = 0, 1
    batches = drawn(RandomSampler(batch_size).bind(torch.tensor(labels)))
    assert sorted(itertools.chain(*batches)) == list(range(len(labels)))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= max(batch_size, 3)
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
