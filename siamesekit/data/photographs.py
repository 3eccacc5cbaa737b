"""Random changes of photographs: of the pose, of the light, of what is seen."""

import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_number
from siamesekit._params import Part
from siamesekit.data.augmentation import RandomAffine, check_batch, check_generator
from siamesekit.registry import register

__all__ = ["PhotoAugmentation"]

# Below this many pixels of deviation a blur changes nothing, and dividing by it would overflow.
_LEAST_BLUR = 0.05


@register("augmentations", "photo")
class PhotoAugmentation(Part):
    """Change each photograph by amounts of its own: mirror, move, light, blur, and cover it.

    In this order: an affine map, half of them mirrored, which continues the image past its border;
    gamma, contrast, brightness and a gradient of light across the image; a Gaussian blur; a
    rectangle erased. All of it stays on the device of the batch, without a loop over images.

    Parameters
    ----------
    flip : float
        Probability of the mirror image, in [0, 1]. Set to 0 where left and right matter.
    rotation : float
        Largest rotation either way, in degrees.
    shear : float
        Largest shear coefficient along each axis, in [0, 1).
    scale : tuple of two float
        Range of the factor along x and, drawn apart, along y; above 0.
    translate : float
        Largest shift along each axis, as a share of the image's side, in [0, 1].
    gamma : float
        Largest logarithm of the exponent either way; at least 0.
    contrast : float
        Largest change of the distance from the mean grey, as a share of it, in [0, 1).
    brightness : float
        Largest change of all pixels, as a share of the range of the image, in [0, 1].
    gradient : float
        Largest change of a pixel by light that falls from a side, as a share of it, in [0, 1).
    blur : float
        Largest deviation of the blur, in pixels; at least 0.
    erase : float
        Largest side of the erased rectangle, as a share of that of the image, in [0, 1]. It is
        filled with the mean of the image.
    p : float
        Probability, in [0, 1], with which each of gamma, contrast, brightness, gradient, blur and
        erasing takes part.

    Notes
    -----
    The values of a changed image lie within those of the image as it was, whatever their units
    are: its darkest pixel counts as 0 and its brightest as 1 meanwhile.

    References
    ----------
    .. [1] Z. Zhong et al., "Random erasing data augmentation", AAAI 2020, algorithm 1.
    """

    def __init__(
        self,
        flip: float = 0.5,
        rotation: float = 10.0,
        shear: float = 0.05,
        scale: tuple[float, float] = (0.9, 1.1),
        translate: float = 0.05,
        gamma: float = 0.3,
        contrast: float = 0.3,
        brightness: float = 0.15,
        gradient: float = 0.3,
        blur: float = 1.0,
        erase: float = 0.4,
        p: float = 0.5,
    ) -> None:
        check_number("flip", flip, low=0.0, high=1.0)
        check_number("gamma", gamma, low=0.0)
        check_number("contrast", contrast, low=0.0, high=1.0, open_high=True)
        check_number("brightness", brightness, low=0.0, high=1.0)
        check_number("gradient", gradient, low=0.0, high=1.0, open_high=True)
        check_number("blur", blur, low=0.0)
        check_number("erase", erase, low=0.0, high=1.0)
        check_number("p", p, low=0.0, high=1.0)
        self.flip = flip
        self.rotation = rotation
        self.shear = shear
        self.scale = scale
        self.translate = translate
        self.gamma = gamma
        self.contrast = contrast
        self.brightness = brightness
        self.gradient = gradient
        self.blur = blur
        self.erase = erase
        self.p = p
        self._affine()  # which checks what it is given

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed batch.

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
        draw = _Draw(len(x), generator, self.p)
        image = x.float()
        low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
        reach = (high - low).clamp_min(torch.finfo(image.dtype).tiny)
        unit = self._moved((image - low) / reach, draw)
        unit = self._lit(unit.clamp(0, 1), draw).clamp(0, 1)
        if self.blur:
            unit = _blurred(unit, draw.part(draw.share() * self.blur), self.blur)
        unit = self._covered(unit, draw)
        # By the bounds too, since rounding may take a brightest pixel past the brightest.
        return torch.minimum(torch.maximum(low + unit * reach, low), high).to(x.dtype)

    def _affine(self) -> RandomAffine:
        return RandomAffine(self.rotation, self.shear, self.scale, self.translate)

    def _moved(self, x: Tensor, draw: "_Draw") -> Tensor:
        maps = self._affine().matrices(draw.n, draw.generator, aspect=x.shape[3] / x.shape[2])
        side = torch.where(draw.share() < self.flip, -1.0, 1.0)
        maps = torch.cat([maps[:, :1] * side[:, :, 0], maps[:, 1:]], 1)
        grid = F.affine_grid(maps, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _lit(self, x: Tensor, draw: "_Draw") -> Tensor:
        x = x ** draw.part(draw.either_way() * self.gamma).exp()
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * (1 + draw.part(draw.either_way() * self.contrast))
        x = x + draw.part(draw.either_way() * self.brightness)
        angle = draw.share() * (2 * torch.pi)
        y, columns = _positions(x)
        # At most 1 anywhere, so that no pixel changes by more than its share.
        across = (angle.cos() * columns + angle.sin() * y) / (angle.cos().abs() + angle.sin().abs())
        return x * (1 + draw.part(draw.share() * self.gradient) * across)

    def _covered(self, x: Tensor, draw: "_Draw") -> Tensor:
        height, width = (draw.share() * self.erase for _ in range(2))
        middle_y, middle_x = draw.either_way(), draw.either_way()
        y, columns = _positions(x)
        within = ((y - middle_y).abs() < height) & ((columns - middle_x).abs() < width)
        taken = draw.part(torch.ones_like(height)) > 0
        return torch.where(within & taken, x.mean((1, 2, 3), keepdim=True), x)


class _Draw:
    """Numbers of shape (n, 1, 1, 1), one an image."""

    def __init__(self, n: int, generator: torch.Generator, p: float) -> None:
        self.n, self.generator, self.p = n, generator, p

    def share(self) -> Tensor:
        """Uniform in [0, 1)."""
        device = self.generator.device
        return torch.rand(self.n, 1, 1, 1, generator=self.generator, device=device)

    def either_way(self) -> Tensor:
        """Uniform in [-1, 1)."""
        return 2 * self.share() - 1

    def part(self, amounts: Tensor) -> Tensor:
        """Amounts, or 0 for those images in which the change takes no part."""
        return torch.where(self.share() < self.p, amounts, 0.0)


def _positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return y, shape (h, 1), and x, shape (w,), of pixels: from -1 to 1 across the image."""
    height, width = x.shape[2:]
    rows = (2 * torch.arange(height, device=x.device) + 1) / height - 1
    columns = (2 * torch.arange(width, device=x.device) + 1) / width - 1
    return rows[:, None], columns


def _blurred(x: Tensor, deviation: Tensor, largest: float) -> Tensor:
    """Blur each image by a Gaussian of its own deviation in pixels, along y and then along x."""
    n, channels, height, width = x.shape
    radius = max(1, round(3 * largest))
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-0.5 * (at / deviation.view(n, 1).clamp_min(_LEAST_BLUR)) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    # Every channel of every image is a group, which has a kernel of its own.
    flat = F.pad(x.reshape(1, n * channels, height, width), [radius] * 4, mode="replicate")
    flat = F.conv2d(flat, weights[:, None, :, None], groups=n * channels)
    flat = F.conv2d(flat, weights[:, None, None, :], groups=n * channels)
    return flat.view(x.shape)
