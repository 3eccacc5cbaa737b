"""The convolutional network of Koch, Zemel and Salakhutdinov (2015)."""

from typing import Literal

from torch import nn

from siamesekit._checks import check_choice, check_integer
from siamesekit._types import Shape
from siamesekit.backbones._large_kernel import LargeKernelConv2d
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.registry import register

__all__ = ["KochNet"]


@register("backbones", "koch")
class KochNet(Backbone):
    """Four valid convolutions with max-pooling between, then one dense sigmoid layer.

    With its defaults on ``(1, 105, 105)`` and the `l1` head this is the paper's network, with its
    38,951,745 parameters (§3.1, Fig. 4).

    Parameters
    ----------
    filters : tuple of 4 int
        Filters of each convolution.
    kernels : tuple of 4 int
        Side of each convolution's square kernel, in pixels.
    units : int
        Length of the embedding: units of the dense layer.
    init : {"trainable", "paper"}
        ``"paper"`` draws as §3.2 says: convolutions from N(0, 0.01), biases from N(0.5, 0.01), the
        dense weights from N(0, 0.2) (second number: standard deviation). That makes embeddings
        that hardly depend on the image, since most sigmoids start saturated, and training starts
        on a plateau. ``"trainable"`` draws every layer after He et al. (2015), scaled so that its
        outputs vary with the image.

    Notes
    -----
    The embedding lies in ``(0, 1)``. The input side must be large enough for all four
    convolutions: 65 pixels and more with the default kernels.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015.
    .. [2] K. He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10.
    """

    def __init__(
        self,
        filters: tuple[int, ...] = (64, 128, 128, 256),
        kernels: tuple[int, ...] = (10, 7, 4, 4),
        units: int = 4096,
        init: Literal["trainable", "paper"] = "trainable",
    ) -> None:
        super().__init__()
        for name, values in (("filters", filters), ("kernels", kernels)):
            if len(values) != 4:
                raise InvalidParameterError(f"{name} must hold 4 integers; got {values!r}.")
            for value in values:
                check_integer(name, value, low=1)
        check_integer("units", units, low=1)
        check_choice("init", init, ("trainable", "paper"))
        self.filters = filters
        self.kernels = kernels
        self.units = units
        self.init = init

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        channels, height, width = check_image_shape(type(self).__name__, input_shape)
        modules: list[nn.Module] = []
        for level, (filters, kernel) in enumerate(zip(self.filters, self.kernels, strict=True)):
            if level:
                modules.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            modules += [LargeKernelConv2d(channels, filters, kernel), nn.ReLU()]
            channels, height, width = filters, height - kernel + 1, width - kernel + 1
            if min(height, width) < 1:
                raise InvalidDataError(
                    f"KochNet(kernels={self.kernels}) needs larger images; "
                    f"got items of shape {input_shape}."
                )
        modules += [nn.Flatten(), nn.Linear(channels * height * width, self.units), nn.Sigmoid()]
        network = nn.Sequential(*modules)
        initialise = _paper_init if self.init == "paper" else _trainable_init
        network.apply(initialise)
        return network


def _paper_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01 if isinstance(module, nn.Conv2d) else 0.2)
        assert module.bias is not None
        nn.init.normal_(module.bias, 0.5, 0.01)


def _trainable_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
