"""Heads ``euclidean`` and ``sqeuclidean``."""

import pytest
import torch
from torch import Tensor

from siamesekit.heads import EuclideanHead, SqEuclideanHead, _squared_distances

both = pytest.mark.parametrize(
    "head", [EuclideanHead(), SqEuclideanHead()], ids=["plain", "squared"]
)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_three_four_five() -> None:
    a, b = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 5.0]])
    assert EuclideanHead()(a, b).tolist() == [[-5.0]]
    assert SqEuclideanHead()(a, b).tolist() == [[-25.0]]


@both
@pytest.mark.parametrize("gap", [1e-6, 1e-4, 1e-2, 1.0])
def test_near_rows_keep_their_relative_accuracy(
    head: EuclideanHead | SqEuclideanHead, gap: float
) -> None:
    a = normal(12, 32).float()
    b = a + gap * normal(12, 32, seed=1).float()
    exact = -torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")
    exact = exact if isinstance(head, EuclideanHead) else -exact.square()
    torch.testing.assert_close(head(a, b).double(), exact, rtol=1e-4, atol=0)


@pytest.mark.parametrize("buffer", [1, 2**22])
def test_gradients_of_near_rows_are_those_of_finite_differences(
    buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_squared_distances, "_BUFFER", buffer)
    far = 3 * normal(4, 3)
    a = far.clone().requires_grad_()
    b = (far + 1e-3 * normal(4, 3, seed=1)).requires_grad_()
    close = SqEuclideanHead()(a, b).diagonal() > -1e-3 * far.square().sum(1)
    assert close.any(), "the case under test does not occur"
    assert torch.autograd.gradcheck(SqEuclideanHead(), (a, b))
    assert torch.autograd.gradcheck(EuclideanHead(), (a, b), eps=1e-8, rtol=1e-2)


def test_direction_of_the_pull_survives_tiny_distances() -> None:
    a = normal(5, 8).float()
    b = a.clone()
    b[0, 3] += 1e-6
    a.requires_grad_()
    EuclideanHead()(a, b)[0, 0].backward()
    assert a.grad is not None
    unit_step = torch.zeros(8)
    unit_step[3] = 1
    torch.testing.assert_close(a.grad[0], unit_step)


@both
def test_equal_rows_score_zero_without_gradient(head: EuclideanHead | SqEuclideanHead) -> None:
    a = normal(1, 6).float().expand(9, 6).clone().requires_grad_()
    for scores in (head(a, a), head.pairs(a, a)):
        assert (scores == 0).all()
        (grad,) = torch.autograd.grad(scores.sum(), a)
        assert (grad == 0).all()


def test_a_batch_in_one_point_has_distance_and_gradient_zero() -> None:
    z = torch.ones(5, 3, requires_grad=True)
    distances = EuclideanHead()(z, z)
    distances.sum().backward()
    assert z.grad is not None
    assert distances.eq(0).all()
    assert z.grad.eq(0).all()
