import pytest
import torch
from torch.nn import functional

from siamesekit.backbones import KochNet
from siamesekit.backbones._large_kernel import LargeKernelConv2d
from siamesekit.backbones._spectral import Tiling, cheapest_tiling, spectral_conv2d
from siamesekit.errors import NotBuiltError

# Spectral (even and odd sides, one chunk of images and several), few inputs, direct.
SIZES = [(4, 3, 16, 7, 3), (3, 5, 21, 6, 9), (2, 4, 15, 5, 1), (1, 6, 20, 10, 11), (4, 3, 5, 4, 2)]


def gradients(layer, x, grad, forward):
    x = x.clone().requires_grad_(layer.in_channels > 1)
    layer.zero_grad()
    maps = forward(x)
    maps.backward(grad)
    return maps.detach(), layer.weight.grad.clone(), layer.bias.grad.clone(), x.grad


@pytest.mark.parametrize(("channels", "out", "side", "kernel", "n"), SIZES)
def test_equals_the_direct_convolution_with_its_gradients(channels, out, side, kernel, n):
    generator = torch.Generator().manual_seed(0)
    layer = LargeKernelConv2d(channels, out, kernel).double()
    x = torch.randn(n, channels, side, side + 2, generator=generator, dtype=torch.float64)
    place = (n, out, side - kernel + 1, side - kernel + 3)
    grad = torch.randn(place, generator=generator, dtype=torch.float64)
    ours = gradients(layer, x, grad, layer)
    direct = gradients(layer, x, grad, lambda y: functional.conv2d(y, layer.weight, layer.bias))
    torch.testing.assert_close(ours, direct)


@pytest.mark.parametrize(("down", "across"), [(1, 1), (2, 1), (1, 3), (2, 3), (3, 2)])
def test_however_tiled_spectra_give_the_direct_convolution_and_its_gradients(down, across):
    generator = torch.Generator().manual_seed(0)
    layer = LargeKernelConv2d(3, 4, 5).double()
    x = torch.randn(5, 3, 10, 16, generator=generator, dtype=torch.float64)
    grad = torch.randn(5, 4, 6, 12, generator=generator, dtype=torch.float64)
    tiling = Tiling(10, 16, 5, down, across)
    weights = layer.weight, layer.bias
    ours = gradients(layer, x, grad, lambda y: spectral_conv2d(y, *weights, tiling))
    direct = gradients(layer, x, grad, lambda y: functional.conv2d(y, *weights))
    torch.testing.assert_close(ours, direct)


def test_the_cheapest_tiling_divides_the_maps_and_costs_no_more_than_one_tile():
    tiling = cheapest_tiling(48, 48, 7, 64, 128)
    assert tiling.down * tiling.rows == tiling.across * tiling.columns == 42
    assert len(list(tiling.corners())) == tiling.down * tiling.across
    whole = Tiling(48, 48, 7)
    assert tiling.multiplications(64, 128) < whole.multiplications(64, 128)
    assert (whole.period, whole.frequencies) == ((48, 48), 25 * 48)


def test_spectra_are_taken_for_kochs_second_layer_and_not_where_they_cost_more():
    assert LargeKernelConv2d(64, 128, 7)._tiling(48, 48) is not None
    assert LargeKernelConv2d(64, 128, 3)._tiling(48, 48) is None
    assert LargeKernelConv2d(1, 64, 10)._tiling(105, 105) is None


def test_float32_stays_close_to_the_direct_sum_on_kochs_layer():
    layer = LargeKernelConv2d(64, 128, 7)
    x = torch.rand(2, 64, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        direct = functional.conv2d(x, layer.weight, layer.bias)
        assert (layer(x) - direct).abs().max() < 1e-5 * direct.abs().max()


def test_what_follows_may_write_in_place():
    layer = LargeKernelConv2d(64, 64, 7)
    assert layer._tiling(20, 20) is not None
    x = torch.rand(2, 64, 20, 20, generator=torch.Generator().manual_seed(0))
    layer(x).relu_().sum().backward()
    ours = layer.weight.grad.clone()
    layer.zero_grad()
    functional.conv2d(x, layer.weight, layer.bias).relu().sum().backward()
    torch.testing.assert_close(ours, layer.weight.grad, rtol=1e-4, atol=1e-3)


def test_an_empty_batch_has_empty_maps():
    assert LargeKernelConv2d(4, 3, 7)(torch.empty(0, 4, 16, 16)).shape == (0, 3, 10, 10)


def test_bfloat16_autocast_is_left_to_torch():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = LargeKernelConv2d(4, 3, 7)(torch.rand(2, 4, 16, 16))
    assert maps.dtype == torch.bfloat16


def test_weights_are_those_of_an_ordinary_convolution():
    network = KochNet().build((1, 105, 105))
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim == 4]
    assert shapes == [(64, 1, 10, 10), (128, 64, 7, 7), (128, 128, 4, 4), (256, 128, 4, 4)]


def test_folding_batch_normalisation_keeps_the_embeddings():
    backbone = KochNet(filters=(4, 6, 6, 8), units=10, batch_norm=True).build((1, 65, 65))
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        backbone(torch.rand(6, 1, 65, 65, generator=generator)).sum().backward()
    with torch.no_grad():
        for parameter in (p for p in backbone.parameters() if p.requires_grad):
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    backbone.double().eval()
    before = torch.get_rng_state()
    plain = backbone.fold()
    assert torch.equal(torch.get_rng_state(), before)
    x = torch.rand(5, 1, 65, 65, generator=generator, dtype=torch.float64)
    assert not [m for m in plain.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not plain.batch_norm
    torch.testing.assert_close(plain(x), backbone(x))


def test_a_network_without_weights_cannot_be_folded():
    with pytest.raises(NotBuiltError, match="build"):
        KochNet(batch_norm=True).fold()
