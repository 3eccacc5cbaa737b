import pytest
import torch
from torch import Tensor

from siamesekit._random import drawing_from
from siamesekit.errors import InvalidParameterError
from siamesekit.heads import CosineConcatHead, cosine_concat


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(dim: int, hidden: int = 7, dropout: float = 0.0) -> CosineConcatHead:
    with drawing_from(0):
        return CosineConcatHead(hidden, dropout).build(dim).double()


def naive(head: CosineConcatHead, a: Tensor, b: Tensor) -> Tensor:
    """Return the logit of one pair, written out, the hidden layer averaged over both orders."""

    def hidden(a: Tensor, b: Tensor) -> Tensor:
        cosine = torch.dot(a, b) / (a.norm() * b.norm())
        features = torch.cat([(a - b) ** 2, a**2 - b**2, cosine[None]])
        return torch.relu(head.dense(features))

    return head.logit((hidden(a, b) + hidden(b, a)) / 2)[0]


@pytest.mark.parametrize("tile", [1, 200, 2**22])
def test_equal_to_the_network_written_out(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine_concat, "_TILE", tile)
    head = built(5)
    a, b = normal(6, 5), normal(9, 5, seed=1)
    expected = torch.stack([torch.stack([naive(head, x, y) for y in b]) for x in a])
    torch.testing.assert_close(head(a, b), expected)
    torch.testing.assert_close(head.pairs(a, b[:6]), expected.diagonal())


@pytest.mark.parametrize("tile", [1, 200, 2**22])
def test_gradients_do_not_depend_on_tiles(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine_concat, "_TILE", tile)
    head = built(3)
    a, b = normal(4, 3).requires_grad_(), normal(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b, *_: head(a, b), (a, b, *head.parameters()))


def test_dropout_acts_in_training_only() -> None:
    head = built(4, dropout=0.5)
    a = normal(8, 4)
    with drawing_from(0):
        assert not torch.equal(head(a, a), head(a, a))
        head.eval()
        assert torch.equal(head(a, a), head(a, a))


def test_dropout_is_the_same_again_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine_concat, "_TILE", 100)
    head = built(4, dropout=0.5)
    a = normal(8, 4).requires_grad_()
    with drawing_from(3):
        scores = head(a, a)
        (grad,) = torch.autograd.grad(scores.sum(), head.logit.weight)
    # The score is linear in these weights, so the dropped units must be those of the gradient.
    torch.testing.assert_close((grad * head.logit.weight).sum(), (scores - head.logit.bias).sum())


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 0), ("hidden", 2.5), ("dropout", 1.0), ("dropout", -0.1)]
)
def test_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        CosineConcatHead(**{name: value})  # type: ignore[arg-type]
