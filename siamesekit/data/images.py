"""Labelled images in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch.nn import functional as F

from siamesekit._checks import check_integer, near_matches
from siamesekit.errors import InvalidDataError

__all__ = ["ImageSet", "resize"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with a label each, and where known their group and who made them.

    Attributes
    ----------
    X : ndarray of uint8, shape (n, h, w) or (n, c, h, w)
        Ink or foreground is bright (255), paper dark (0).
    y : ndarray, shape (n,)
        Class of each image.
    groups : ndarray or None, shape (n,)
        Group of each image: the alphabet of a character.
    drawers : ndarray or None, shape (n,)
        Who drew each image: a person, or the face of a font.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    drawers: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("y", "groups", "drawers"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.X):
                raise InvalidDataError(
                    f"{name} must hold one entry an image ({len(self.X)}); got {len(column)}."
                )

    def __len__(self) -> int:
        return len(self.X)

    def subset(self, chosen: np.ndarray) -> Self:
        """Return the images that a mask or positions choose."""
        return replace(
            self,
            X=self.X[chosen],
            y=self.y[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            drawers=None if self.drawers is None else self.drawers[chosen],
        )

    def split_groups(self, held_out: Iterable[object]) -> tuple[Self, Self]:
        """Return the images of all other groups, and those of the groups held out.

        Raises
        ------
        InvalidDataError
            If there are no groups, or no such group; near matches are suggested.
        """
        if self.groups is None:
            raise InvalidDataError("held_out needs groups; these images have none.")
        names: list[object] = [held_out] if isinstance(held_out, str) else list(held_out)
        known = np.unique(self.groups).tolist()
        for name in names:
            if name not in known:
                hint = near_matches(str(name), [str(group) for group in known])
                raise InvalidDataError(f"held_out must name groups; {name!r} is none.{hint}")
        mask = np.isin(self.groups, np.array(names))
        return self.subset(~mask), self.subset(mask)

    def resized(self, side: int) -> Self:
        """Return the images averaged down (or up) to `side` × `side` pixels."""
        return replace(self, X=resize(self.X, side))


def resize(images: np.ndarray, side: int) -> np.ndarray:
    """Return images averaged over areas to `side` × `side` pixels.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, h, w) or (n, c, h, w)
    side : int

    Returns
    -------
    ndarray of uint8, shape (n, side, side) or (n, c, side, side)

    Raises
    ------
    InvalidDataError
        If there are no images of bytes.
    """
    check_integer("side", side, low=1)
    if images.ndim not in (3, 4) or images.dtype != np.uint8 or len(images) == 0:
        raise InvalidDataError(
            "images must be uint8 of shape (n, h, w) or (n, c, h, w), n at least 1; got "
            f"{images.dtype} of shape {images.shape}."
        )
    blocks = []
    for start in range(0, len(images), 1024):
        block = torch.from_numpy(np.ascontiguousarray(images[start : start + 1024]))
        if block.ndim == 3:
            block = block[:, None]
        small = F.interpolate(block.float(), size=(side, side), mode="area")
        blocks.append(small.round().to(torch.uint8).numpy())
    resized = np.concatenate(blocks)
    return resized[:, 0] if images.ndim == 3 else resized
