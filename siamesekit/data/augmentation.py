"""Random affine distortion of a batch of images, one matrix an image."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_integer, check_number, shown
from siamesekit._params import Part
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.registry import register

__all__ = ["RandomAffine"]


@register("augmentations", "affine")
class RandomAffine(Part):
    """Rotate, shear, scale and shift each image by amounts of its own.

    The batch stays on its device: one ``affine_grid`` and one ``grid_sample``, bilinear.

    Parameters
    ----------
    rotation : float
        Largest rotation either way, in degrees.
    shear : float
        Largest shear coefficient along x and along y, in [0, 1): 0.3 moves what is 10 pixels above
        the centre by up to 3 pixels sideways.
    scale : tuple of two float
        Range of the factor along x and, drawn apart, along y; above 0.
    translate : float
        Largest shift along each axis, as a share of the image's side, in [0, 1].
    p : float
        Probability, in [0, 1], with which each component (rotation, shear x, shear y, scale x,
        scale y, shift x, shift y) takes part in an image's map.
    fill : float
        Value outside the image, in the units of the batch.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015, §3.2.
    """

    def __init__(
        self,
        rotation: float = 15.0,
        shear: float = 0.3,
        scale: tuple[float, float] = (0.8, 1.2),
        translate: float = 0.08,
        p: float = 1.0,
        fill: float = 0.0,
    ) -> None:
        check_number("rotation", rotation, low=0.0, high=180.0)
        check_number("shear", shear, low=0.0, high=1.0, open_high=True)
        check_number("translate", translate, low=0.0, high=1.0)
        check_number("p", p, low=0.0, high=1.0)
        check_number("fill", fill)
        if not isinstance(scale, tuple | list) or len(scale) != 2:
            raise InvalidParameterError(f"scale must be a pair (low, high); got {shown(scale)}.")
        check_number("scale[0]", scale[0], low=0.0, open_low=True)
        check_number("scale[1]", scale[1], low=scale[0])
        self.rotation = rotation
        self.shear = shear
        self.scale = scale
        self.translate = translate
        self.p = p
        self.fill = fill

    @classmethod
    def koch2015(cls) -> "RandomAffine":
        """Return the distortion of Koch et al. (2015, §3.2), on images of 105 pixels.

        Rotation within 10°, shear within 0.3, scale 0.8 to 1.2, shift within 2 pixels, each
        component with probability 0.5. The paper leaves the order of the components open.
        """
        return cls(rotation=10.0, shear=0.3, scale=(0.8, 1.2), translate=2 / 105, p=0.5)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the distorted batch.

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
        return self.move(x, self.matrices(len(x), generator, aspect=x.shape[3] / x.shape[2]))

    def move(self, x: Tensor, maps: Tensor) -> Tensor:
        """Return the batch moved by given maps.

        Parameters
        ----------
        x : Tensor of float, shape (b, c, h, w)
        maps : Tensor of float32, shape (b, 2, 3)
            As `matrices` returns them, on the device of `x`.

        Returns
        -------
        Tensor of float, shape (b, c, h, w)

        Raises
        ------
        InvalidDataError
            If `x` is no batch of images in floating point, or there is not one map an image.
        """
        check_batch(x)
        if not isinstance(maps, Tensor) or maps.shape != (len(x), 2, 3):
            got = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise InvalidDataError(f"maps must have shape ({len(x)}, 2, 3); got {got}.")
        if len(x) == 0:  # grid_sample refuses what there is none of
            return x.clone()
        # Half precision would round positions to whole pixels, so the sampling is in float32.
        grid = F.affine_grid(maps, list(x.shape), align_corners=False)
        moved = F.grid_sample(x.float() - self.fill, grid, mode="bilinear", align_corners=False)
        return (moved + self.fill).to(x.dtype)

    def matrices(self, n: int, generator: torch.Generator, aspect: float = 1.0) -> Tensor:
        """Return `n` maps from output to input, in the coordinates of ``affine_grid``.

        Parameters
        ----------
        n : int
        generator : torch.Generator
        aspect : float
            Width over height, so that a rotation stays one on images that are not square.

        Returns
        -------
        Tensor of float32, shape (n, 2, 3)
            On the generator's device.

        Raises
        ------
        InvalidParameterError
            If an argument is not allowed.
        """
        check_integer("n", n, low=0)
        check_number("aspect", aspect, low=0.0, open_low=True)
        check_generator(generator)
        angle = self._draw(n, generator, math.radians(self.rotation))
        shear_x, shear_y = (self._draw(n, generator, self.shear) for _ in range(2))
        shift_x, shift_y = (self._draw(n, generator, 2 * self.translate) for _ in range(2))
        low, high = self.scale
        middle, half = (low + high) / 2, (high - low) / 2
        scale_x, scale_y = (self._draw(n, generator, half, middle, neutral=1.0) for _ in range(2))
        cos, sin = torch.cos(angle), torch.sin(angle)
        rotate = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)
        one = torch.ones_like(angle)
        shear = torch.stack([one, shear_x, shear_y, one], 1).view(n, 2, 2)
        # The map runs from output to input, so an image grows by its scale's inverse.
        shrink = torch.stack([1 / scale_x, 1 / scale_y], 1).diag_embed()
        shift = torch.stack([shift_x, shift_y], 1)[:, :, None]
        # From pixels to coordinates in which either side is 2 long.
        sides = torch.tensor([[1.0, 1 / aspect], [aspect, 1.0]], device=angle.device)
        return torch.cat([rotate @ shear @ shrink * sides, shift], 2)

    def _draw(
        self,
        n: int,
        generator: torch.Generator,
        half: float,
        middle: float = 0.0,
        neutral: float = 0.0,
    ) -> Tensor:
        device = generator.device
        value = middle + half * (2 * torch.rand(n, generator=generator, device=device) - 1)
        if self.p == 1:
            return value
        takes_part = torch.rand(n, generator=generator, device=device) < self.p
        return torch.where(takes_part, value, torch.full_like(value, neutral))


def check_batch(x: object) -> None:
    """Raise `InvalidDataError` unless `x` is a batch of images in floating point."""
    if not isinstance(x, Tensor):
        raise InvalidDataError(f"x must be a Tensor; got {type(x).__name__}.")
    if x.ndim != 4 or not x.is_floating_point() or 0 in x.shape[1:]:
        raise InvalidDataError(
            f"x must be floating point of shape (b, c, h, w); got {x.dtype} of shape "
            f"{tuple(x.shape)}."
        )


def check_generator(generator: object, x: Tensor | None = None) -> None:
    """Raise `InvalidParameterError` unless it is a generator, on the device of `x` if given."""
    if not isinstance(generator, torch.Generator):
        raise InvalidParameterError(
            f"generator must be a torch.Generator; got {type(generator).__name__}."
        )
    if x is not None and generator.device.type != x.device.type:
        raise InvalidParameterError(
            f"generator must be on the device of x ({x.device}); it is on {generator.device}."
        )
