from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidParameterError
from siamesekit.samplers import BalancedSampler

class_sizes = st.lists(st.integers(1, 25), min_size=2, max_size=14).filter(lambda s: max(s) > 1)


def labels_of(sizes: list[int]) -> torch.Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


@settings(deadline=None, max_examples=150)
@given(class_sizes, st.integers(2, 8), st.integers(2, 6), st.integers(0, 99))
def test_batches_are_p_classes_of_at_most_k_and_no_item_comes_twice(
    sizes: list[int], classes: int, per_class: int, seed: int
) -> None:
    labels = labels_of(sizes)
    sampler = BalancedSampler(classes, per_class).bind(labels, seed=seed)
    batches = list(sampler)
    items = torch.cat(batches)
    assert len(items) == len(items.unique())
    in_batch = [torch.unique(labels[batch], return_counts=True) for batch in batches]
    widths = [len(names) for names, _ in in_batch]
    assert 2 <= min(widths) <= max(widths) <= min(classes, len(sizes))
    assert max(widths) - min(widths) <= 1
    assert max(int(counts.max()) for _, counts in in_batch) <= per_class
    shown = torch.bincount(labels[items], minlength=len(sizes))
    parts = -(-torch.tensor(sizes) // per_class)
    placeable = int(parts.clamp(max=len(batches)).sum())
    if min(classes, len(sizes)) > 2 or placeable % 2 == 0:
        # What is left out is exactly what has more parts than there are batches.
        assert torch.equal(shown < torch.tensor(sizes), parts > len(batches))
    assert sum(widths) == placeable - (max(widths) == 2 and placeable % 2)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 40), st.integers(2, 25), st.integers(2, 16), st.integers(2, 8))
def test_classes_of_one_size_show_every_item_once(
    n_classes: int, size: int, classes: int, per_class: int
) -> None:
    labels = labels_of([size] * n_classes)
    batches = list(BalancedSampler(classes, per_class).bind(labels))
    shown = sorted(chain(*(batch.tolist() for batch in batches)))
    parts = n_classes * -(-size // per_class)
    if min(classes, n_classes) > 2 or parts % 2 == 0:
        assert shown == list(range(len(labels)))
    else:
        assert len(shown) >= len(labels) - per_class


def test_parts_of_a_class_differ_by_at_most_one() -> None:
    labels = labels_of([10, 10])
    batches = list(BalancedSampler(classes=2, per_class=4).bind(labels))
    counts = [sorted(torch.bincount(labels[batch]).tolist()) for batch in batches]
    assert sorted(chain(*counts)) == [3, 3, 3, 3, 4, 4]


def test_a_class_too_large_for_an_epoch_shows_other_items_in_the_next() -> None:
    sampler = BalancedSampler(classes=4, per_class=2).bind(labels_of([100, 2, 2, 2, 2, 2, 2]))
    seen: set[int] = set()
    for epoch in range(300):
        sampler.set_epoch(epoch)
        batch_items = torch.cat(list(sampler))
        assert set(range(100, 112)) <= set(batch_items.tolist())
        seen |= set(batch_items.tolist())
    assert len(seen) == 112


def test_every_class_meets_every_other() -> None:
    labels = labels_of([8] * 30)
    sampler = BalancedSampler(classes=6, per_class=4).bind(labels)
    met = torch.zeros(30, 30, dtype=torch.bool)
    for epoch in range(60):
        sampler.set_epoch(epoch)
        for batch in sampler:
            present = labels[batch].unique()
            met[present[:, None], present[None]] = True
    assert bool(met.all())


@pytest.mark.parametrize("params", [{"classes": 1}, {"per_class": 1}, {"per_class": 2.5}])
def test_a_bad_argument_is_named(params: dict[str, float]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        BalancedSampler(**params)  # type: ignore[arg-type]
