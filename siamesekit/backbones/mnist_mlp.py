"""The small dense network of the MNIST triplet setup."""

from torch import nn

from siamesekit._checks import check_number
from siamesekit._types import Shape
from siamesekit.backbones._shapes import flat_size
from siamesekit.backbones.base import Backbone
from siamesekit.registry import register

__all__ = ["MnistMLP"]


@register("backbones", "mnist-mlp")
class MnistMLP(Backbone):
    """Dense layers of 128, 128 and 64 units with ReLU and dropout between; the last is linear.

    125,248 parameters on 28×28 images, as in AdrianUng/keras-triplet-loss-mnist.

    Parameters
    ----------
    dropout : float
        Share of units dropped after each of the two hidden layers, in ``[0, 1)``.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        check_number("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.dropout = dropout

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        network = nn.Sequential(
            nn.Flatten(),
            nn.Linear(flat_size(input_shape), 128),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(128, 128),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(128, 64),
        )
        network.apply(_keras_init)
        return network


def _keras_init(module: nn.Module) -> None:
    # The setup comes from Keras, whose dense layers start after Glorot with biases of zero.
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
