"""The batch-all triplet loss against naive loops and pytorch-metric-learning."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit.errors import InvalidParameterError
from siamesekit.losses import (
    BatchAllTripletLoss,
    batch_all_triplet_loss,
    batch_all_triplet_loss_from_embeddings,
)

MARGIN = 0.5


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    size = draw(st.integers(2, 9))
    labels = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    points = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    x = torch.tensor(points, dtype=torch.float64) * draw(st.sampled_from([0.25, 0.1]))
    return (x[:, None] - x[None, :]).abs(), torch.tensor(labels)


def naive(d: Tensor, labels: Tensor) -> tuple[Tensor, int, int]:
    """Return the sum of charges (with its graph), the triplets, and the active ones."""
    total, count, active = d.sum() * 0, 0, 0
    for a, p, n in itertools.product(range(len(labels)), repeat=3):
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]:
            charge = (d[a, p] - d[a, n] + MARGIN).relu()
            total, count, active = total + charge, count + 1, active + int(charge > 0)
    return total, count, active


@given(batches())
@settings(max_examples=120, deadline=None)
def test_value_and_gradient_are_the_naive_ones(batch: tuple[Tensor, Tensor]) -> None:
    d, labels = batch
    ours_d, naive_d = d.clone().requires_grad_(), d.clone().requires_grad_()
    ours = batch_all_triplet_loss(ours_d, labels, MARGIN)
    total, count, active = naive(naive_d, labels)
    assert int(ours.n_triplets) == count
    assert int(ours.n_active) == active
    torch.testing.assert_close(ours.mean, total / max(1, count))
    torch.testing.assert_close(ours.active, total / max(1, active))
    ours.active.backward()
    (total / max(1, active)).backward()
    torch.testing.assert_close(ours_d.grad, naive_d.grad)


@pytest.mark.parametrize("reduction", ["all", "active"])
@given(seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_equal_to_pytorch_metric_learning(reduction: str, seed: int) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer

    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(20, 3, generator=generator)
    labels = torch.randint(4, (20,), generator=generator)
    distance = LpDistance(normalize_embeddings=False)
    reducer = MeanReducer() if reduction == "all" else AvgNonZeroReducer()
    theirs_z, ours_z = z.clone().requires_grad_(), z.clone().requires_grad_()
    theirs = TripletMarginLoss(MARGIN, distance=distance, reducer=reducer)(theirs_z, labels)
    ours = BatchAllTripletLoss(MARGIN, reduction)(-distance(ours_z), labels)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    theirs.backward()
    ours.backward()
    torch.testing.assert_close(ours_z.grad, theirs_z.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, 0, 0], [0, 1, 2], [0]])
def test_without_triplets_the_loss_is_a_differentiable_zero(labels: list[int]) -> None:
    d = torch.rand(len(labels), len(labels)).requires_grad_()
    loss = batch_all_triplet_loss(d, torch.tensor(labels), MARGIN).active
    loss.backward()
    assert loss.item() == 0
    assert not d.grad.any()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_from_embeddings_give_the_same(block: int) -> None:
    generator = torch.Generator().manual_seed(0)
    z, labels = torch.randn(50, 4, generator=generator), torch.arange(50) % 7
    whole_z, block_z = z.clone().requires_grad_(), z.clone().requires_grad_()

    # cdist by differences: its matrix-product form would depend on the block.
    def distance(a: Tensor, b: Tensor) -> Tensor:
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")

    whole = batch_all_triplet_loss(distance(whole_z, whole_z), labels, MARGIN)
    blocked = batch_all_triplet_loss_from_embeddings(block_z, labels, MARGIN, distance, block)
    torch.testing.assert_close(blocked.active, whole.active)
    assert int(blocked.n_triplets) == int(whole.n_triplets)
    whole.active.backward()
    blocked.active.backward()
    torch.testing.assert_close(block_z.grad, whole_z.grad, rtol=1e-4, atol=1e-6)


def test_no_tensor_of_triplets_is_made(largest_tensor: Any) -> None:
    size = 256
    d = torch.rand(size, size).requires_grad_()
    with largest_tensor as seen:
        batch_all_triplet_loss(d, torch.arange(size) % 8, MARGIN).mean.backward()
    assert seen.elements <= 2 * size * size


def test_half_precision_is_summed_in_float32() -> None:
    d = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(64) % 4
    half = batch_all_triplet_loss(d, labels, MARGIN).mean
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, batch_all_triplet_loss(d.float(), labels, MARGIN).mean)


def test_a_miner_is_refused_and_parameters_are_checked() -> None:
    from siamesekit._types import Triplets

    with pytest.raises(InvalidParameterError, match="no miner"):
        BatchAllTripletLoss()(torch.zeros(2, 2), torch.zeros(2).long(), Triplets.empty())
    with pytest.raises(InvalidParameterError, match="margin"):
        BatchAllTripletLoss(margin=-0.1)
    with pytest.raises(InvalidParameterError, match="reduction"):
        BatchAllTripletLoss(reduction="mean")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="distance must be a callable"):
        batch_all_triplet_loss_from_embeddings(
            torch.zeros(2, 2),
            torch.zeros(2).long(),
            MARGIN,
            "euclidean",  # type: ignore[arg-type]
        )
