import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.samplers import EpisodeSampler


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(2, 8),
    st.integers(1, 3),
    st.integers(1, 3),
    st.floats(0, 0.99),
    st.integers(0, 2**32 - 1),
)
def test_an_episode_has_way_classes_of_other_items_class_by_class(
    group_sizes: list[int], way: int, shot: int, queries: int, within: float, seed: int
) -> None:
    each = shot + queries
    n_classes = max(sum(group_sizes), way)
    group_sizes[-1] += n_classes - sum(group_sizes)
    sizes = [each + c % 3 for c in range(n_classes)]
    labels = torch.arange(n_classes).repeat_interleave(torch.tensor(sizes))
    group_of = torch.arange(len(group_sizes)).repeat_interleave(torch.tensor(group_sizes))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed % 7))
    labels = labels[order]
    groups = group_of[labels]
    sampler = EpisodeSampler(way, shot, queries, within, n_batches=30).bind(
        labels, groups, seed=seed
    )
    whole = 0
    for batch in sampler:
        assert batch.shape == (way * each,)
        assert len(batch.unique()) == way * each
        rows = labels[batch].view(way, each)
        assert bool((rows == rows[:, :1]).all())
        assert len(rows[:, 0].unique()) == way
        present = torch.bincount(group_of[rows[:, 0]], minlength=len(group_sizes))
        # Of one group as far as it reaches.
        whole += any(int(present[g]) == min(way, size) for g, size in enumerate(group_sizes))
    assert whole >= int(30 * within)


def test_the_share_within_a_group_is_exact() -> None:
    labels = torch.arange(100).repeat_interleave(4)
    groups = labels // 20
    sampler = EpisodeSampler(way=10, within=0.75, n_batches=200).bind(labels, groups)
    alone = sum(len(groups[batch].unique()) == 1 for batch in sampler)
    assert alone == 150


def test_classes_are_equally_frequent_though_groups_differ_in_size() -> None:
    labels = torch.arange(60).repeat_interleave(4)
    groups = (labels >= 10).long() + (labels >= 30).long()
    sampler = EpisodeSampler(way=10, within=1.0, n_batches=3000).bind(labels, groups)
    counts = torch.bincount(labels[torch.cat(list(sampler))], minlength=60)
    share = counts / counts.sum()
    assert share.tolist() == pytest.approx([1 / 60] * 60, rel=0.15)


def test_items_of_a_class_are_dealt_in_turn() -> None:
    labels = torch.arange(4).repeat_interleave(10)
    sampler = EpisodeSampler(way=4, shot=1, queries=1).bind(labels)
    # All four classes are in every episode, so five episodes are one pass of every item.
    assert torch.cat(list(sampler)).sort().values.tolist() == list(range(40))


def test_items_pair_up_anew_in_a_long_epoch() -> None:
    labels = torch.arange(4).repeat_interleave(10)
    sampler = EpisodeSampler(way=4, n_batches=600).bind(labels)
    partners = {tuple(sorted(row)) for b in sampler for row in b.view(4, 2).tolist() if row[0] < 10}
    assert len(partners) == 45


def test_a_small_group_is_filled_up_from_others() -> None:
    labels = torch.arange(12).repeat_interleave(2)
    groups = (labels >= 3).long()
    sampler = EpisodeSampler(way=6, within=1.0, n_batches=100).bind(labels, groups)
    kinds = {tuple(torch.bincount(groups[batch][::2], minlength=2).tolist()) for batch in sampler}
    assert kinds == {(3, 3), (0, 6)}


def test_classes_with_too_few_items_take_no_part() -> None:
    sizes = torch.tensor([1, 3, 3, 3, 2])
    labels = torch.arange(5).repeat_interleave(sizes)
    sampler = EpisodeSampler(way=3, shot=1, queries=2, n_batches=20).bind(labels)
    assert {int(c) for batch in sampler for c in labels[batch]} == {1, 2, 3}
    with pytest.raises(InvalidDataError, match=r"way=4 classes.*3 of the 5"):
        EpisodeSampler(way=4, shot=1, queries=2).bind(labels)


def test_more_ways_than_classes_are_refused() -> None:
    labels = torch.arange(10).repeat_interleave(4)
    with pytest.raises(InvalidDataError, match="way=20"):
        EpisodeSampler(way=20).bind(labels)
    with pytest.raises(InvalidDataError, match="within=1; the largest has 5"):
        EpisodeSampler(way=6, within=1).bind(labels, labels // 5)


def test_an_epoch_shows_as_many_images_as_there_are() -> None:
    sampler = EpisodeSampler(way=5, shot=1, queries=3).bind(torch.arange(10).repeat_interleave(20))
    assert len(sampler) == 10


@pytest.mark.parametrize(
    "params", [{"way": 1}, {"shot": 0}, {"queries": 0}, {"within": -0.1}, {"n_batches": 0}]
)
def test_a_bad_argument_is_named(params: dict[str, float]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        EpisodeSampler(**params)  # type: ignore[arg-type]


def test_aligned_episodes_take_supports_of_one_drawer_and_queries_of_another() -> None:
    labels = torch.arange(40).repeat(6)
    drawers = torch.arange(6).repeat_interleave(40)
    sampler = EpisodeSampler(10, queries=2, episodes=3, n_batches=50, aligned=True).bind(
        labels, labels // 20
    )
    seen = torch.zeros(6)
    for batch in sampler:
        places = drawers[batch].view(3, 10, 3)
        assert bool((places == places[:, :1]).all())
        assert all(len(episode.unique()) == 3 for episode in places)
        assert bool((labels[batch].view(3, 10, 3).diff(dim=2) == 0).all())
        seen += torch.bincount(places[:, 0].flatten(), minlength=6)
    assert float(seen.min()) > 0.7 * float(seen.mean())


def test_aligned_classes_of_other_sizes_are_refused() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1])
    with pytest.raises(InvalidDataError, match=r"aligned=True.*2 to 3"):
        EpisodeSampler(2, aligned=True).bind(labels)


class LargestNew(TorchDispatchMode):
    """Records the size of the largest tensor that is made, in memory of its own."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not any(result is given for given in args):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("groups", [False, True])
def test_an_episode_is_drawn_in_steps_of_its_way_however_many_classes(groups: bool) -> None:
    labels = torch.arange(50_000).repeat_interleave(2)
    batches = iter(EpisodeSampler(5).bind(labels, labels // 20 if groups else None))
    next(batches)  # an epoch's own work: shuffling, once
    with LargestNew() as made:
        for _ in range(5):
            next(batches)
    assert 0 < made.elements <= 4 * 20
