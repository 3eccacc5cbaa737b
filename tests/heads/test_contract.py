"""What holds for every built-in head."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.heads import Head

LEARNED = ["l1", "squared", "cosine-concat"]
FIXED = ["euclidean", "sqeuclidean", "cosine"]
every_head = pytest.mark.parametrize("name", LEARNED + FIXED)
every_learned = pytest.mark.parametrize("name", LEARNED)
every_fixed = pytest.mark.parametrize("name", FIXED)


def made(name: str, dim: int, seed: int = 0) -> Head:
    """Return a head in eval mode with weights of both signs; a small one where it has a size."""
    params = {"hidden": 8} if name == "cosine-concat" else {}
    head: Head = registry.create("heads", name, **params).build(dim).eval()
    with drawing_from(seed), torch.no_grad():
        for weight in head.parameters():
            weight.normal_()
    return head


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def embeddings(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two sets of rows: small whole numbers (ties and equal rows) or normal ones of any scale."""
    m, n, dim = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 9))
    rows = normal(m + n, dim, seed=draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        rows = rows.round()
    rows = rows * 10.0 ** draw(st.integers(-3, 2)) + draw(st.sampled_from([0.0, 1.0, 30.0]))
    return rows[:m], rows[m:]


@every_head
@given(sets=embeddings())
@settings(max_examples=60, deadline=None)
def test_pairs_and_cross_form_agree(name: str, sets: tuple[Tensor, Tensor]) -> None:
    a, b = sets
    head = made(name, a.shape[1])
    # In float64 both forms must be one function; the float32 cross form must come near it.
    i, j = torch.cartesian_prod(torch.arange(len(a)), torch.arange(len(b))).T
    exact = head.pairs(a.double()[i], b.double()[j]).view(len(a), len(b))
    torch.testing.assert_close(head(a.double(), b.double()), exact, rtol=1e-9, atol=1e-9)
    size = float(torch.cat([a, b]).abs().max())
    atol = 1e-5 * max(1.0, size, size**2)
    torch.testing.assert_close(head(a, b).double(), exact, rtol=1e-4, atol=atol)
    torch.testing.assert_close(
        head.pairs(a[i], b[j]).double(), exact.view(-1), rtol=1e-4, atol=atol
    )


@every_head
@given(sets=embeddings())
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter(name: str, sets: tuple[Tensor, Tensor]) -> None:
    a, b = (x.double() for x in sets)
    head = made(name, a.shape[1])
    torch.testing.assert_close(head(a, b), head(b, a).T, rtol=1e-9, atol=1e-9)
    k = min(len(a), len(b))
    torch.testing.assert_close(head.pairs(a[:k], b[:k]), head.pairs(b[:k], a[:k]))


@every_head
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    head = made(name, 4).double()
    a = normal(3, 4, seed=1, dtype=torch.float64).requires_grad_()
    b = normal(5, 4, seed=2, dtype=torch.float64).requires_grad_()
    weights = list(head.parameters())

    def cross(a: Tensor, b: Tensor, *_: Tensor) -> Tensor:
        return head(a, b)

    def pairs(a: Tensor, b: Tensor, *_: Tensor) -> Tensor:
        return head.pairs(a, b[: len(a)])

    assert torch.autograd.gradcheck(cross, (a, b, *weights))
    assert torch.autograd.gradcheck(pairs, (a, b, *weights))


@every_head
def test_gradients_of_float32_cross_and_pair_form_agree(name: str) -> None:
    head = made(name, 33)
    a, b, upstream = normal(20, 33, seed=1), normal(20, 33, seed=2), normal(20, seed=3)
    grads = []
    for form in (lambda a, b: head(a, b).diagonal(), head.pairs):
        inputs = [a.clone().requires_grad_(), b.clone().requires_grad_(), *head.parameters()]
        grads.append(torch.autograd.grad((form(*inputs[:2]) * upstream).sum(), inputs))
    for of_cross, of_pairs in zip(*grads, strict=True):
        torch.testing.assert_close(of_cross, of_pairs, rtol=1e-3, atol=1e-3)


class LargestTensor(TorchDispatchMode):
    """Records the most numbers that one operation returned."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                # An expanded view takes no room; its storage does.
                held = value.untyped_storage().nbytes() // value.element_size()
                self.numel = max(self.numel, min(held, value.numel()))
        return result


@every_head
def test_no_tensor_of_all_against_all_times_length(name: str) -> None:
    m, n, dim = 190, 200, 512
    head: Head = registry.create("heads", name).build(dim).eval()
    a, b = normal(m, dim).requires_grad_(), normal(n, dim, seed=1).requires_grad_()
    with LargestTensor() as largest:
        head(a, b).sum().backward()
    assert m * dim <= largest.numel <= 2**22 < m * n * dim / 3


@every_head
def test_equal_and_zero_embeddings_have_finite_gradients(name: str) -> None:
    rows = torch.cat([torch.zeros(2, 5), normal(1, 5).expand(3, 5)])
    head = made(name, 5)
    for form in (head, head.pairs):
        for a, b in ((rows, rows), (rows, rows.flip(0))):
            a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
            scores = form(a, b)
            assert scores.isfinite().all()
            scores.sum().backward()
            for grad in (a.grad, b.grad, *(p.grad for p in head.parameters())):
                assert grad is not None
                assert grad.isfinite().all()
                assert grad.abs().max() < 1e3


@every_head
def test_not_a_number_is_not_hidden(name: str) -> None:
    a = normal(3, 5)
    a[1, 2] = torch.nan
    head = made(name, 5)
    assert head(a, normal(4, 5))[1].isnan().all()
    assert head.pairs(a, normal(3, 5))[1].isnan()


@every_head
def test_computes_in_float32_under_autocast(name: str) -> None:
    a, b = normal(6, 40), normal(7, 40, seed=1)
    head = made(name, 40)
    with torch.autocast("cpu", torch.bfloat16):
        cross, pairs = head(a, b), head.pairs(a, b[:6])
        low = head(a.bfloat16(), b)
    assert low.dtype == torch.float32
    torch.testing.assert_close(cross, head(a, b), rtol=0, atol=0)
    torch.testing.assert_close(pairs, head.pairs(a, b[:6]), rtol=0, atol=0)


@every_head
def test_gradient_comes_back_in_the_type_of_half_precision_embeddings(name: str) -> None:
    a = normal(4, 8).bfloat16().requires_grad_()
    made(name, 8)(a, a).sum().backward()
    assert a.grad is not None
    assert a.grad.dtype == torch.bfloat16


@every_head
@pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0)])
def test_no_rows_give_no_scores(name: str, m: int, n: int) -> None:
    head = made(name, 5)
    assert head(normal(m, 5), normal(n, 5)).shape == (m, n)
    assert head.pairs(normal(0, 5), normal(0, 5)).shape == (0,)


@every_head
def test_bad_shapes_are_refused_by_name(name: str) -> None:
    head = made(name, 5)
    with pytest.raises(InvalidDataError, match=r"a must be .*\(5,\)"):
        head(normal(5), normal(3, 5))
    with pytest.raises(InvalidDataError, match=r"b must be .*int64"):
        head(normal(3, 5), torch.ones(3, 5, dtype=torch.int64))
    with pytest.raises(InvalidDataError, match=r"a and b .*\(3, 5\) and \(3, 4\)"):
        head(normal(3, 5), normal(3, 4))
    with pytest.raises(InvalidDataError, match=r"one row a pair.*\(3, 5\) and \(2, 5\)"):
        head.pairs(normal(3, 5), normal(2, 5))


@every_learned
def test_learned_head_is_used_only_as_built(name: str) -> None:
    head: Head = registry.create("heads", name)
    with pytest.raises(NotBuiltError, match="build"):
        head(normal(2, 5), normal(2, 5))
    with pytest.raises(NotBuiltError, match="build"):
        head.pairs(normal(2, 5), normal(2, 5))
    with pytest.raises(InvalidParameterError, match="dim"):
        head.build(0)
    before = [p.detach().clone() for p in head.build(5).parameters()]
    assert before
    for old, new in zip(before, head.build(5).parameters(), strict=True):
        assert torch.equal(old, new)
    with pytest.raises(InvalidDataError, match="5 numbers; got 6"):
        head.build(6)
    with pytest.raises(InvalidDataError, match="5 numbers; got 6"):
        head(normal(2, 6), normal(2, 6))


@pytest.mark.parametrize("name", ["l1", "squared"])
def test_head_starts_by_taking_the_near_for_the_same(name: str) -> None:
    head: Head = registry.create("heads", name).build(16)
    assert head.gives == "logit"
    a = normal(50, 16)
    assert (head.pairs(a, a) > 0).all()
    assert (head.pairs(a, normal(50, 16, seed=1)) < 0).all()


@every_learned
def test_learned_head_learns_which_numbers_matter(name: str) -> None:
    # Four classes, told apart by their first two numbers; the other six are noise.
    classes = torch.arange(64) % 4
    x = normal(64, 8)
    x[:, 0] = 0.2 * x[:, 0] + classes % 2
    x[:, 1] = 0.2 * x[:, 1] + classes // 2
    same = (classes[:, None] == classes).float()
    with drawing_from(0):
        head = made(name, 8).train()
        optimiser = torch.optim.Adam(head.parameters(), 0.1)
        losses = []
        for _ in range(150):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(x, x), same)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    # A constant score cannot go below the entropy of 1 in 4: 0.56.
    assert losses[-1] < 0.4 < losses[0]


@every_fixed
@given(sets=embeddings())
@settings(max_examples=40, deadline=None)
def test_fixed_score_is_minus_a_distance(name: str, sets: tuple[Tensor, Tensor]) -> None:
    a, b = sets
    head = made(name, a.shape[1])
    assert head.gives == "distance"
    assert not list(head.parameters())
    scores, with_itself = head(a, b), head(a, a).diagonal()
    assert (scores <= 0).all()
    assert (head.pairs(a, a) <= 0).all()
    nonzero = a.norm(dim=1) > 0
    atol = 1e-6 if name == "cosine" else 0.0
    torch.testing.assert_close(
        with_itself[nonzero], torch.zeros_like(with_itself[nonzero]), rtol=0, atol=atol
    )


@every_head
def test_parameters_follow_the_grammar(name: str) -> None:
    head = registry.create("heads", name)
    again = type(head)(**head.get_params())
    assert again.get_params() == head.get_params()
    assert registry.name_of("heads", head) == name


@every_head
@given(sets=embeddings())
@settings(max_examples=30, deadline=None)
def test_what_is_prepared_once_compares_as_it_was(name: str, sets: tuple[Tensor, Tensor]) -> None:
    a, b = (rows.double() for rows in sets)
    head = made(name, a.shape[1])
    once = head.prepare(a), head.prepare(b)
    torch.testing.assert_close(head.compare(*once), head(a, b), rtol=1e-9, atol=1e-9)
    for rows in once:
        torch.testing.assert_close(head.prepare(rows), rows, rtol=1e-9, atol=1e-9)
