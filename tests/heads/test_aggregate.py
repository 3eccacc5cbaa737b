"""How several supports make one score, against loops."""

import pytest
import torch

from siamesekit.heads import CosineHead, EuclideanHead
from siamesekit.heads.aggregate import class_scores, prepared, prototypes, support_scores

CODES = torch.tensor([2, 0, 0, 1, 2, 2])


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_prototype_is_the_mean_of_its_class() -> None:
    z = draw(6, 4)
    expected = torch.stack([z[k == CODES].mean(0) for k in range(3)])
    torch.testing.assert_close(prototypes(z, CODES, 3), expected)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_class_scores(aggregate: str) -> None:
    scores = draw(5, 6)
    of = {"mean": lambda s: s.mean(1), "max": lambda s: s.amax(1)}[aggregate]
    expected = torch.stack([of(scores[:, k == CODES]) for k in range(3)], 1)
    torch.testing.assert_close(class_scores(scores, CODES, 3, aggregate), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_support_scores_are_class_scores_of_equally_many(aggregate: str) -> None:
    scores = draw(5, 3, 4)
    codes = torch.arange(3).repeat_interleave(4)
    torch.testing.assert_close(
        support_scores(scores, aggregate),  # type: ignore[arg-type]
        class_scores(scores.flatten(1), codes, 3, aggregate),  # type: ignore[arg-type]
    )


def test_equals_have_exactly_themselves_as_mean() -> None:
    codes = torch.arange(50).repeat_interleave(torch.arange(1, 51))
    row = draw(1, 16)
    assert (prototypes(row.expand(len(codes), -1), codes, 50) == row).all()
    scores = draw(7, 1)
    assert (class_scores(scores.expand(-1, len(codes)), codes, 50, "mean") == scores).all()
    assert (support_scores(scores[:, None].expand(-1, 3, 11), "mean") == scores).all()


def test_directions_are_averaged_where_only_directions_count() -> None:
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1e9]])
    codes = torch.zeros(3, dtype=torch.int64)
    directions = prototypes(prepared(CosineHead(), z), codes, 1)
    torch.testing.assert_close(directions, torch.tensor([[2 / 3, 1 / 3]]))
    assert prepared(EuclideanHead(), z) is z
    assert prepared(lambda a, b: a @ b.T, z.half()).dtype == torch.float32


def test_the_order_of_supports_leaves_no_trace() -> None:
    supports, scores = draw(1, 7, 64), draw(50, 1, 7)
    for seed in range(20):
        order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
        both = torch.cat([supports, supports[:, order]]).flatten(0, 1)
        codes = torch.tensor([0, 1]).repeat_interleave(7)
        assert len(prototypes(both, codes, 2).unique(dim=0)) == 1
        of_both = torch.cat([scores, scores[..., order]], 1)
        means = support_scores(of_both, "mean")
        assert torch.equal(means[:, 0], means[:, 1])
        # Nor does the number of another class's: a class's score is the same beside any other.
        beside = torch.cat([of_both.flatten(1), draw(50, 3)], 1)
        codes = torch.cat([codes, torch.full((3,), 2)])
        assert torch.equal(class_scores(beside, codes, 3, "mean")[:, :2], means)
