"""Convolutions with large kernels, faster on a processor than the direct sum."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from siamesekit._eager import is_eager, plain_gradients
from siamesekit.backbones._spectral import Tiling, cheapest_tiling, spectral_conv2d

__all__ = ["LargeKernelConv2d"]

# How many times fewer multiplications the spectra must need before they pay.
_WORTH = 2.5
# Below so many numbers a window, oneDNN's gradient of the weights is slower than a matrix product
# (1 channel, 10×10: 3 times).
_FEW = 128
# Rows of outputs whose windows are gathered at a time, few enough to stay in the cache.
_ROWS = 24


class LargeKernelConv2d(nn.Conv2d):
    """A valid convolution with stride 1; the weights and the outcome of ``nn.Conv2d``.

    In float32 and float64 on a processor it goes by the convolution theorem where that saves
    work: the transforms of images and kernels are multiplied, one small matrix product a
    frequency [1]_. 64 maps of 48×48 pixels with 128 kernels of 7×7 then take an eighth of the
    multiplications. Where a window holds few numbers only the gradient of the weights has a way of
    its own, as one matrix product. Elsewhere (a GPU, bfloat16) it is ``nn.Conv2d``, and so it is
    to all that records or rewrites: export, tracing, ``torch.compile``, ``torch.func``, gradients
    of gradients.

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int

    References
    ----------
    .. [1] M. Mathieu, M. Henaff, Y. LeCun, "Fast training of convolutional networks through FFTs",
       ICLR 2014.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, input: Tensor) -> Tensor:
        """Return the maps, shape (b, out_channels, h - kernel_size + 1, w - kernel_size + 1).

        Parameters
        ----------
        input : Tensor of float, shape (b, in_channels, h, w)
        """
        if self.bias is None or not self._is_ours(input):
            return super().forward(input)
        tiling = self._tiling(*input.shape[2:])
        if tiling is not None:
            return spectral_conv2d(input, self.weight, self.bias, tiling)
        if self.weight[0].numel() <= _FEW and not input.requires_grad:
            maps: Tensor = _FewInputs.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return maps
        return super().forward(input)

    def _is_ours(self, input: Tensor) -> bool:
        """Return whether the ways of this class know what to do with `input`."""
        return (
            is_eager(input, self.weight, self.bias)
            and input.ndim == 4
            and input.shape[1] == self.in_channels
            and input.device.type == self.weight.device.type == "cpu"
            and input.dtype in (torch.float32, torch.float64)
            and input.dtype == self.weight.dtype
            and not torch.is_autocast_enabled("cpu")
        )

    def _tiling(self, height: int, width: int) -> Tiling | None:
        """Return how the spectra are best taken, or None where the direct sum is cheaper."""
        side = self.kernel_size[0]
        if min(height, width) < side:
            return None
        tiling = cheapest_tiling(height, width, side, self.in_channels, self.out_channels)
        places = (height - side + 1) * (width - side + 1)
        direct = places * self.weight.numel()
        spectral = tiling.multiplications(self.in_channels, self.out_channels)
        return tiling if direct >= _WORTH * spectral else None


class _FewInputs(Function):
    """The direct convolution, with the gradient of the weights as a product with the windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return plain_gradients(F.conv2d, (x, weight, bias), grad)
        out, _, side, _ = weight.shape
        of_weight = weight.new_zeros(out, weight[0].numel())
        for image, of_maps in zip(x, grad.permute(0, 2, 3, 1), strict=True):
            windows = image.unfold(1, side, 1).unfold(2, side, 1).permute(1, 2, 0, 3, 4)
            for some, of_some in zip(windows.split(_ROWS), of_maps.split(_ROWS), strict=True):
                rows = some.reshape(-1, weight[0].numel())
                of_weight.addmm_(of_some.reshape(-1, out).T, rows)
        return None, of_weight.view_as(weight), grad.sum((0, 2, 3))
