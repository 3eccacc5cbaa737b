"""A score is the two items' own: no other item in the call moves a digit of it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.heads import Head, _exact

FIXED = ["cosine", "euclidean", "sqeuclidean"]
LEARNED = ["cosine-concat", "l1", "squared"]
every_head = pytest.mark.parametrize("name", FIXED + LEARNED)
every_fixed = pytest.mark.parametrize("name", FIXED)


def made(name: str, dim: int) -> Head:
    """Return a head in eval mode with weights of both signs."""
    params = {"hidden": 4} if name == "cosine-concat" else {}
    with drawing_from(0), torch.no_grad():
        head: Head = registry.create("heads", name, **params).build(dim).eval()
        for weight in head.parameters():
            weight.normal_()
    return head


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DATA: dict[str, Callable[[int, int], Tensor]] = {
    "plain": lambda n, dim: normal(n, dim),
    "far from the origin": lambda n, dim: normal(n, dim) + 1000,
    "whole numbers": lambda n, dim: normal(n, dim).round(),
    "two heaps": lambda n, dim: normal(n, dim) * 1e-3 + 10 * (torch.arange(n) % 2)[:, None],
    "one among giants": lambda n, dim: normal(n, dim) * 10.0 ** (torch.arange(n) % 9)[:, None],
}


@every_head
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("dim", [1, 7, 64, 200])
def test_the_company_moves_no_digit(name: str, kind: str, dim: int) -> None:
    head, z = made(name, dim), DATA[kind](90, dim)
    a, b = z[:30], z[30:]
    with torch.no_grad():
        scores = head(a, b)
        some, others = torch.tensor([4, 29, 0, 11, 12]), torch.tensor([3, 59, 17, 18, 40, 0])
        giant = 1e6 * normal(40, dim, seed=1)
        for i in ([4], some[:2].tolist(), some.tolist(), list(range(30))):
            for j in ([17], others[:2].tolist(), others.tolist()):
                assert torch.equal(head(a[i], b[j]), scores[i][:, j])
                assert torch.equal(head(b[j], a[i]).T, scores[i][:, j])
        crowd = head(torch.cat([giant, a]), torch.cat([giant, b, giant]))
        assert torch.equal(crowd[40:, 40:100], scores)
        assert torch.equal(head.pairs(a, b[:30]), scores[:, :30].diagonal())
        assert torch.equal(head.pairs(a[3:4], b[3:4]), scores[3:4, 3])


@every_head
@pytest.mark.parametrize("shape", [(1, 50), (3, 700), (65, 300), (200, 129)])
def test_equal_items_score_exactly_alike(name: str, shape: tuple[int, int]) -> None:
    m, n = shape
    head, queries, gallery = made(name, 24), normal(m, 24), normal(n, 24, seed=1)
    gallery = gallery.round(decimals=1) + 5
    twins = torch.randperm(n, generator=torch.Generator().manual_seed(2))[: n // 2]
    gallery[twins] = gallery[0].clone()
    with torch.no_grad():
        scores = head(queries, gallery)[:, twins]
    assert (scores == scores[:, :1]).all()


@every_fixed
def test_ties_of_different_items_are_ties(name: str) -> None:
    # The query lies half way between the two, far from the origin; beside them is a crowd.
    for seed in range(20):
        offset = 64 * normal(1, 16, seed=seed).round()
        step = normal(1, 16, seed=seed + 100).round()
        crowd = normal(37, 16, seed=seed + 200)
        if name == "cosine":
            pair = torch.cat([step, step.roll(1, 1)])
            query = torch.ones(1, 16)
        else:
            pair, query = torch.cat([offset - step, offset + step]), offset
        one, other = made(name, 16)(query, torch.cat([pair, crowd]))[0, :2].tolist()
        assert one == other


@every_head
def test_an_item_that_is_no_number_spoils_no_other(name: str) -> None:
    head, a, b = made(name, 12), normal(20, 12), normal(30, 12, seed=1)
    with torch.no_grad():
        scores = head(a, b)
        for odd in (torch.nan, torch.inf, -torch.inf):
            spoilt = b.clone()
            spoilt[7, 3] = odd
            ours = head(a, spoilt)
            others = torch.arange(30) != 7
            assert torch.equal(ours[:, others], scores[:, others])
            assert not ours[:, 7].isfinite().any()


@every_fixed
def test_scores_are_the_exact_ones_rounded(name: str) -> None:
    for kind, data in DATA.items():
        z = data(80, 30).double()
        a, b = z[:30, None], z[None, 30:]
        squares = (a - b).square().sum(2)
        if name == "cosine":
            cosine = (a * b).sum(2) / (a.norm(dim=2) * b.norm(dim=2))
            expected, atol = cosine - 1, 1e-7
        else:
            expected, atol = -squares if name == "sqeuclidean" else -squares.sqrt(), 0.0
        ours = made(name, 30)(z[:30].float(), z[30:].float()).double()
        torch.testing.assert_close(ours, expected, rtol=2e-7, atol=atol, msg=kind)


@pytest.mark.parametrize("exponent", [-44, -38, -24, -19, 0, 18, 19, 20, 37])
def test_distances_of_any_scale_are_right(exponent: int) -> None:
    scale = 10.0**exponent
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [-3.0, 4.0]]).double().mul(scale).float()
    expected = torch.cdist(z.double(), z.double(), compute_mode="donot_use_mm_for_euclid_dist")
    head = made("euclidean", 2)
    rtol = 0.3 if exponent == -44 else 1e-6
    for scores in (head(z, z), head(torch.cat([z] * 20), z)[:3]):
        torch.testing.assert_close(-scores, expected.float(), rtol=rtol, atol=0)
    i, j = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 2])
    torch.testing.assert_close(-head.pairs(z[i], z[j]), expected[i, j].float(), rtol=rtol, atol=0)
    squared = made("sqeuclidean", 2)(z, z)
    torch.testing.assert_close(-squared, expected.square().float(), rtol=1e-6, atol=2e-45)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [-37, -30, -24, -19, 0, 19, 24, 37])
def test_cosines_of_any_scale_are_right(exponent: int, dtype: torch.dtype) -> None:
    plain = normal(6, 5).to(dtype)
    z = (plain.double() * 10.0**exponent).to(dtype)
    head = made("cosine", 5)
    torch.testing.assert_close(head(z, plain), head(plain, plain), rtol=0, atol=1e-6)
    torch.testing.assert_close(head.pairs(z, z), torch.zeros(6, dtype=dtype), rtol=0, atol=1e-6)
    leaf = z.clone().requires_grad_()
    head(leaf, plain).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert leaf.grad.any()


@every_fixed
def test_a_blank_has_a_score_and_a_finite_gradient(name: str) -> None:
    z = normal(6, 5)
    z[2] = 0
    for form in (made(name, 5), made(name, 5).pairs):
        leaf = z.clone().requires_grad_()
        scores = form(leaf, leaf)
        assert scores.isfinite().all()
        scores.sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        if name == "cosine":
            assert (scores[2] == -1).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dim", [300, 40_000])
def test_the_number_of_threads_moves_no_digit(threads: int, dim: int) -> None:
    before = torch.get_num_threads()
    a, b = normal(3, dim), normal(5, dim, seed=1)
    try:
        torch.set_num_threads(1)
        expected = made("euclidean", dim)(a, b)
        torch.set_num_threads(threads)
        head = made("euclidean", dim)
        assert torch.equal(head(a, b), expected)
        assert torch.equal(head(a[:1], b[:1]), expected[:1, :1])
        assert torch.equal(head.pairs(a[:1], b[:1]), expected[0, :1])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_of_any_size_give_the_same(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(150, 9) + 3, normal(170, 9, seed=1) + 3
    b[:20] = a[:20]
    weight = normal(9, seed=2) if weighted else None
    expected = _exact.all_squares(a, b, weight)
    for name, size in (("_CHUNK", 500), ("_SCORES", 2**12), ("_BUFFER", 20), ("_FEW", 2**20)):
        monkeypatch.setattr(_exact, name, size)
        assert torch.equal(_exact.all_squares(a, b, weight), expected)
    by_hand = (a.double()[:, None] - b.double()).square()
    by_hand = by_hand if weight is None else by_hand * weight.double()
    assert torch.equal(expected, by_hand.sum(2).float())


def test_few_pairs_are_computed_by_their_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    own = _exact._own

    def counted(a: Tensor, b: Tensor, weight: Tensor | None) -> Tensor:
        computed.append(len(a))
        return own(a, b, weight)

    monkeypatch.setattr(_exact, "_own", counted)
    for z in (normal(300, 64), normal(300, 64) + 100, torch.ones(300, 64)):
        computed.clear()
        _exact.all_squares(z, z)
        # Each with itself, and hardly any other.
        assert sum(computed) <= 330
    assert math.isfinite(_exact._scale(z, z))


@every_head
@pytest.mark.parametrize("offset", [0.0, 3.0, 1e4])
@pytest.mark.parametrize("scale", [1.0, 1e-24, 1e18])
@pytest.mark.parametrize("n", [1, 40, 256, 500])
def test_the_best_of_a_row_is_found_in_a_hurry(
    name: str, offset: float, scale: float, n: int
) -> None:
    head, gallery = made(name, 16), scale * (normal(500, 16, seed=1) + offset)
    gallery[250:] = gallery[:250]
    gallery[7] = 0
    with torch.no_grad():
        a = head.prepare(scale * (normal(40, 16) + offset))
        b = head.prepare(gallery)[-n:]
        exact, known = head.compare(a, b), head.for_best(b)
        if known is None:
            known = b.new_empty(len(b), 0)
        gone = torch.tensor([9, 20]) if n > 20 else None
        rows, columns, scores = head.best_pairs(a, b, known, gone)
    if gone is not None:
        exact[:, gone] = -torch.inf
    found = torch.full_like(exact, -torch.inf)
    found[rows, columns] = scores
    best = exact == exact.amax(1, keepdim=True)
    assert torch.equal(found[best], exact[best])
    assert torch.equal(exact[rows, columns], scores)
