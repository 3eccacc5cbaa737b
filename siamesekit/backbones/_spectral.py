"""Convolution by the convolution theorem, in real matrix products and channels last.

Tiles of the image are transformed (overlap-save), multiplied with the transforms of the kernels, a
matrix product a frequency, and transformed back. The transforms are matrix products as well: their
sides are short, and so every step reads and writes the channels as one run of memory, where a fast
Fourier transform of one map at a time would have to turn the maps round before and after.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from siamesekit._eager import is_eager, plain_gradients

__all__ = ["Tiling", "cheapest_tiling", "spectral_conv2d"]

_Table = TypeVar("_Table")

# Images at a time: their buffers stay in the cache.
_CHUNK = 4
# Tilings, and matrices of transforms of each kind, that are kept.
_TABLES = 16
_MAX_TILES = 4
# Images that share one transform of the kernels, in the reckoning of its cost.
_BATCH = 32


@dataclass(frozen=True)
class Tiling:
    """How the maps of a valid convolution with square kernels are cut, ``down`` × ``across``.

    Attributes
    ----------
    height, width : int
        Of the images.
    side : int
        Of the kernels.
    down, across : int
        Tiles along each axis; they divide the sides of the maps.
    """

    height: int
    width: int
    side: int
    down: int = 1
    across: int = 1

    @property
    def rows(self) -> int:
        """Rows of a tile of the maps."""
        return (self.height - self.side + 1) // self.down

    @property
    def columns(self) -> int:
        """Columns of a tile of the maps."""
        return (self.width - self.side + 1) // self.across

    @property
    def period(self) -> tuple[int, int]:
        """Sides of the transforms: of what a tile of the maps sees.

        A circular correlation so long wraps only where the valid one has no outputs.
        """
        return self.rows + self.side - 1, self.columns + self.side - 1

    @property
    def frequencies(self) -> int:
        """How many a transform keeps; the others are conjugates of these."""
        height, width = self.period
        return (height // 2 + 1) * width

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield the upper left corner of each tile, of the maps and of the image alike."""
        for i in range(self.down):
            for j in range(self.across):
                yield i * self.rows, j * self.columns

    def multiplications(self, channels: int, out: int) -> int:
        """Return the real multiplications for an image, transforms and all."""
        (height, width), half = self.period, self.period[0] // 2 + 1
        forth = 2 * half * height * width + half * (2 * width) ** 2
        back = half * 2 * width * 2 * self.columns + self.rows * 2 * half * self.columns
        products = 4 * self.frequencies * channels * out
        kernels = 2 * self.frequencies * self.side**2 * channels * out // _BATCH
        return self.down * self.across * (channels * forth + out * back + products) + kernels


@lru_cache(maxsize=_TABLES)
def cheapest_tiling(height: int, width: int, side: int, channels: int, out: int) -> Tiling:
    """Return the tiling with the fewest multiplications an image."""
    tilings = [
        Tiling(height, width, side, down, across)
        for down in range(1, _MAX_TILES + 1)
        for across in range(1, _MAX_TILES + 1)
        if (height - side + 1) % down == 0 and (width - side + 1) % across == 0
    ]
    return min(tilings, key=lambda tiling: tiling.multiplications(channels, out))


def spectral_conv2d(x: Tensor, weight: Tensor, bias: Tensor, tiling: Tiling) -> Tensor:
    """Return the valid cross-correlation of images and kernels plus a bias, with its gradients.

    Parameters
    ----------
    x : Tensor of float, shape (b, channels, height, width)
    weight : Tensor of float, shape (out, channels, side, side)
    bias : Tensor of float, shape (out,)
    tiling : Tiling

    Returns
    -------
    Tensor of float, shape (b, out, height - side + 1, width - side + 1), channels last
    """
    maps: Tensor = _SpectralConv2d.apply(x, weight, bias, tiling)  # type: ignore[no-untyped-call]
    return maps


class _SpectralConv2d(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, tiling: Tiling) -> Tensor:
        out, channels, side, _ = weight.shape
        taps = weight.permute(2, 3, 1, 0).reshape(side * side, channels * out)
        kernels = _kernel_spectra(taps, tiling, channels, out)
        images = _spectra(x.permute(0, 2, 3, 1), tiling, *tiling.period)
        ctx.save_for_backward(x, weight, bias, images, kernels)
        ctx.tiling = tiling
        products = torch.bmm(images, kernels)
        # A constant is a term of frequency 0 alone.
        products[0, :, :out] += bias * math.prod(tiling.period)
        place = (len(x), out, x.shape[2] - side + 1, x.shape[3] - side + 1)
        maps = torch.empty(place, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        # Not a view is returned: autograd would let nothing after it write in place.
        _write_images(maps.permute(0, 2, 3, 1), products, tiling, tiling.rows, tiling.columns)
        return maps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, images, kernels = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_eager(grad):
            return *plain_gradients(F.conv2d, inputs, grad), None
        tiling: Tiling = ctx.tiling
        channels, out = kernels.shape[1] // 2, kernels.shape[2] // 2
        grads = _spectra(grad.permute(0, 2, 3, 1), tiling, tiling.rows, tiling.columns)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = grad.new_zeros(len(grad), tiling.height, tiling.width, channels)
            _write_images(of_x, torch.bmm(grads, kernels.mT), tiling, *tiling.period, add=True)
            of_x = of_x.permute(0, 3, 1, 2)
        products = torch.bmm(images.mT, grads).view(-1, 2, channels, 2, out)
        real = (products[:, 0, :, 0] + products[:, 1, :, 1]).view(-1, channels * out)
        imaginary = (products[:, 1, :, 0] - products[:, 0, :, 1]).view(-1, channels * out)
        cos, sin = _waves(*tiling.period, tiling.side, grad.dtype)
        # The inverse transform at the kernel's own pixels alone.
        share = _shares(tiling.period[0], grad.dtype).repeat_interleave(tiling.period[1])
        share = share[:, None] / math.prod(tiling.period)
        taps = (cos * share).T @ real - (sin * share).T @ imaginary
        side = tiling.side
        of_weight = taps.view(side, side, channels, out).permute(3, 2, 0, 1)
        return of_x, of_weight, grads[0, :, :out].sum(0), None


def _kernel_spectra(taps: Tensor, tiling: Tiling, channels: int, out: int) -> Tensor:
    """Return what the spectra of images are multiplied with: (frequencies, 2 channels, 2 out).

    The conjugate ``c + i s`` of each kernel's transform, as a correlation needs it, written as a
    real matrix ``[[c, s], [-s, c]]``.
    """
    cos, sin = _waves(*tiling.period, tiling.side, taps.dtype)
    real = (cos @ taps).view(-1, channels, out)
    imaginary = (sin @ taps).view(-1, channels, out)
    kernels = taps.new_empty(len(cos), 2, channels, 2, out)
    kernels[:, 0, :, 0] = real
    kernels[:, 1, :, 1] = real
    kernels[:, 0, :, 1] = imaginary
    torch.neg(imaginary, out=kernels[:, 1, :, 0])
    return kernels.view(-1, 2 * channels, 2 * out)


def _spectra(x: Tensor, tiling: Tiling, rows: int, columns: int) -> Tensor:
    """Return the transforms of all tiles, of `rows` × `columns` pixels, zero beyond these.

    From (b, h, w, channels) to (frequencies, tiles · b, 2 channels): real parts, then imaginary.
    """
    height, width = tiling.period
    n, channels, half = len(x), x.shape[3], height // 2 + 1
    down, across = _down(height, rows, x.dtype), _across(width, columns, x.dtype)
    n_tiles = tiling.down * tiling.across
    spectra = x.new_empty(half, width, n_tiles, n, 2, channels)
    for start in range(0, n, _CHUNK):
        images = x[start : start + _CHUNK]
        for tile, (top, left) in enumerate(tiling.corners()):
            pixels = images[:, top : top + rows, left : left + columns]
            by_row = torch.matmul(down, pixels.reshape(len(images), rows, columns * channels))
            by_row = by_row.view(-1, 2 * columns, channels)
            both = torch.matmul(across, by_row).view(-1, half, 2, width, channels)
            spectra[:, :, tile, start : start + _CHUNK] = both.permute(1, 3, 0, 2, 4)
    return spectra.view(half * width, n_tiles * n, 2 * channels)


def _write_images(
    target: Tensor, spectra: Tensor, tiling: Tiling, rows: int, columns: int, add: bool = False
) -> None:
    """Write (or add) the upper left pixels of the tiles that `spectra` are of at their places."""
    height, width = tiling.period
    n, channels, half = len(target), target.shape[3], height // 2 + 1
    down, across = (
        _down_back(height, rows, target.dtype),
        _across_back(width, columns, target.dtype),
    )
    by_place = spectra.view(half, width, tiling.down * tiling.across, n, 2, channels)
    for start in range(0, n, _CHUNK):
        images = target[start : start + _CHUNK]
        for tile, (top, left) in enumerate(tiling.corners()):
            some = by_place[:, :, tile, start : start + _CHUNK].permute(2, 0, 3, 1, 4)
            by_row = torch.matmul(across, some.reshape(-1, 2 * width, channels))
            by_row = by_row.view(-1, 2 * half, columns * channels)
            pixels = torch.matmul(down, by_row).view(-1, rows, columns, channels)
            place = images[:, top : top + rows, left : left + columns]
            if add:
                place += pixels
            else:
                place.copy_(pixels)


def _kept(table: Callable[..., _Table]) -> Callable[..., _Table]:
    """Keep the last few of a function's tables: they are the same for every batch."""

    @lru_cache(maxsize=_TABLES)
    def ordinary(*sizes: Any) -> _Table:
        # What inference mode makes could not be used in training later on.
        with torch.inference_mode(False):
            return table(*sizes)

    return ordinary


@_kept
def _down(height: int, pixels: int, dtype: torch.dtype) -> Tensor:
    """Return the transform of real columns: (half · 2, pixels), the real part first in each two."""
    angle = _angles(height // 2 + 1, pixels, height)
    return torch.stack([angle.cos(), -angle.sin()], 1).reshape(-1, pixels).to(dtype)


@_kept
def _across(width: int, pixels: int, dtype: torch.dtype) -> Tensor:
    """Return the transform of complex rows: (2 · width, 2 · pixels), all real parts first."""
    angle = _angles(width, pixels, width)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([torch.cat([cos, sin], 1), torch.cat([-sin, cos], 1)]).to(dtype)


@_kept
def _across_back(width: int, pixels: int, dtype: torch.dtype) -> Tensor:
    """Return the inverse of `_across` at the first `pixels`: its adjoint over `width`."""
    return (_across(width, pixels, torch.float64).T / width).to(dtype).contiguous()


@_kept
def _down_back(height: int, pixels: int, dtype: torch.dtype) -> Tensor:
    """Return the inverse of `_down` at the first `pixels`."""
    share = _shares(height, torch.float64).repeat_interleave(2)[:, None]
    return (_down(height, pixels, torch.float64) * share / height).T.to(dtype).contiguous()


@_kept
def _waves(height: int, width: int, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, a frequency a row and a pixel of the kernel a column."""
    down = _angles(height // 2 + 1, side, height)[:, None, :, None]
    across = _angles(width, side, width)[None, :, None, :]
    angle = (down + across).reshape(-1, side * side)
    return angle.cos().to(dtype), angle.sin().to(dtype)


def _shares(height: int, dtype: torch.dtype) -> Tensor:
    """Return the weight of each frequency down a column in an inverse transform of real numbers."""
    share = torch.full((height // 2 + 1,), 2.0, dtype=dtype, device="cpu")
    # These have no conjugate twin in the half that is not kept.
    share[0] = 1.0
    if height % 2 == 0:
        share[-1] = 1.0
    return share


def _angles(frequencies: int, pixels: int, period: int) -> Tensor:
    """Return the phase of each frequency at each pixel, float64, shape (frequencies, pixels)."""
    turns = torch.arange(frequencies, dtype=torch.float64, device="cpu")[:, None] / period
    return 2 * math.pi * turns * torch.arange(pixels, dtype=torch.float64, device="cpu")
