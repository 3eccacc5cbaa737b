"""Every backbone embeds; the paper's has the paper's size."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.backbones import (
    MLP,
    Conv4,
    KochNet,
    MnistMLP,
    ResidualMLP,
    ResidualNet,
    choose_backbone,
)
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.heads import L1Head

BUILT_IN = registry.names("backbones", plugins=False)
SMALL_KOCH = {"filters": (4, 4, 4, 8), "kernels": (10, 7, 4, 4), "units": 32}


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_koch_has_the_papers_parameters_with_its_head() -> None:
    network, head = KochNet().build((1, 105, 105)), L1Head().build(4096)
    assert count(network) + count(head) == 38_951_745


def test_mnist_mlp_has_the_originals_parameters() -> None:
    assert count(MnistMLP().build((1, 28, 28))) == 125_248


def test_conv4_embeds_28_pixels_in_64_numbers() -> None:
    assert Conv4().build((1, 28, 28)).eval()(torch.zeros(3, 1, 28, 28)).shape == (3, 64)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40), (1, 105, 105), (6,)])
def test_backbones_embed_or_say_why_not(name: str, shape: tuple[int, ...]) -> None:
    params = SMALL_KOCH if name == "koch" else {}
    backbone = registry.create("backbones", name, **params)
    x = torch.rand(4, *shape)
    of_images = name in ("conv4", "koch", "photo-views", "residual", "turned", "whitened")
    too_small = name == "koch" and min(shape[1:], default=0) < 65
    not_square = name == "turned" and len(set(shape[1:])) > 1
    if (of_images and shape == (6,)) or too_small or not_square:
        with pytest.raises(InvalidDataError, match=re.escape(str(shape))):
            backbone.build(shape)
        return
    backbone.build(shape).eval()
    embeddings = backbone(x)
    assert embeddings.ndim == 2
    assert len(embeddings) == 4
    assert bool(torch.isfinite(embeddings).all())
    # One item alone is embedded as it is beside others.
    torch.testing.assert_close(backbone(x[:1]), embeddings[:1], rtol=1e-3, atol=1e-4)


def test_an_unbuilt_backbone_says_so() -> None:
    with pytest.raises(NotBuiltError, match="build"):
        MLP()(torch.zeros(2, 3))


def test_building_twice_keeps_weights_and_another_shape_is_refused() -> None:
    net = MLP().build((3,))
    before = net.network
    assert net.build((3,)).network is before
    with pytest.raises(InvalidDataError, match=r"\(3,\).*\(4,\)"):
        net.build((4,))


def spread_of_embeddings(init: str) -> float:
    with drawing_from(0):
        net = KochNet(init=init).build((1, 105, 105)).eval()  # type: ignore[arg-type]
    x = (torch.rand(8, 1, 105, 105, generator=torch.Generator().manual_seed(0)) < 0.05).float()
    with torch.inference_mode():
        return float(net(x).std(0).mean())


def test_the_papers_init_is_nearly_blind_and_the_trainable_one_sees() -> None:
    assert spread_of_embeddings("paper") < 0.01
    assert spread_of_embeddings("trainable") > 0.02


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: KochNet(filters=(64, 64)), "filters"),
        (lambda: KochNet(units=0), "units"),
        (lambda: KochNet(filters=5), "filters must be a sequence"),  # type: ignore[arg-type]
        (lambda: KochNet(kernels="abcd"), "kernels must be a sequence"),  # type: ignore[arg-type]
        (lambda: ResidualNet(widths=5), "widths must be a sequence"),  # type: ignore[arg-type]
        (lambda: KochNet(init="papper"), "init"),  # type: ignore[arg-type]
        (lambda: Conv4(width=0), "width"),
        (lambda: ResidualNet(widths=()), "widths"),
        (lambda: ResidualNet(norm="layer"), "norm must be one of 'batch', 'group'; got 'layer'"),
        (lambda: Conv4(norm=None), "norm must be one of"),  # type: ignore[arg-type]
        (lambda: ResidualNet(blocks=1.5), "blocks"),  # type: ignore[arg-type]
        (lambda: ResidualNet(blocks="2"), "blocks"),  # type: ignore[arg-type]
        (lambda: ResidualNet(blocks=(1, 0, 1)), "blocks"),
        (lambda: ResidualNet(blocks=iter((1, 2, 1))), "blocks must be"),  # type: ignore[arg-type]
        (lambda: ResidualNet(widths=iter((4, 8))), "widths must be"),  # type: ignore[arg-type]
        (lambda: ResidualNet(widths={4, 8}), "widths must be"),  # type: ignore[arg-type]
        (lambda: ResidualNet(blocks=(1, 2)), "blocks must be one number, or one for each of the 3"),
        (lambda: ResidualNet(dim=0), "dim"),
        (lambda: ResidualNet(dim=1.5), "dim"),  # type: ignore[arg-type]
        (lambda: MLP(hidden=(0,)), "hidden"),
        (lambda: MLP(hidden=iter((8,))), "hidden must be a sequence"),  # type: ignore[arg-type]
        (lambda: MnistMLP(dropout=1.0), "dropout"),
    ],
)
def test_bad_parameters_are_named(make: object, argument: str) -> None:
    with pytest.raises(InvalidParameterError, match=argument):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("shape", "kind"), [((5,), ResidualMLP), ((1, 28, 28), ResidualNet), ((1, 4, 4), ResidualMLP)]
)
def test_auto_chooses_by_shape(shape: tuple[int, ...], kind: type) -> None:
    assert isinstance(choose_backbone(shape), kind)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize(
    "shape", [5, None, (), (0,), (-1, 28, 28), (1.5, 28, 28), ("a",), "abc", {1, 28}, (True, 8, 8)]
)
def test_what_is_no_shape_is_named_and_nothing_is_built(name: str, shape: object) -> None:
    backbone = registry.create("backbones", name)
    with pytest.raises(InvalidParameterError, match="input_shape must be"):
        backbone.build(shape)
    with pytest.raises(InvalidParameterError, match="input_shape must be"):
        choose_backbone(shape)  # type: ignore[arg-type]
    assert backbone.network is None
    assert backbone.input_shape is None


def test_a_shape_may_be_a_list_or_a_size_and_weights_made_in_inference_mode_train() -> None:
    with torch.inference_mode():
        backbone = MLP().build([3])  # type: ignore[arg-type]
    assert backbone.build(torch.Size([3])).input_shape == (3,)
    backbone(torch.rand(4, 3)).sum().backward()


@pytest.mark.parametrize("side", [8, 9, 15, 19, 20, 21, 28, 33, 57])
@pytest.mark.parametrize("widths", [(4,), (4, 4, 4), (4, 4, 4, 4, 4)])
def test_a_residual_network_has_as_many_numbers_as_asked_for(
    side: int, widths: tuple[int, ...]
) -> None:
    network = ResidualNet(widths, dim=7).build((1, side, side + 3)).eval()
    assert network(torch.rand(2, 1, side, side + 3)).shape == (2, 7)


@pytest.mark.parametrize(
    ("blocks", "numbers"),
    [(2, [2, 2, 2]), ((1, 3, 2), [1, 3, 2]), (np.array([1, 1, 2]), [1, 1, 2])],
)
def test_a_residual_network_has_as_many_blocks_in_each_stage_as_asked_for(
    blocks: int | tuple[int, ...], numbers: list[int]
) -> None:
    network = ResidualNet((4, 8, 16), blocks=blocks).build((1, 28, 28))
    widths = [part.out_channels for part in network.modules() if isinstance(part, nn.Conv2d)]
    # Two convolutions 3x3 a block, and one 1x1 at the entry of each stage but the first.
    found = [widths.count(width) for width in (4, 8, 16)]
    assert found == [1 + 2 * numbers[0], 2 * numbers[1] + 1, 2 * numbers[2] + 1]
