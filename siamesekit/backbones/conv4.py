"""Four blocks of 3×3 convolution: the usual few-shot backbone."""

from torch import nn

from siamesekit._checks import check_integer
from siamesekit._types import Shape
from siamesekit.backbones._norms import check_norm, make_norm
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidDataError
from siamesekit.registry import register

__all__ = ["Conv4"]

_SMALLEST = 16


@register("backbones", "conv4")
class Conv4(Backbone):
    """Four times convolution 3×3, normalisation, ReLU, max-pooling 2; then flattened.

    On 28×28 images the embedding has `width` numbers, as in Vinyals et al. (2016, §4.1.1) and
    Snell et al. (2017, §3.1).

    Parameters
    ----------
    width : int
        Filters of every convolution.
    norm : {"batch", "group"}
        Normalisation, see `ResidualNet`; the papers' is over the batch.

    Notes
    -----
    Image sides must be at least 16 pixels. The embedding is linear in its last ReLU's outputs:
    its numbers are not negative.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016.
    .. [2] J. Snell, K. Swersky, R. Zemel, "Prototypical networks for few-shot learning",
       NeurIPS 2017.
    """

    channels_last = True

    def __init__(self, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        check_integer("width", width, low=1)
        check_norm(norm)
        self.width = width
        self.norm = norm

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        channels, height, width = check_image_shape(type(self).__name__, input_shape)
        if min(height, width) < _SMALLEST:
            raise InvalidDataError(
                f"Conv4 needs images of at least {_SMALLEST}×{_SMALLEST} pixels; "
                f"got items of shape {input_shape}."
            )
        modules: list[nn.Module] = []
        for _ in range(4):
            modules += [
                nn.Conv2d(channels, self.width, 3, padding=1, bias=False),
                make_norm(self.norm, self.width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels = self.width
        return nn.Sequential(*modules, nn.Flatten())
