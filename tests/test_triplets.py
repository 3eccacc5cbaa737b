"""Floats in order, and triplets found by sorting, where rounding, ties and odd batches are hard."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit import miners
from siamesekit._float_order import codes, last_that_meets
from siamesekit.losses import batch_all_triplet_loss

FLOATS = {torch.float32: 32, torch.float64: 64}
ODD_LABELS = {
    "two items": [0, 1],
    "two of a class": [5, 5],
    "one class": [3] * 8,
    "singletons": list(range(8)),
    "one pair": [4, 1, 0, 2, 4, 3],
    "unsorted": [2, 0, 1, 0, 2, 1, 0, 2],
    "uneven": [7] * 12 + [-1, 0, 1, 1],
    "two large": [0, 1] * 8,
}


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_last_float_that_meets_a_margin(dtype: torch.dtype, data: st.DataObject) -> None:
    floats = st.floats(width=FLOATS[dtype], allow_nan=False, allow_infinity=False)
    positive = torch.tensor(data.draw(st.lists(floats, min_size=1, max_size=4)), dtype=dtype)
    margin = data.draw(
        st.one_of(st.floats(0, 2**30), st.sampled_from([0.0, 1e-45, *positive.abs().tolist()]))
    )

    def meets(d_an: Tensor) -> Tensor:
        return d_an - positive <= margin

    last = last_that_meets(meets, positive + margin)
    assert meets(last).all()
    beyond = torch.nextafter(last, torch.full_like(last, torch.inf))
    assert not meets(beyond)[last < torch.inf].any()


def test_where_no_float_meets_the_condition_the_last_is_minus_infinity() -> None:
    guess = torch.tensor([0.0, torch.nan, torch.inf, -torch.inf])
    assert last_that_meets(lambda d_an: d_an < d_an, guess).tolist() == [-torch.inf] * 4


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_codes_have_the_order_of_the_floats(dtype: torch.dtype, data: st.DataObject) -> None:
    floats = st.one_of(
        st.floats(width=FLOATS[dtype], allow_nan=False), st.sampled_from([0.0, -0.0, 1.0])
    )
    some, others = (
        torch.tensor(data.draw(st.lists(floats, min_size=1, max_size=6)), dtype=dtype)
        for _ in range(2)
    )
    some_codes, other_codes = codes(some, others)
    assert torch.equal(some[:, None] < others, some_codes[:, None] < other_codes)
    assert torch.equal(some[:, None] == others, some_codes[:, None] == other_codes)
    for code in (some_codes, other_codes):
        assert code.dtype == torch.int64
        assert 0 <= int(code.min()) <= int(code.max()) < 2**32


def naive(distances: Tensor, labels: Tensor) -> dict[tuple[int, int, int], Tensor]:
    """Return ``t = d(a, n) - d(a, p)`` of every triplet, by three loops."""
    return {
        (a, p, n): distances[a, n] - distances[a, p]
        for a, p, n in itertools.product(range(len(labels)), repeat=3)
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    }


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ODD_LABELS)
@given(seed=st.integers(0, 2**16), margin=st.sampled_from([0.0, 0.1, 0.7, 1e9]))
@settings(max_examples=10, deadline=None)
def test_odd_batches_are_mined_as_by_loops(
    kind: str, dtype: torch.dtype, seed: int, margin: float
) -> None:
    labels = torch.tensor(ODD_LABELS[kind])
    # Tenths of either sign: neither symmetric nor 0 on the diagonal, with ties, right at a margin.
    generator = torch.Generator().manual_seed(seed)
    d = torch.randint(-9, 10, (len(labels), len(labels)), generator=generator).to(dtype) / 10
    # As masked scores are.
    d[(torch.rand(d.shape, generator=generator) < 0.1) & (labels[:, None] != labels)] = torch.inf
    triplets = naive(d, labels)
    chosen = {
        kind: list(zip(*(column.tolist() for column in miner(-d, labels)), strict=True))
        for kind, miner in {
            "easy": miners.EasyTriplets(margin),
            "semihard": miners.SemihardTriplets(margin),
            "hard": miners.HardTriplets(),
            "all": miners.AllTriplets(),
        }.items()
    }
    expected = {
        "easy": [key for key, t in triplets.items() if t > margin],
        "semihard": [key for key, t in triplets.items() if 0 < t <= margin],
        "hard": [key for key, t in triplets.items() if t <= 0],
        "all": list(triplets),
    }
    for kind, found in chosen.items():
        assert sorted(found) == expected[kind]
        # By anchor and positive, and the nearest negatives of a pair first.
        assert found == sorted(found, key=lambda apn: (*apn[:2], d[apn[0], apn[2]], apn[2]))
    of_loss = batch_all_triplet_loss(d, labels, margin)
    active = [margin - t.double() for t in triplets.values() if -t + margin > 0]
    assert int(of_loss.n_triplets) == len(triplets)
    assert int(of_loss.n_active) == len(active)
    torch.testing.assert_close(
        of_loss.mean * max(1, len(triplets)), torch.tensor(float(sum(active)), dtype=dtype)
    )


@pytest.mark.parametrize("kind", ODD_LABELS)
def test_gradients_of_odd_batches_are_those_of_loops(kind: str) -> None:
    labels = torch.tensor(ODD_LABELS[kind])
    d = torch.rand(len(labels), len(labels), generator=torch.Generator().manual_seed(0))
    ours_d, naive_d = d.clone().requires_grad_(), d.clone().requires_grad_()
    ours = batch_all_triplet_loss(ours_d, labels, 0.3)
    charges = [(0.3 - t).relu() for t in naive(naive_d, labels).values()]
    total = sum(charges, naive_d.sum() * 0)
    (ours.mean * max(1, len(charges))).backward()
    total.backward()
    torch.testing.assert_close(ours_d.grad, naive_d.grad)


def test_distances_of_any_strides_are_taken() -> None:
    d = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    turned = d.T.contiguous().T.requires_grad_()
    plain = d.requires_grad_()
    losses = [batch_all_triplet_loss(x, labels, 0.3).mean for x in (turned, plain)]
    assert losses[0] == losses[1]
    for loss in losses:
        loss.backward()
    assert torch.equal(turned.grad, plain.grad)  # type: ignore[arg-type]
    pairs = zip(*(miners.SemihardTriplets(0.3)(-x, labels) for x in (turned, plain)), strict=True)
    assert all(torch.equal(ours, expected) for ours, expected in pairs)


def test_an_infinite_margin_makes_all_triplets_active() -> None:
    d = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    result = batch_all_triplet_loss(d, torch.arange(6) % 2, torch.inf)
    assert result.n_active == result.n_triplets == 36
    assert result.mean == torch.inf
    result.mean.backward()
    assert d.grad.isfinite().all()  # type: ignore[union-attr]


def test_no_more_than_the_triplets_and_a_block_is_made(largest_tensor: Any) -> None:
    size = 512
    scores = torch.rand(size, size, generator=torch.Generator().manual_seed(0))
    with largest_tensor as seen:
        chosen = miners.SemihardTriplets(0.01)(scores, torch.arange(size) % 64)
    assert seen.elements <= max(len(chosen.a), 2**18)
