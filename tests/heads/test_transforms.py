"""Heads that are differentiated twice, transformed, exported and traced."""

import pytest
import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.heads import Head

DIM = 5


@pytest.fixture(params=registry.names("heads"))
def head(request: pytest.FixtureRequest) -> Head:
    with drawing_from(0):
        made: Head = registry.create("heads", request.param).build(DIM).eval()
        for weight in made.parameters():
            nn.init.uniform_(weight, 0.1, 1.0)
    return made


def embeddings(n: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["forward", "pairs"])
def test_second_derivatives_are_right(head: Head, form: str) -> None:
    compare = getattr(head.double(), form)
    a, b = (embeddings(3, seed, torch.float64).requires_grad_() for seed in (0, 1))
    (first,) = torch.autograd.grad(compare(a, b).square().sum(), a, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), a)
    step = 1e-5
    direction = embeddings(3, 2, torch.float64)

    def penalty(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(compare(x, b).square().sum(), x)
        return slope.square().sum()

    numeric = (penalty(a + step * direction) - penalty(a - step * direction)) / (2 * step)
    torch.testing.assert_close((second * direction).sum(), numeric, rtol=1e-3, atol=1e-5)


def test_transforms_agree_with_autograd(head: Head) -> None:
    a, b = embeddings(3, 0), embeddings(4, 1)
    leaf = a.clone().requires_grad_()
    (expected,) = torch.autograd.grad(head(leaf, b).sum(), leaf)
    close(torch.func.grad(lambda x: head(x, b).sum())(a), expected)
    alone = torch.func.vmap(lambda x: head(x[None], b)[0])(a)
    close(alone, head(a, b))
    close(
        torch.func.vmap(lambda x, y: head.pairs(x[None], y[None])[0])(a, b[:3]),
        head.pairs(a, b[:3]),
    )


@pytest.mark.filterwarnings("ignore")
def test_exported_and_traced_heads_take_other_sizes(head: Head) -> None:
    queries = torch.export.Dim("queries", min=2, max=64)
    sizes = ({0: queries}, None)
    b = embeddings(4, 1)
    exported = torch.export.export(head, (embeddings(3, 0), b), dynamic_shapes=sizes, strict=False)
    traced = torch.jit.trace(head, (embeddings(3, 0), b))
    for network in (exported.module(), traced):
        close(network(embeddings(6, 2), b), head(embeddings(6, 2), b))
