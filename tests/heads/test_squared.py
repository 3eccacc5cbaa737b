import torch

from siamesekit.heads import SquaredHead


def test_score_is_a_weighted_sum_of_squared_differences() -> None:
    head = SquaredHead().build(3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([-1.0, 2.0, 0.0]))
        head.bias.fill_(0.5)
    a, b = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[4.0, 0.0, 9.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(head(a, b), torch.tensor([[0.5 - 9 + 2, 0.5]]))


def test_a_common_offset_costs_no_accuracy() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 16, generator=rng).add(1000)
    head = SquaredHead().build(16)
    torch.testing.assert_close(
        head(a, b), head(a.double(), b.double()).float(), rtol=1e-4, atol=1e-4
    )
