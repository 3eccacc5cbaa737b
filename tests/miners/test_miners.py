"""Miners against naive triple loops and pytorch-metric-learning."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit import miners, registry
from siamesekit.errors import InvalidDataError, InvalidParameterError

MARGIN = 0.5


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Scores and labels: often with ties, duplicates, singletons, or one class."""
    size = draw(st.integers(0, 9))
    labels = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    # Multiples of a quarter: ties and distances right at the margin are common.
    points = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    step = draw(st.sampled_from([0.25, 0.1, 1 / 3]))
    x = torch.tensor(points, dtype=torch.float32) * step
    return -(x[:, None] - x[None, :]).abs(), torch.tensor(labels, dtype=torch.int64)


def naive(scores: Tensor, labels: Tensor) -> list[tuple[int, int, int, float]]:
    """Return every triplet with its ``t = d(a, n) - d(a, p)``, by three loops."""
    d, n = -scores, len(labels)
    return [
        (a, p, k, float(d[a, k] - d[a, p]))
        for a, p, k in itertools.product(range(n), repeat=3)
        if a != p and labels[a] == labels[p] and labels[a] != labels[k]
    ]


def as_set(triplets: object) -> set[tuple[int, int, int]]:
    a, p, n = triplets  # type: ignore[misc]
    found = list(zip(a.tolist(), p.tolist(), n.tolist(), strict=True))
    assert len(set(found)) == len(found)
    return set(found)


@given(batches())
@settings(max_examples=150, deadline=None)
def test_easy_semihard_and_hard_are_the_naive_partition(batch: tuple[Tensor, Tensor]) -> None:
    triplets = naive(*batch)
    margin = float(torch.tensor(MARGIN))
    easy = as_set(miners.EasyTriplets(MARGIN)(*batch))
    semihard = as_set(miners.SemihardTriplets(MARGIN)(*batch))
    hard = as_set(miners.HardTriplets()(*batch))
    assert easy == {(a, p, n) for a, p, n, t in triplets if t > margin}
    assert semihard == {(a, p, n) for a, p, n, t in triplets if 0 < t <= margin}
    assert hard == {(a, p, n) for a, p, n, t in triplets if t <= 0}
    everything = as_set(miners.AllTriplets()(*batch))
    assert easy | semihard | hard == everything
    assert len(easy) + len(semihard) + len(hard) == len(everything)


@pytest.mark.parametrize("kind", ["easy", "semihard", "hard"])
@given(seed=st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_equal_to_pytorch_metric_learning(kind: str, seed: int) -> None:
    pml = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.miners import TripletMarginMiner

    assert pml.__version__ >= "2.9"
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(24, 3, generator=generator)
    z[3] = z[7]
    labels = torch.randint(5, (24,), generator=generator)
    distance = LpDistance(normalize_embeddings=False)
    theirs = TripletMarginMiner(MARGIN, kind, distance=distance)(z, labels)
    ours = registry.create("miners", kind, **({} if kind == "hard" else {"margin": MARGIN}))
    assert as_set(ours(-distance(z), labels)) == as_set(theirs)


@given(batches())
@settings(max_examples=100, deadline=None)
def test_tensorflows_rule(batch: tuple[Tensor, Tensor]) -> None:
    scores, labels = batch
    d = -scores
    chosen = as_set(miners.TensorFlowSemihard()(scores, labels))
    pairs = {(a, p): None for a, p, _, _ in naive(scores, labels)}
    assert {(a, p) for a, p, _ in chosen} == set(pairs)
    assert len(chosen) == len(pairs)
    for a, p, n in chosen:
        others = [k for k in range(len(labels)) if labels[k] != labels[a]]
        beyond = [float(d[a, k]) for k in others if d[a, k] > d[a, p]]
        wanted = min(beyond) if beyond else max(float(d[a, k]) for k in others)
        assert labels[n] != labels[a]
        assert float(d[a, n]) == wanted


@given(batches())
@settings(max_examples=100, deadline=None)
def test_batch_hard_takes_the_hardest(batch: tuple[Tensor, Tensor]) -> None:
    scores, labels = batch
    d = -scores
    chosen = as_set(miners.BatchHard()(scores, labels))
    assert {a for a, _, _ in chosen} == {a for a, _, _, _ in naive(scores, labels)}
    for a, p, n in chosen:
        own = [k for k in range(len(labels)) if k != a and labels[k] == labels[a]]
        others = [k for k in range(len(labels)) if labels[k] != labels[a]]
        assert p in own
        assert n in others
        assert d[a, p] == max(d[a, k] for k in own)
        assert d[a, n] == min(d[a, k] for k in others)


@given(batches())
@settings(max_examples=60, deadline=None)
def test_pairs(batch: tuple[Tensor, Tensor]) -> None:
    scores, labels = batch
    every = set(zip(*(x.tolist() for x in miners.AllPairs()(scores, labels)), strict=True))
    assert every == set(itertools.combinations(range(len(labels)), 2))
    hard = list(zip(*(x.tolist() for x in miners.HardPairs()(scores, labels)), strict=True))
    assert len(set(hard)) == len(hard)
    assert set(hard) <= every
    d = -scores
    for a in range(len(labels)):
        for same in (True, False):
            own = [k for k in range(len(labels)) if k != a and (labels[k] == labels[a]) == same]
            if own:
                worst = (max if same else min)(float(d[a, k]) for k in own)
                alike = [pair for pair in hard if (labels[pair[0]] == labels[pair[1]]) == same]
                assert any(a in pair and float(d[pair]) == worst for pair in alike)


def test_blocks_of_anchors_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 4, generator=generator)
    scores, labels = -torch.cdist(z, z), torch.arange(40) % 6
    names = ["easy", "semihard", "hard", "tf-semihard"]
    whole = [as_set(registry.create("miners", name)(scores, labels)) for name in names]
    monkeypatch.setattr("siamesekit._triplets._BLOCK", 7 * 40)
    assert [as_set(registry.create("miners", name)(scores, labels)) for name in names] == whole


def test_per_pair_keeps_the_nearest() -> None:
    scores = -torch.tensor([[0.0, 1, 1.1, 1.2, 1.3]] * 5)
    labels = torch.tensor([0, 0, 1, 2, 3])
    a, p, n = miners.SemihardTriplets(0.5, per_pair=2)(scores, labels)
    assert a.tolist().count(0) == 2
    assert p[a == 0].tolist() == [1, 1]
    assert n[a == 0].tolist() == [2, 3]


@pytest.mark.parametrize("name", [n for n in registry.names("miners") if ":" not in n])
def test_miners_draw_no_graph_and_take_half_precision(name: str) -> None:
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(12) % 4
    chosen = registry.create("miners", name)(scores.bfloat16(), labels)
    assert all(index.dtype == torch.int64 for index in chosen)
    assert len(chosen[0]) > 0


@pytest.mark.parametrize("name", [n for n in registry.names("miners") if ":" not in n])
def test_bad_input_is_named(name: str) -> None:
    miner = registry.create("miners", name)
    if name != "all-pairs":
        with pytest.raises(InvalidDataError, match="score matrix"):
            miner(torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64))
        with pytest.raises(InvalidDataError, match="labels"):
            miner(torch.zeros(3, 3), torch.zeros(4, dtype=torch.int64))


def test_bad_parameters_are_named() -> None:
    with pytest.raises(InvalidParameterError, match="margin"):
        miners.SemihardTriplets(margin=-1)
    with pytest.raises(InvalidParameterError, match="per_pair"):
        miners.EasyTriplets(per_pair=0)
