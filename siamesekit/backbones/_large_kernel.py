"""Convolutions with large kernels, faster on a processor than the direct sum."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["LargeKernelConv2d"]

# How many times fewer multiplications the spectra must need before they pay for their transforms
# (measured on AVX2: 5.6 times fewer are 1.7 times as fast, 18 times fewer 3 to 5 times).
_WORTH = 5.0
# Below so many numbers a window, oneDNN's gradient of the weights is slower than a matrix product
# (1 channel, 10×10: 3 times).
_FEW = 128
# Images at a time: their buffers stay below the size from which the allocator asks the system anew.
_CHUNK = 8


class LargeKernelConv2d(nn.Conv2d):
    """A valid convolution with stride 1; the weights and the outcome of ``nn.Conv2d``.

    In float32 and float64 on a processor it goes by the convolution theorem where that saves
    work: the transforms of images and kernels are multiplied, one small matrix product a
    frequency [1]_. 64 maps of 48×48 pixels with 128 kernels of 7×7 then take a fifteenth of the
    multiplications. Where a window holds few numbers only the gradient of the weights has a way of
    its own, as one matrix product. Elsewhere (a GPU, bfloat16) it is ``nn.Conv2d``.

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
        exact = input.dtype in (torch.float32, torch.float64) and input.dtype == self.weight.dtype
        if input.device.type != "cpu" or not exact or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        assert self.bias is not None
        if self._saving(*input.shape[2:]) >= _WORTH:
            maps: Tensor = _Spectral.apply(input, self.weight)  # type: ignore[no-untyped-call]
            return maps + self.bias[:, None, None]
        if self.weight[0].numel() <= _FEW and not input.requires_grad:
            maps = _FewInputs.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return maps
        return super().forward(input)

    def _saving(self, height: int, width: int) -> float:
        """Return multiplications of the direct sum over those of the spectra, transforms apart."""
        side = self.kernel_size[0]
        if self.in_channels == 1:
            # One product an output and frequency: the transforms are all there is.
            return 0.0
        direct = (height - side + 1) * (width - side + 1) * side**2
        # A complex product is four real ones.
        return direct / (4 * height * (width // 2 + 1))


class _Spectral(Function):
    """Valid cross-correlation through the discrete Fourier transform.

    A circular correlation as long as the image wraps only where the valid one has no outputs, so
    nothing is padded.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        _, _, height, width = x.shape
        out, channels, side, _ = weight.shape
        cos, sin = _waves(height, width, side, x.dtype)
        taps = weight.permute(2, 3, 1, 0).reshape(side * side, channels * out)
        # The conjugate of the kernels' transform, as a correlation needs it.
        kernels = torch.complex(cos @ taps, sin @ taps).view(-1, channels, out)
        images = _spectra(x, height, width)
        ctx.save_for_backward(images, kernels)
        ctx.sizes = height, width, side
        products = torch.bmm(images, kernels)
        return _images(products, height, width, height - side + 1, width - side + 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        images, kernels = ctx.saved_tensors
        height, width, side = ctx.sizes
        _, channels, out = kernels.shape
        grads = _spectra(grad, height, width)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = _images(torch.bmm(grads, kernels.mH), height, width, height, width)
        of_kernels = torch.bmm(images.mT, grads.conj()).view(-1, channels * out)
        # The inverse transform at the kernel's own pixels alone, as a matrix product.
        cos, sin = _waves(height, width, side, grad.dtype)
        share = _shares(height, width, grad.dtype)
        taps = (cos * share).T @ of_kernels.real - (sin * share).T @ of_kernels.imag
        return of_x, taps.view(side, side, channels, out).permute(3, 2, 0, 1)


class _FewInputs(Function):
    """The direct convolution, with the gradient of the weights as a product with the windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        out, _, side, _ = weight.shape
        of_weight = weight.new_zeros(out, weight[0].numel())
        for images, grads in zip(torch.split(x, _CHUNK), torch.split(grad, _CHUNK), strict=True):
            windows = images.unfold(2, side, 1).unfold(3, side, 1).permute(0, 2, 3, 1, 4, 5)
            of_maps = grads.permute(1, 0, 2, 3).reshape(out, -1)
            of_weight.addmm_(of_maps, windows.reshape(-1, weight[0].numel()))
        return None, of_weight.view_as(weight), grad.sum((0, 2, 3))


def _waves(height: int, width: int, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, a frequency a row and a pixel of the kernel a column."""
    pixel = torch.arange(side, dtype=torch.float64)
    down = torch.arange(height, dtype=torch.float64)[:, None] * pixel / height
    across = torch.arange(width // 2 + 1, dtype=torch.float64)[:, None] * pixel / width
    angle = 2 * math.pi * (down[:, None, :, None] + across[None, :, None, :])
    angle = angle.reshape(-1, side * side)
    return torch.cos(angle).to(dtype), torch.sin(angle).to(dtype)


def _shares(height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Return the weight of each frequency in an inverse transform of real numbers, as a column."""
    share = torch.full((width // 2 + 1,), 2.0, dtype=dtype)
    # These have no conjugate twin in the half that is not stored.
    share[0] = 1.0
    if width % 2 == 0:
        share[-1] = 1.0
    return (share / (height * width)).repeat(height)[:, None]


def _spectra(x: Tensor, height: int, width: int) -> Tensor:
    """Return transforms of zero-padded maps, frequency first: shape (frequencies, b, channels)."""
    kind = torch.complex64 if x.dtype == torch.float32 else torch.complex128
    spectra = torch.empty(height, width // 2 + 1, *x.shape[:2], dtype=kind)
    for start in range(0, len(x), _CHUNK):
        some = torch.fft.rfft2(x[start : start + _CHUNK], s=(height, width))
        spectra[:, :, start : start + _CHUNK] = some.permute(2, 3, 0, 1)
    return spectra.flatten(0, 1)


def _images(spectra: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """Return the upper left ``rows`` × ``columns`` pixels of the maps that `spectra` are of."""
    by_place = spectra.view(height, width // 2 + 1, *spectra.shape[1:])
    images = torch.empty(*spectra.shape[1:], rows, columns, dtype=spectra.real.dtype)
    for start in range(0, len(images), _CHUNK):
        some = by_place[:, :, start : start + _CHUNK].permute(2, 3, 0, 1).contiguous()
        some_images = torch.fft.irfft2(some, s=(height, width))
        images[start : start + _CHUNK] = some_images[:, :, :rows, :columns]
    return images
