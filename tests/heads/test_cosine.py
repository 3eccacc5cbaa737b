import torch

from siamesekit.heads import CosineHead


def test_score_is_the_cosine_less_one() -> None:
    a = torch.tensor([[2.0, 0.0]])
    b = torch.tensor([[5.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    assert CosineHead()(a, b).tolist() == [[0.0, -1.0, -2.0]]


def test_zeros_have_cosine_zero_with_everything() -> None:
    zero, one = torch.zeros(1, 3), torch.ones(1, 3)
    assert CosineHead()(zero, torch.cat([zero, one])).tolist() == [[-1.0, -1.0]]


def test_length_does_not_matter() -> None:
    a = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(CosineHead()(a, a), CosineHead()(100 * a, 0.01 * a))
