import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.samplers import PairSampler


@st.composite
def training_sets(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and groups: 1-4 groups of 1-4 classes of 1-5 items, in any order."""
    shape = draw(
        st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4)
    )
    sizes = [size for group in shape for size in group]
    assume(len(sizes) > 1 and max(sizes) > 1)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    group_of = torch.tensor([g for g, group in enumerate(shape) for _ in group])
    order = torch.randperm(
        len(labels), generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))
    )
    return labels[order], group_of[labels[order]]


@settings(deadline=None, max_examples=80)
@given(
    training_sets(),
    st.integers(2, 40),
    st.floats(0.01, 0.99),
    st.sampled_from(["group", "class"]),
    st.integers(0, 2**32 - 1),
)
def test_half_are_the_same_and_none_is_with_itself(
    data: tuple[torch.Tensor, torch.Tensor], batch_size: int, within: float, uniform: str, seed: int
) -> None:
    labels, groups = data
    sampler = PairSampler(batch_size, n_pairs=101, within=within, uniform=uniform)  # type: ignore[arg-type]
    batches = list(sampler.bind(labels, groups, seed=seed))
    for batch in batches:
        assert batch.shape[1] == 2
        assert bool((batch[:, 0] != batch[:, 1]).all())
        same = labels[batch[:, 0]] == labels[batch[:, 1]]
        assert abs(2 * int(same.sum()) - len(batch)) <= len(batch) % 2
    pairs = torch.cat(batches)
    assert len(pairs) == 101
    a, b = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]].T
    stays = int((groups[a] == groups[b]).sum())
    can_stay = any(len(labels[groups == g].unique()) > 1 for g in groups.unique())
    can_cross = len(groups.unique()) > 1
    share = within if can_stay and can_cross else float(can_stay)
    assert abs(stays - share * len(a)) < 1 + 1e-9


def counts(labels: torch.Tensor, groups: torch.Tensor | None, **params: object) -> torch.Tensor:
    sampler = PairSampler(n_pairs=40_000, **params)  # type: ignore[arg-type]
    pairs = torch.cat(list(sampler.bind(labels, groups)))
    return torch.bincount(labels[pairs].flatten()) / (2 * len(pairs))


@pytest.mark.parametrize("within", [0.0, 0.5, 1.0])
def test_groups_are_equally_frequent_whatever_their_size(within: float) -> None:
    labels = torch.arange(16).repeat_interleave(3)
    groups = (labels >= 2).long() + (labels >= 4).long()
    share = counts(labels, groups, within=within, uniform="group")
    by_group = torch.stack([share[:2].sum(), share[2:4].sum(), share[4:].sum()])
    assert by_group.tolist() == pytest.approx([1 / 3] * 3, abs=0.01)


def test_classes_are_equally_frequent_if_asked() -> None:
    labels = torch.arange(16).repeat_interleave(3)
    groups = (labels >= 2).long() + (labels >= 4).long()
    share = counts(labels, groups, within=1.0, uniform="class")
    assert share.tolist() == pytest.approx([1 / 16] * 16, abs=0.005)


def test_every_other_item_is_an_equally_frequent_partner() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    pairs = torch.cat(list(PairSampler(n_pairs=20_000).bind(labels)))
    table = torch.zeros(7, 7).index_put_(tuple(pairs.T), torch.ones(()), accumulate=True) / 20_000
    assert table[:4, :4].fill_diagonal_(0.25 / 12).flatten().tolist() == pytest.approx(
        [0.25 / 12] * 16, abs=0.004
    )
    assert table[:4, 4:].flatten().tolist() == pytest.approx([0.25 / 12] * 12, abs=0.004)


def test_a_class_of_one_item_takes_part_in_different_pairs_only() -> None:
    labels = torch.tensor([0, 1, 1, 2, 2])
    pairs = torch.cat(list(PairSampler(n_pairs=400).bind(labels)))
    lone = pairs[(pairs == 0).any(dim=1)]
    assert len(lone) > 0
    assert bool((labels[lone[:, 0]] != labels[lone[:, 1]]).all())


def test_an_epoch_has_as_many_pairs_as_items_by_default() -> None:
    sampler = PairSampler(batch_size=8).bind(torch.arange(10).repeat_interleave(5))
    assert [len(batch) for batch in sampler] == [8] * 6 + [2]


def test_without_groups_within_has_no_meaning() -> None:
    labels = torch.arange(10).repeat_interleave(5)
    within, across = (torch.cat(list(PairSampler(within=w).bind(labels))) for w in (1.0, 0.0))
    assert torch.equal(within, across)


def test_groups_that_cannot_give_what_is_asked_are_refused() -> None:
    labels = torch.arange(4).repeat_interleave(2)
    with pytest.raises(InvalidDataError, match="at least two groups for within=0"):
        PairSampler(within=0).bind(labels, torch.zeros_like(labels))
    with pytest.raises(InvalidDataError, match="two classes for within=1"):
        PairSampler(within=1).bind(labels, labels)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"batch_size": 1}, "batch_size"),
        ({"n_pairs": 0}, "n_pairs"),
        ({"within": 1.5}, "within"),
        ({"uniform": "alphabet"}, "uniform"),
    ],
)
def test_a_bad_argument_is_named(params: dict[str, object], name: str) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        PairSampler(**params)  # type: ignore[arg-type]
