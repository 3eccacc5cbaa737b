import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit._random import drawing_from
from siamesekit.errors import InvalidParameterError
from siamesekit.heads import L1Head, _weighted_l1


def test_score_is_koch_s_weighted_sum_of_absolute_differences() -> None:
    head = L1Head().build(3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([-1.0, 2.0, 0.0]))
        head.bias.fill_(0.5)
    a, b = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[3.0, -1.0, 9.0], [0.0, 0.0, 0.0]])
    assert head(a, b).tolist() == [[0.5 - 3 + 2, 0.5]]


@given(seed=st.integers(0, 2**16), dim=st.integers(1, 300), buffer=st.sampled_from([1, 50, 2**20]))
@settings(max_examples=25, deadline=None)
def test_gradients_do_not_depend_on_slices_and_buffers(seed: int, dim: int, buffer: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    # Whole numbers: ties between a and b, and weights of both signs and 0.
    a, b, weight = (
        torch.randint(-2, 3, shape, generator=rng).double().requires_grad_()
        for shape in ((4, dim), (6, dim), (dim,))
    )
    upstream = torch.randn(4, 6, generator=rng, dtype=torch.float64)
    naive = ((a[:, None] - b).abs() * weight).sum(2)
    expected = torch.autograd.grad((naive * upstream).sum(), (a, b, weight))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weighted_l1, "_CPU_BUFFER", buffer)
        ours = _weighted_l1.weighted_l1(a, b, weight)
        got = torch.autograd.grad((ours * upstream).sum(), (a, b, weight))
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(got, expected)


def test_weight_of_zero_has_a_gradient() -> None:
    a = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.tensor([0.0, 1.0, -1.0, 0.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: _weighted_l1.weighted_l1(a, a + 1, w), (weight,))


def test_paper_initialisation_has_the_paper_s_spread() -> None:
    with drawing_from(0):
        head = L1Head(init="paper").build(4096)
        biases = torch.stack([L1Head(init="paper").build(1).bias.detach() for _ in range(200)])
    weight = head.weight.detach()
    assert abs(float(weight.mean())) < 0.02
    assert 0.19 < float(weight.std()) < 0.21
    assert abs(float(biases.mean()) - 0.5) < 0.005
    assert 0.008 < float(biases.std()) < 0.012


def test_default_start_has_one_negative_weight_for_all() -> None:
    head = L1Head().build(64)
    assert torch.equal(head.weight, torch.full((64,), -0.125))
    assert head.bias.item() == 1


def test_4096_numbers_make_4097_parameters() -> None:
    assert sum(p.numel() for p in L1Head().build(4096).parameters()) == 4097


def test_unknown_init_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"init must be one of .*'paper'"):
        L1Head(init="papre")  # type: ignore[arg-type]
