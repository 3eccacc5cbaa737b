"""The last layers learn; what does not learn stands still."""

import pytest
import torch
from torch import nn

from siamesekit.backbones import learning_layers, still_norms, train_last
from siamesekit.errors import InvalidParameterError


def network() -> nn.Sequential:
    """Return a convolution, a block of a normalisation and a convolution, and a linear layer."""
    block = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3))
    return nn.Sequential(nn.Conv2d(1, 4, 3), block, nn.Flatten(), nn.Linear(4, 2))


def learning(module: nn.Module) -> list[str]:
    return [name for name, weight in module.named_parameters() if weight.requires_grad]


def test_layers_are_what_has_weights_of_its_own_in_order() -> None:
    kinds = [type(layer).__name__ for layer in learning_layers(network())]
    assert kinds == ["Conv2d", "BatchNorm2d", "Conv2d", "Linear"]


@pytest.mark.parametrize(
    ("n_trainable", "names"),
    [
        (0, []),
        (1, ["3.weight", "3.bias"]),
        (3, ["1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias", "3.weight", "3.bias"]),
    ],
)
def test_so_many_layers_learn_from_the_end(n_trainable: int, names: list[str]) -> None:
    net = network()
    train_last(net, n_trainable)
    assert learning(net) == names
    train_last(net, None)
    assert len(learning(net)) == 8


@pytest.mark.parametrize("given", [-1, 5, 1.5, "all", True])
def test_a_number_of_layers_that_cannot_be_is_named(given: object) -> None:
    net = network()
    with pytest.raises(InvalidParameterError, match=r"n_trainable must be .*\[0, 4\]"):
        train_last(net, given)  # type: ignore[arg-type]
    assert len(learning(net)) == 8  # as before
    with pytest.raises(InvalidParameterError, match="network must be a Module"):
        train_last("resnet", 1)  # type: ignore[arg-type]


def test_frozen_normalisations_keep_their_statistics() -> None:
    net = network()
    x = torch.rand(8, 1, 5, 5)
    for n_trainable, moves in ((2, False), (3, True)):
        train_last(net, n_trainable)
        net.train()
        still_norms(net)
        norm = net[1][0]
        before = norm.running_mean.clone()
        net(x)
        assert norm.training is moves
        assert torch.equal(norm.running_mean, before) is not moves


def test_normalisations_without_weights_stand_still_in_a_frozen_network_alone() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False))
    still_norms(net.train())
    assert net[1].training
    train_last(net, 0)
    still_norms(net.train())
    assert not net[1].training
