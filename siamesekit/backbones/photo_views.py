"""A network for few photographs: three views of each by formula, and what learning adds to them."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamesekit._checks import check_flag
from siamesekit._types import Shape
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones._standardize import Standardize
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.registry import register

__all__ = ["PhotoViews"]

_SMALLEST = 16
# Cells along the height of an image. Along its width there are as many as are about square.
_THUMBNAIL, _GRADIENTS, _PATTERNS = 28, 10, 5
_DIRECTIONS, _KINDS = 9, 59
_RADIUS = 3
# What rounding may make of two equal greys, of 1 in all.
_TIE = 1e-4
# The eight neighbours of a pixel, around it.
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


@register("backbones", "photo-views")
class PhotoViews(Backbone):
    """Sees a photograph in small, by its gradients and by its texture, and learns to compare these.

    Too few photographs to learn to see from can still teach what to look at. Each view (a
    thumbnail; histograms of oriented gradients [1]_; histograms of uniform local binary patterns
    [2]_) is worked out by its formula, in the image and in its mirror image, whose mean it is. Each
    of its numbers is brought to mean 0 and deviation 1, and a linear layer that starts as the
    identity learns what to make of them. The embedding is the views of unit length side by side,
    so that the cosine of two embeddings is the mean of the cosines in each.

    Parameters
    ----------
    thumbnail, gradients, patterns : bool
        Views to take; at least one.

    Notes
    -----
    Of an image of 112×92 pixels the thumbnail is 28×23 means, the gradients are 10×8 histograms of
    9 directions, which overlap by half, and the patterns 5×4 histograms of 59. Half of these are
    kept, since the mean with the mirror image is its own mirror image: 336, 360 and 590 numbers.
    Colours are averaged. Image sides must be at least 16 pixels.

    References
    ----------
    .. [1] N. Dalal, B. Triggs, "Histograms of oriented gradients for human detection", CVPR 2005,
       §6.
    .. [2] T. Ahonen, A. Hadid, M. Pietikäinen, "Face description with local binary patterns",
       TPAMI 28, 2006, §2.
    """

    def __init__(
        self, thumbnail: bool = True, gradients: bool = True, patterns: bool = True
    ) -> None:
        super().__init__()
        self.thumbnail = check_flag("thumbnail", thumbnail)
        self.gradients = check_flag("gradients", gradients)
        self.patterns = check_flag("patterns", patterns)
        if not (thumbnail or gradients or patterns):
            raise InvalidParameterError(
                "thumbnail, gradients or patterns must be True: without a view there is nothing "
                "to see; got False for each."
            )

    def layers(self, input_shape: Shape) -> nn.Module:  # noqa: D102
        _, height, width = check_image_shape(type(self).__name__, input_shape)
        if min(height, width) < _SMALLEST:
            raise InvalidDataError(
                f"PhotoViews needs images of at least {_SMALLEST}×{_SMALLEST} pixels; "
                f"got items of shape {input_shape}."
            )
        views: list[_View] = []
        if self.thumbnail:
            views.append(_Thumbnail(height, width))
        if self.gradients:
            views.append(_Gradients(height, width))
        if self.patterns:
            views.append(_Patterns(height, width))
        return _Views(views)


class _Views(nn.Module):
    def __init__(self, views: list["_View"]) -> None:
        super().__init__()
        self.views = nn.ModuleList(views)
        self.learnt = nn.ModuleList(_Learnt(view.size) for view in views)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            grey = x.float().mean(1)
            parts = [
                learnt(view(grey)) for view, learnt in zip(self.views, self.learnt, strict=True)
            ]
            return torch.cat(parts, 1) / math.sqrt(len(parts))


class _Learnt(nn.Module):
    """Standardise, add what a linear layer says, and take the direction."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.standardize = Standardize(size)
        self.weight = nn.Parameter(torch.zeros(size, size))

    def forward(self, x: Tensor) -> Tensor:
        x = self.standardize(x)
        return F.normalize(torch.addmm(x, x, self.weight), dim=1)


class _View(nn.Module, ABC):
    """A map of cells with some channels each, averaged with that of the mirror image.

    The mirror image's map is the map mirrored, with its channels in another order, so that it
    need not be worked out, and of the mean the left half is enough.
    """

    mirrored: Tensor

    def __init__(self, rows: int, columns: int, mirrored: Tensor) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.register_buffer("mirrored", mirrored, persistent=False)

    @property
    def size(self) -> int:
        """Numbers in the view."""
        return len(self.mirrored) * self.rows * ((self.columns + 1) // 2)

    @abstractmethod
    def cells(self, grey: Tensor) -> Tensor:
        """Return the map of images (b, h, w): (b, channels, rows, columns)."""

    def forward(self, grey: Tensor) -> Tensor:
        cells = self.cells(grey)
        both = (cells + cells[:, self.mirrored].flip(3)) / 2
        return both[:, :, :, : (self.columns + 1) // 2].flatten(1)


class _Thumbnail(_View):
    def __init__(self, height: int, width: int) -> None:
        super().__init__(*_cells(_THUMBNAIL, height, width), torch.zeros(1, dtype=torch.int64))

    def cells(self, grey: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(grey[:, None], (self.rows, self.columns))


class _Gradients(_View):
    """Histograms of directions, weighted by steepness, each cell brought to unit length."""

    def __init__(self, height: int, width: int) -> None:
        opposite = -torch.arange(_DIRECTIONS) % _DIRECTIONS
        super().__init__(*_cells(_GRADIENTS, height, width), opposite)

    def cells(self, grey: Tensor) -> Tensor:
        padded = F.pad(grey[:, None], [1, 1, 1, 1], mode="replicate")[:, 0]
        across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
        down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
        steepness = torch.sqrt(across.square() + down.square())
        # A direction and its opposite are one, and a pixel is shared by the two nearest.
        angle = torch.atan2(down, across) * (_DIRECTIONS / torch.pi)
        below = angle.floor()
        above = angle - below
        first = below.long() % _DIRECTIONS
        # Twice as large as they are apart, so that a cell overlaps its neighbours by half.
        fine = (self.rows + 1, self.columns + 1)
        counts = _histograms(first, steepness * (1 - above), fine, _DIRECTIONS) + _histograms(
            (first + 1) % _DIRECTIONS, steepness * above, fine, _DIRECTIONS
        )
        cells = F.avg_pool2d(counts, 2, 1)
        return cells / torch.sqrt(cells.square().sum(1, keepdim=True) + 1e-4)


class _Patterns(_View):
    """Histograms of which of a pixel's neighbours are at least as bright as it is."""

    kind: Tensor
    smooth: Tensor

    def __init__(self, height: int, width: int) -> None:
        kind, mirrored = _uniform_patterns()
        super().__init__(*_cells(_PATTERNS, height, width), mirrored)
        self.register_buffer("kind", kind, persistent=False)
        at = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float32)
        weights = torch.exp(-0.5 * at**2)
        self.register_buffer("smooth", weights / weights.sum(), persistent=False)

    def cells(self, grey: Tensor) -> Tensor:
        # Noise alone decides between neighbours of one grey, and a little blur takes it away.
        x = F.pad(grey[:, None], [_RADIUS] * 4, mode="replicate")
        x = F.conv2d(F.conv2d(x, self.smooth.view(1, 1, -1, 1)), self.smooth.view(1, 1, 1, -1))
        height, width = x.shape[2] - 2, x.shape[3] - 2
        least = x[:, 0, 1:-1, 1:-1] - _TIE
        code = torch.zeros_like(least, dtype=torch.int64)
        for bit, (down, right) in enumerate(_NEIGHBOURS):
            other = x[:, 0, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
            # A product and a sum: what onnxruntime makes of bits has two types.
            code = code + (other >= least) * 2**bit
        cells = (self.rows, self.columns)
        shares = _histograms(self.kind[code], torch.ones_like(least), cells, _KINDS)
        # The root, as of Hellinger's distance: frequent patterns do not drown the others.
        return torch.sqrt(shares)


def _histograms(kinds: Tensor, weights: Tensor, cells: tuple[int, int], n_kinds: int) -> Tensor:
    """Return the weight of each kind in each cell, by a cell's mean area.

    Parameters
    ----------
    kinds : Tensor of int64, shape (b, h, w)
    weights : Tensor of float, shape (b, h, w)
    cells : tuple of int
        Rows and columns.
    n_kinds : int

    Returns
    -------
    Tensor of float, shape (b, n_kinds, rows, columns)
    """
    n, height, width = kinds.shape
    rows, columns = cells
    row = _places(height, rows, kinds.device)
    column = _places(width, columns, kinds.device)
    place = kinds * (rows * columns) + (row[:, None] * columns + column)
    total = weights.new_zeros(n, n_kinds * rows * columns)
    total = total.scatter_add(1, place.flatten(1), weights.flatten(1))
    return total.view(n, n_kinds, rows, columns) * (rows * columns / (height * width))


def _places(n_pixels: int, n_cells: int, device: torch.device) -> Tensor:
    """Return in which cell each pixel along a side lies: the same from either end."""
    half = (2 * torch.arange((n_pixels + 1) // 2, device=device) + 1) * n_cells // (2 * n_pixels)
    return torch.cat([half, n_cells - 1 - half[: n_pixels // 2].flip(0)])


def _uniform_patterns() -> tuple[Tensor, Tensor]:
    """Return the kind of each of the 256 patterns, and of each kind that of its mirror image.

    The 58 patterns of at most two changes around the pixel are a kind each, all others are one.
    """
    kinds = [_KINDS - 1] * 256
    mirrored = [_KINDS - 1] * _KINDS
    bits_of = [[code >> bit & 1 for bit in range(8)] for code in range(256)]
    uniform = [code for code in range(256) if sum(b != c for b, c in _around(bits_of[code])) <= 2]
    for number, code in enumerate(uniform):
        kinds[code] = number
    across = [_NEIGHBOURS.index((down, -right)) for down, right in _NEIGHBOURS]
    for code in uniform:
        other = sum(bits_of[code][bit] << across[bit] for bit in range(8))
        mirrored[kinds[code]] = kinds[other]
    return torch.tensor(kinds), torch.tensor(mirrored)


def _around(bits: list[int]) -> list[tuple[int, int]]:
    return [(bits[bit - 1], bits[bit]) for bit in range(8)]


def _cells(rows: int, height: int, width: int) -> tuple[int, int]:
    """Return how many cells an image is cut into: no more than it has pixels, about square."""
    rows = min(rows, height)
    return rows, max(1, min(width, round(rows * width / height)))
