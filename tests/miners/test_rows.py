"""Mining from embeddings in blocks gives what mining the whole matrix gives."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from siamesekit import miners, registry
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.heads import EuclideanHead
from siamesekit.miners import RowMiner, mine_from_embeddings

NAMES = [
    name
    for name in registry.names("miners")
    if ":" not in name and issubclass(registry.get("miners", name), RowMiner)
]


def by_differences(a: Tensor, b: Tensor) -> Tensor:
    """Scores that are the same bits whatever the block, which a matrix product's are not."""
    return -(a[:, None] - b[None, :]).abs().sum(2)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    size = draw(st.integers(0, 12))
    labels = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    points = draw(st.lists(st.integers(0, 8), min_size=2 * size, max_size=2 * size))
    z = torch.tensor(points, dtype=torch.float32).reshape(size, 2) / 3
    return z, torch.tensor(labels, dtype=torch.int64)


def test_all_miners_but_all_pairs_mine_in_blocks() -> None:
    built_in = {name for name in registry.names("miners") if ":" not in name}
    assert built_in - set(NAMES) == {"all-pairs"}


@pytest.mark.parametrize("name", NAMES)
@given(batch=batches(), block_rows=st.integers(1, 14))
@settings(max_examples=50, deadline=None)
def test_blocks_give_the_tuples_of_the_whole_matrix(
    name: str, batch: tuple[Tensor, Tensor], block_rows: int
) -> None:
    z, labels = batch
    miner = registry.create("miners", name)
    whole = miner(by_differences(z, z), labels)
    blocked = mine_from_embeddings(miner, z, labels, head=by_differences, block_rows=block_rows)
    assert type(blocked) is type(whole)
    for ours, expected in zip(blocked, whole, strict=True):
        assert ours.dtype == torch.int64
        assert ours.tolist() == expected.tolist()


@given(batch=batches(), block_rows=st.integers(1, 14), per_pair=st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_per_pair_holds_in_blocks(
    batch: tuple[Tensor, Tensor], block_rows: int, per_pair: int
) -> None:
    z, labels = batch
    miner = miners.SemihardTriplets(0.5, per_pair)
    whole = miner(by_differences(z, z), labels)
    blocked = mine_from_embeddings(miner, z, labels, head=by_differences, block_rows=block_rows)
    assert [x.tolist() for x in blocked] == [x.tolist() for x in whole]


def test_a_head_serves_and_no_graph_is_kept() -> None:
    z = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(40) % 6
    head = EuclideanHead()
    whole = miners.TensorFlowSemihard()(head(z, z), labels)
    blocked = mine_from_embeddings(miners.TensorFlowSemihard(), z, labels, head=head, block_rows=7)
    assert [x.tolist() for x in blocked] == [x.tolist() for x in whole]


@pytest.mark.parametrize("name", ["tf-semihard", "batch-hard", "hard-pairs"])
def test_no_tensor_is_larger_than_a_block(name: str, largest_tensor: Any) -> None:
    z = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    with largest_tensor as seen:
        mine_from_embeddings(
            registry.create("miners", name),
            z,
            torch.arange(300) // 2,
            head=lambda a, b: -torch.cdist(a, b),
            block_rows=10,
        )
    assert seen.elements <= 10 * 300


def test_bad_arguments_are_named() -> None:
    z, labels, miner = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), miners.BatchHard()
    head = EuclideanHead()
    with pytest.raises(InvalidParameterError, match="RowMiner"):
        mine_from_embeddings(miners.AllPairs(), z, labels, head=head)  # type: ignore[type-var]
    with pytest.raises(InvalidParameterError, match="block_rows"):
        mine_from_embeddings(miner, z, labels, head=head, block_rows=0)
    with pytest.raises(InvalidParameterError, match="head must be"):
        mine_from_embeddings(miner, z, labels, head="cosine")  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="embeddings"):
        mine_from_embeddings(miner, z.long(), labels, head=head)
    with pytest.raises(InvalidDataError, match="labels"):
        mine_from_embeddings(miner, z, labels[:3], head=head)
    with pytest.raises(InvalidDataError, match="head must give"):
        mine_from_embeddings(miner, z, labels, head=lambda a, b: a)
