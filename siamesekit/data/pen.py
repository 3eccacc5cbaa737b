"""Drawings as other pens would have left them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_integer, check_number, shown
from siamesekit._params import Part
from siamesekit.data.augmentation import RandomAffine, check_batch, check_generator
from siamesekit.errors import InvalidParameterError
from siamesekit.registry import register

__all__ = ["RandomPen"]

_WIDEST = 0.5
# Of the grid of shifts, along each side.
_POINTS = 5
_Extreme = Callable[[Tensor, Tensor], Tensor]


@register("augmentations", "pen")
class RandomPen(Part):
    """Move each drawing, and draw it again with a pen, a focus and an ink of its own.

    In this order: an affine map and a bend onto a finer canvas; strokes made wider or thinner there
    by a round nib; the canvas averaged down to the image's pixels; a blur; weaker ink. All of it
    stays on the device of the batch, without a loop over images. Ink is what is above the paper.

    Parameters
    ----------
    width : tuple of two float
        Range of what the pen adds to the width of a stroke, as a share of the image's shorter
        side, in [-0.5, 0.5]; what is negative takes away, and a stroke thinner than that is gone.
    blur : float
        Largest share, in [0, 1], of each pixel that its 3×3 neighbourhood's mean replaces.
    contrast : float
        Largest share of the ink's strength that is lost, in [0, 1).
    rotation, shear, scale, translate
        Of the affine map, as in `RandomAffine`.
    p : float
        Probability, in [0, 1], with which each of width, blur and contrast takes part.
    fine : int
        Pixels of the canvas along each side of one pixel of the image, from 1 to 8. Time grows with
        its square.
    fill : float
        Value of the paper, in the units of the batch.
    bend : float
        Of the smooth distortion [2]_ that follows the affine map: the largest standard deviation
        of the shift of a point, as a share of half the image's side, in [0, 0.5]. The shifts of a
        grid of 5×5 points are drawn, those between are interpolated.

    Notes
    -----
    Strokes grow by dilation with an octagon, a step of two canvas pixels at a time; a width
    between two steps is the mixture of both, which averages down to strokes between them.

    References
    ----------
    .. [1] J. Serra, "Image analysis and mathematical morphology", Academic Press, 1982, ch. II.
    .. [2] P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks
       applied to visual document analysis", ICDAR 2003, §2.
    """

    def __init__(
        self,
        width: tuple[float, float] = (0.0, 0.1),
        blur: float = 0.6,
        contrast: float = 0.4,
        rotation: float = 15.0,
        shear: float = 0.2,
        scale: tuple[float, float] = (0.8, 1.2),
        translate: float = 0.08,
        p: float = 0.7,
        fine: int = 2,
        fill: float = 0.0,
        bend: float = 0.0,
    ) -> None:
        if not isinstance(width, tuple | list) or len(width) != 2:
            raise InvalidParameterError(f"width must be a pair (low, high); got {shown(width)}.")
        check_number("width[0]", width[0], low=-_WIDEST, high=_WIDEST)
        check_number("width[1]", width[1], low=width[0], high=_WIDEST)
        check_number("blur", blur, low=0.0, high=1.0)
        check_number("contrast", contrast, low=0.0, high=1.0, open_high=True)
        check_number("p", p, low=0.0, high=1.0)
        check_integer("fine", fine, low=1, high=8)
        check_number("fill", fill)
        check_number("bend", bend, low=0.0, high=0.5)
        self.width = width
        self.blur = blur
        self.contrast = contrast
        self.rotation = rotation
        self.shear = shear
        self.scale = scale
        self.translate = translate
        self.p = p
        self.fine = fine
        self.fill = fill
        self.bend = bend
        self._affine()  # which checks what it is given

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the drawings by other pens.

        Parameters
        ----------
        x : Tensor of float, shape (b, c, h, w)
        generator : torch.Generator
            On the device of `x`.

        Returns
        -------
        Tensor of float, shape (b, c, h, w)
            Of no images, none.

        Raises
        ------
        InvalidDataError
            If `x` is no batch of images in floating point.
        InvalidParameterError
            If `generator` is none, or on another device than `x`.
        """
        check_batch(x)
        check_generator(generator, x)
        if len(x) == 0:
            return x.clone()
        low, high = self.width
        canvas = self._moved(x.float() - self.fill, generator)
        shorter = self.fine * min(x.shape[2:])
        # A step adds a pixel on either side.
        steps = self._part(len(x), generator, low, high) * (shorter / 2)
        wide = _stepped(canvas, steps.clamp_min(0), max(high, 0) * shorter / 2, torch.maximum)
        thin = _stepped(wide, -steps.clamp_max(0), max(-low, 0) * shorter / 2, torch.minimum)
        ink = F.avg_pool2d(thin, self.fine)
        if self.blur:
            mean = F.avg_pool2d(F.pad(ink, [1] * 4, mode="replicate"), 3, stride=1)
            ink = torch.lerp(ink, mean, self._part(len(x), generator, 0.0, self.blur))
        ink = ink * (1 - self._part(len(x), generator, 0.0, self.contrast))
        return (ink + self.fill).to(x.dtype)

    def _affine(self) -> RandomAffine:
        return RandomAffine(self.rotation, self.shear, self.scale, self.translate)

    def _moved(self, ink: Tensor, generator: torch.Generator) -> Tensor:
        """Return the drawings moved, on canvases of `fine` times their sides."""
        n, channels, height, width = ink.shape
        maps = self._affine().matrices(n, generator, aspect=width / height)
        shape = [n, channels, height * self.fine, width * self.fine]
        grid = F.affine_grid(maps, shape, align_corners=False)
        if self.bend:
            grid = grid + self._shifts(n, shape[2:], generator)
        return F.grid_sample(ink, grid, align_corners=False)

    def _shifts(self, n: int, sides: list[int], generator: torch.Generator) -> Tensor:
        """Return how far each point of a canvas is shifted, (n, h, w, 2), sides being 2 long."""
        device = generator.device
        points = torch.randn(n, 2, _POINTS, _POINTS, generator=generator, device=device)
        amount = torch.rand(n, 1, 1, 1, generator=generator, device=device)
        points = points * (self.bend * amount)
        shifts = F.interpolate(points, size=sides, mode="bicubic", align_corners=True)
        return shifts.permute(0, 2, 3, 1)

    def _part(self, n: int, generator: torch.Generator, low: float, high: float) -> Tensor:
        """Return amounts in [low, high), 0 where the change takes no part, (n, 1, 1, 1)."""
        amount, taken = (
            torch.rand(n, 1, 1, 1, generator=generator, device=generator.device) for _ in range(2)
        )
        return torch.where(taken < self.p, low + (high - low) * amount, 0.0)


def _stepped(ink: Tensor, steps: Tensor, most: float, extreme: _Extreme) -> Tensor:
    """Return each drawing after its own number of steps of growth (`maximum`) or decay.

    Parameters
    ----------
    ink : Tensor of float32, shape (n, c, h, w)
    steps : Tensor of float32, shape (n, 1, 1, 1)
        At least 0; a broken number lies between two steps.
    most : float
        The largest there may be among `steps`.
    extreme : callable
        ``torch.maximum`` or ``torch.minimum``.
    """
    step = 0
    while step < most:
        # A cross and a square in turn: together an octagon, near to a round nib.
        grown = _cross(ink, extreme) if step % 2 == 0 else _square(ink, extreme)
        ink = torch.lerp(ink, grown, (steps - step).clamp(0, 1))
        step += 1
    return ink


def _cross(ink: Tensor, extreme: _Extreme) -> Tensor:
    return extreme(_along(ink, 2, extreme), _along(ink, 3, extreme))


def _square(ink: Tensor, extreme: _Extreme) -> Tensor:
    return _along(_along(ink, 2, extreme), 3, extreme)


def _along(ink: Tensor, axis: int, extreme: _Extreme) -> Tensor:
    """Return the extreme of each pixel and its two neighbours along an axis."""
    length = ink.shape[axis]
    if length == 1:
        return ink
    before, after = ink.narrow(axis, 0, length - 1), ink.narrow(axis, 1, length - 1)
    pairs = extreme(before, after)
    ends = ink.narrow(axis, 0, 1), ink.narrow(axis, length - 1, 1)
    return extreme(torch.cat([pairs, ends[1]], axis), torch.cat([ends[0], pairs], axis))
