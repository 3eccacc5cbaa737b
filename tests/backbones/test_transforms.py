"""Networks that are exported, traced, compiled, transformed, differentiated twice, copied."""

import copy
import math
import pickle
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from siamesekit._random import drawing_from
from siamesekit.backbones import (
    MLP,
    Backbone,
    Conv4,
    KochNet,
    MnistMLP,
    ResidualNet,
    TurnedNet,
    WhitenedNet,
    _large_kernel,
    _spectral,
)
from siamesekit.backbones._large_kernel import LargeKernelConv2d

SHAPE = (1, 28, 28)


def _koch() -> KochNet:
    # Few inputs a window (the first), spectra (the second), the direct sum (the others).
    return KochNet(filters=(8, 8, 4, 4), kernels=(5, 5, 2, 1), units=6)


ZOO: dict[str, Callable[[], Backbone]] = {
    "koch": _koch,
    "conv4": lambda: Conv4(4),
    "mlp": lambda: MLP((8,), 4),
    "mnist-mlp": MnistMLP,
    "residual": lambda: ResidualNet((4, 8)),
    "turned": lambda: TurnedNet(MLP((4,), 3), mirrored=False, moved=1),
    "whitened": lambda: WhitenedNet(ResidualNet((4,))),
    "turned whitened koch": lambda: TurnedNet(WhitenedNet(_koch()), mirrored=False),
}


@pytest.fixture(autouse=True)
def by_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take spectra although the layers are small, with tables that no other test made."""
    monkeypatch.setattr(_large_kernel, "_WORTH", 0.5)
    for table in (_spectral._down, _spectral._across, _spectral._across_back):
        table.cache_clear()  # type: ignore[attr-defined]
    for table in (_spectral._down_back, _spectral._waves):
        table.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture(params=ZOO)
def network(request: pytest.FixtureRequest) -> Backbone:
    return made(request.param)


def made(name: str) -> Backbone:
    with drawing_from(0):
        backbone = ZOO[name]().build(SHAPE).eval()
    backbone.finish(lambda net: net.eval()(images(24, seed=7)), torch.arange(24) % 4)
    return backbone


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_small_network_goes_all_three_ways() -> None:
    network = made("koch")
    seen = []
    for layer in network.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.register_forward_hook(
                lambda layer, x, y: seen.append(type(y.grad_fn).__name__)  # type: ignore[misc]
            )
    network(images(2))
    assert seen[0].startswith("_FewInputs")
    assert seen[1].startswith("_SpectralConv2d")
    assert seen[2].startswith("Convolution")


# -- export -----------------------------------------------------------------------------------


def dynamic(network: nn.Module, x: Tensor, strict: bool) -> Any:
    batch = torch.export.Dim("batch", min=2, max=64)
    return torch.export.export(network, (x,), dynamic_shapes=({0: batch},), strict=strict)


def test_an_exported_network_takes_any_batch_and_leaves_this_one_as_it_was(
    network: Backbone,
) -> None:
    with torch.inference_mode():
        exported = dynamic(network, images(3), strict=False)
    expected = network(images(5))
    close(exported.module()(images(5)), expected)
    network(images(5)).sum().backward()


def test_exporting_twice_and_by_the_compiler_are_no_different() -> None:
    network = made("koch")
    with torch.no_grad():
        first = dynamic(network, images(2), strict=True)
    expected = network(images(7))
    second = dynamic(network, images(3), strict=False)
    for exported in (first, second):
        close(exported.module()(images(7)), expected)
    close(network(images(7)), expected)


@pytest.mark.parametrize("name", ["koch", "whitened"])
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_numbers_for_any_batch(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, path = made(name), tmp_path / "network.onnx"
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        network, (images(3),), path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    for n in (1, 3, 6):
        (found,) = session.run(None, {feed: images(n).numpy()})
        np.testing.assert_allclose(found, network(images(n)).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_traced_networks_take_other_batches(network: Backbone) -> None:
    traced = torch.jit.trace(network, images(3))
    close(traced(images(5)), network(images(5)))


# -- compile ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "backend"),
    [("koch", "aot_eager"), ("whitened", "eager")],
)
def test_compiled_networks_give_the_same_numbers_and_gradients(name: str, backend: str) -> None:
    torch._dynamo.reset()
    network = made(name)
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    close(compiled(images(3)), network(images(3)))
    close(gradients(compiled, images(3)), gradients(network, images(3)))
    close(compiled(images(5)), network(images(5)))


def gradients(network: Any, x: Tensor) -> list[Tensor]:
    weights = [w for w in network.parameters() if w.requires_grad]
    return list(torch.autograd.grad(network(x).square().sum(), weights))


def test_fx_and_make_fx_record_plain_operators() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    network = made("koch")
    close(torch.fx.symbolic_trace(network)(images(4)), network(images(4)))
    close(make_fx(network)(images(3))(images(3)), network(images(3)))
    close(network(images(3)), made("koch")(images(3)))


# -- transforms and derivatives ---------------------------------------------------------------


def test_functional_transforms_agree_with_autograd(network: Backbone) -> None:
    weights = {name: w.detach() for name, w in network.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        z: Tensor = torch.func.functional_call(network, weights, (x,))
        return z.square().sum()

    x = images(3)
    expected = dict(zip(weights, gradients(network, x), strict=True))
    close(torch.func.grad(loss)(weights, x), expected)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x[:, None])
    close({name: g.sum(0) for name, g in each.items()}, expected)

    if any(getattr(m, "maps", None) is not None for m in network.modules()):
        return  # torch knows no forward derivative of `grid_sample`, by which images are moved
    direction = images(3, seed=1)
    slope = torch.func.jvp(network, (x,), (direction,))[1]
    with forward_ad.dual_level():
        dual = network(forward_ad.make_dual(x, direction))
        close(forward_ad.unpack_dual(dual).tangent, slope)


@pytest.mark.parametrize(
    ("channels", "worth", "way"), [(2, 0.0, "_SpectralConv2d"), (1, math.inf, "_FewInputs")]
)
def test_second_derivatives_are_right(
    channels: int, worth: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_large_kernel, "_WORTH", worth)
    conv = LargeKernelConv2d(channels, 2, 3).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, 6, 6, generator=generator, dtype=torch.float64)
    x.requires_grad_(channels > 1)

    def maps(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given = {"weight": weight, "bias": bias}
        out: Tensor = torch.func.functional_call(conv, given, (x,))
        return out.tanh()

    assert type(conv(x).grad_fn).__name__ == f"{way}Backward"
    assert torch.autograd.gradcheck(maps, (x, conv.weight, conv.bias))
    assert torch.autograd.gradgradcheck(maps, (x, conv.weight, conv.bias))


def test_a_penalty_on_the_gradient_trains(network: Backbone) -> None:
    x = images(3).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
    try:
        slope.square().sum().backward()
    except RuntimeError as error:
        if "grid_sampler_2d_backward is not implemented" not in str(error):
            raise
        pytest.skip(f"torch {torch.__version__} has no second derivative of what moves an image")
    # A bias of a last, linear layer has no second derivative; all gradients that come are finite.
    found = [w.grad for w in network.parameters() if w.grad is not None]
    assert found
    assert all(bool(g.isfinite().all()) for g in found)


def test_gradients_in_batches_agree_with_those_one_by_one() -> None:
    network, x = made("koch"), images(2).requires_grad_()
    z = network(x)
    rows = torch.eye(z.numel()).view(-1, *z.shape)
    (batched,) = torch.autograd.grad(z, x, rows, is_grads_batched=True, retain_graph=True)
    alone = [torch.autograd.grad(z, x, row, retain_graph=True)[0] for row in rows]
    close(batched, torch.stack(alone))


# -- copies, modes, threads -------------------------------------------------------------------


def test_copies_and_pickles_are_the_same_network(network: Backbone) -> None:
    expected = network(images(3))
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        close(other(images(3)), expected)
        other(images(3)).sum().backward()


def test_what_inference_mode_made_can_be_trained(network: Backbone) -> None:
    with torch.inference_mode():
        network.eval()(images(3))
    network.train()(images(3)).sum().backward()
    network.eval()(images(3).requires_grad_()).sum().backward()


@pytest.mark.parametrize("context", [torch.device("meta"), torch.inference_mode()])
def test_no_mode_gets_into_what_is_kept(context: Any) -> None:
    expected = made("koch")(images(3))
    network = made("koch")
    x = images(3)
    _spectral._waves.cache_clear()  # type: ignore[attr-defined]
    with context:
        close(network(x), expected)
    close(network(x), expected)


def test_threads_share_what_is_kept() -> None:
    network = made("koch")
    expected = network(images(4)).detach()
    wrong = []

    def use() -> None:
        for _ in range(10):
            _spectral._waves.cache_clear()  # type: ignore[attr-defined]
            with torch.no_grad():
                if not torch.allclose(network(images(4)), expected, rtol=1e-3, atol=1e-4):
                    wrong.append(1)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_image_alone_and_wrong_channels_are_as_with_an_ordinary_convolution() -> None:
    conv = LargeKernelConv2d(3, 4, 5)
    x = torch.rand(3, 9, 9)
    close(conv(x), conv(x[None])[0])
    with pytest.raises(RuntimeError, match="channels"):
        conv(torch.rand(2, 4, 9, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(conv.to(torch.float64)(x.double()), conv(x.double()[None])[0])
