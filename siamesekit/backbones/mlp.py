"""A dense network for vectors, or for images seen as vectors."""

from itertools import pairwise
from typing import ClassVar

from torch import nn

from siamesekit._checks import check_integer, check_integers, check_number
from siamesekit._types import Shape
from siamesekit.backbones._shapes import flat_size
from siamesekit.backbones._standardize import Standardize
from siamesekit.backbones.base import Backbone
from siamesekit.registry import register

__all__ = ["MLP"]


@register("backbones", "mlp")
class MLP(Backbone):
    """Standardise each feature, then dense layers with ReLU between; the last is linear.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer; may be empty, which leaves one linear map.
    units : int
        Length of the embedding.
    dropout : float
        Share of units dropped after each hidden layer, in ``[0, 1)``.

    Notes
    -----
    Features are standardised with the mean and deviation seen in training (averages over its
    batches), so that their scales do not matter. An estimator does so before, in float64, where
    items are vectors: float32 would round away what changes beside a large offset.
    """

    standardised: ClassVar[bool] = True

    def __init__(
        self, hidden: tuple[int, ...] = (128,), units: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not (isinstance(hidden, tuple | list) and len(hidden) == 0):
            check_integers("hidden", hidden, low=1)
        check_integer("units", units, low=1)
        check_number("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.hidden = hidden
        self.units = units
        self.dropout = dropout

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        features = flat_size(input_shape)
        modules: list[nn.Module] = [nn.Flatten(), Standardize(features)]
        sizes = (features, *self.hidden)
        for before, after in pairwise(sizes):
            modules += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*modules, nn.Linear(sizes[-1], self.units))
