"""The convolutional network of Koch, Zemel and Salakhutdinov (2015)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from siamesekit._checks import check_choice, check_flag, check_integer, check_integers, shown
from siamesekit._random import drawing_from
from siamesekit._types import Shape
from siamesekit.backbones._large_kernel import LargeKernelConv2d
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
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
    batch_norm : bool
        Normalise before each ReLU and the sigmoid while training; not in the paper. Once training
        is over `fold` turns what was learnt into weights of the paper's network, and that is the
        one an estimator keeps. Maps are normalised after pooling, by a factor that is above 0 and
        so leaves the maximum where it is.

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

    channels_last = True

    def __init__(
        self,
        filters: tuple[int, ...] = (64, 128, 128, 256),
        kernels: tuple[int, ...] = (10, 7, 4, 4),
        units: int = 4096,
        init: Literal["trainable", "paper"] = "trainable",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        for name, values in (("filters", filters), ("kernels", kernels)):
            if len(check_integers(name, values, low=1)) != 4:
                raise InvalidParameterError(f"{name} must be 4 integers; got {shown(values)}.")
        check_integer("units", units, low=1)
        check_choice("init", init, ("trainable", "paper"))
        check_flag("batch_norm", batch_norm)
        self.filters = filters
        self.kernels = kernels
        self.units = units
        self.init = init
        self.batch_norm = batch_norm

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        channels, height, width = check_image_shape(type(self).__name__, input_shape)
        modules: dict[str, nn.Module] = {}
        for level, (filters, kernel) in enumerate(zip(self.filters, self.kernels, strict=True), 1):
            modules[f"conv{level}"] = LargeKernelConv2d(channels, filters, kernel)
            channels, height, width = filters, height - kernel + 1, width - kernel + 1
            if level < len(self.filters):
                # Before the ReLU, which leaves the maximum in place and then has less to do.
                modules[f"pool{level}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            if self.batch_norm:
                modules[f"conv{level}_norm"] = _norm_of_maps(filters)
            modules[f"relu{level}"] = nn.ReLU(inplace=True)
            if min(height, width) < 1:
                raise InvalidDataError(
                    f"KochNet(kernels={self.kernels}) needs larger images; "
                    f"got items of shape {input_shape}."
                )
        modules["flatten"] = nn.Flatten()
        modules["dense"] = nn.Linear(channels * height * width, self.units)
        if self.batch_norm:
            modules["dense_norm"] = nn.BatchNorm1d(self.units)
        modules["sigmoid"] = nn.Sigmoid()
        network = nn.Sequential(OrderedDict(modules))
        initialise = _paper_init if self.init == "paper" else _trainable_init
        network.apply(initialise)
        return network

    def finish(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> nn.Module:
        """Return the paper's network: `fold` where there is batch normalisation, else itself."""
        return self.fold() if self.batch_norm else self

    def fold(self) -> Self:
        """Return the same function as a network without batch normalisation, in ``eval()`` mode.

        What a normalisation does outside training is a factor and a summand a unit, which go into
        the weights and the bias of the layer before it.

        Returns
        -------
        KochNet
            A new one, built, with ``batch_norm=False``.

        Raises
        ------
        NotBuiltError
            If it has no weights yet.
        """
        if self.network is None or self.input_shape is None:
            raise NotBuiltError("KochNet: call build(input_shape) before fold().")
        parameters = {**self.get_params(deep=False), "batch_norm": False}
        plain = type(self)(**parameters)
        # Parameters made in inference mode could not be trained any further.
        with torch.inference_mode(False), torch.no_grad():
            with drawing_from(0):  # for weights that are replaced at once
                plain.build(self.input_shape)
            assert plain.network is not None
            plain.to(next(self.parameters()))
            plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            own = dict(self.network.named_children())
            for name, layer in plain.network.named_children():
                source, norm = own[name], own.get(f"{name}_norm")
                if isinstance(source, nn.Conv2d | nn.Linear):
                    weight, bias = _folded(source, norm)
                    layer.load_state_dict({"weight": weight, "bias": bias})
                    layer.requires_grad_(source.weight.requires_grad)
        return plain.eval()


def _folded(layer: nn.Conv2d | nn.Linear, norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a layer that does what `layer` and `norm` do outside training."""
    if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm1d):
        return layer.weight, layer.bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    fuse = fuse_conv_bn_weights if isinstance(layer, nn.Conv2d) else fuse_linear_bn_weights
    statistics = norm.running_mean, norm.running_var, norm.eps
    return fuse(layer.weight, layer.bias, *statistics, norm.weight, norm.bias)


def _norm_of_maps(filters: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(filters)
    # Stays 1: the next layer can scale, and a factor below 0 would turn the maximum into another.
    norm.weight.requires_grad_(False)
    return norm


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
