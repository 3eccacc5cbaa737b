"""Labelled images in memory."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from torch.nn import functional as F

from siamesekit._checks import check_integer, near_matches, shown
from siamesekit.errors import InvalidDataError

__all__ = ["LARGEST_SIDE", "ImageSet", "check_image_set", "check_images", "resize"]

LARGEST_SIDE = 4096
"""Pixels; a larger image is a slip of the pen, or asks for more memory than there is."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with a label each, and where known their group, who made them and their file.

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
    paths : ndarray of str or None, shape (n,)
        File of each image, below the folder it was read from.

    Raises
    ------
    InvalidDataError
        If the images are no such array, or a column has not one entry an image.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    drawers: np.ndarray | None = None
    paths: np.ndarray | None = None

    def __post_init__(self) -> None:
        X = check_images("X", self.X, empty=True)
        for name, column in self._columns().items():
            if column is None and name != "y":
                continue
            try:
                entries = np.asarray(column)
            except (TypeError, ValueError) as error:
                raise InvalidDataError(f"{name} must hold one entry an image: {error}.") from error
            if entries.shape != (len(X),):
                got = shown(column) if entries.ndim == 0 else _count(entries.shape)
                raise InvalidDataError(
                    f"{name} must hold one entry an image ({len(X)}); got {got}."
                )
            object.__setattr__(self, name, entries)

    def __len__(self) -> int:
        return len(self.X)

    def subset(self, chosen: np.ndarray) -> Self:
        """Return the images that a mask or positions choose.

        Raises
        ------
        InvalidDataError
            If it is neither, or an image that is chosen is not there.
        """
        chosen = _checked_choice(chosen, len(self))
        columns: dict[str, Any] = {
            name: None if column is None else column[chosen]
            for name, column in self._columns().items()
        }
        return replace(self, X=self.X[chosen], **columns)

    def split_groups(self, held_out: Iterable[object]) -> tuple[Self, Self]:
        """Return the images of all other groups, and those of the groups held out.

        Raises
        ------
        InvalidDataError
            If there are no groups, or no such group; near matches are suggested.
        """
        if self.groups is None:
            raise InvalidDataError("held_out needs groups; these images have none.")
        several = isinstance(held_out, Iterable) and not isinstance(held_out, str | bytes)
        listed = np.asarray(held_out, dtype=None if hasattr(held_out, "dtype") else object)
        names: list[object] = listed.tolist() if several and listed.ndim == 1 else [held_out]
        # A set, so that what has no plain equality (an array) is only looked up by its hash.
        known = set(np.unique(self.groups).tolist())
        for name in names:
            if not isinstance(name, Hashable) or name not in known:
                hint = near_matches(str(name), sorted(map(str, known)))
                raise InvalidDataError(f"held_out must name groups; {shown(name)} is none.{hint}")
        mask = np.isin(self.groups, np.array(names))
        return self.subset(~mask), self.subset(mask)

    def resized(self, side: int) -> Self:
        """Return the images averaged down (or up) to `side` × `side` pixels."""
        return replace(self, X=resize(self.X, side))

    def _columns(self) -> dict[str, Any]:
        """Return what has an entry an image, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)[1:]}


def check_images(
    name: str, images: object, *, ranks: tuple[int, ...] = (3, 4), empty: bool = False
) -> np.ndarray:
    """Return `images` if they are an array of bytes with an image in each row.

    Parameters
    ----------
    name : str
        What to call them in an error.
    images : object
    ranks : tuple of int
        Numbers of axes that are allowed: 3 for ``(n, h, w)``, 4 for ``(n, c, h, w)``.
    empty : bool
        Whether there may be no image.

    Raises
    ------
    InvalidDataError
        If they are not.
    """
    shapes = " or ".join({3: "(n, h, w)", 4: "(n, c, h, w)"}[rank] for rank in ranks)
    wanted = f"{name} must be uint8 of shape {shapes}"
    if not isinstance(images, np.ndarray):
        raise InvalidDataError(f"{wanted}; got {type(images).__name__}.")
    fits = images.ndim in ranks and images.dtype == np.uint8 and 0 not in images.shape[1:]
    if not fits or (len(images) == 0 and not empty):
        least = "" if empty else ", n at least 1"
        raise InvalidDataError(f"{wanted}{least}; got {images.dtype} of shape {images.shape}.")
    return images


def check_image_set(images: object) -> ImageSet:
    """Return `images` if they are an `ImageSet`; raise `InvalidDataError` otherwise."""
    if not isinstance(images, ImageSet):
        raise InvalidDataError(f"images must be an ImageSet; got {type(images).__name__}.")
    return images


def resize(images: np.ndarray, side: int | tuple[int, int]) -> np.ndarray:
    """Return images averaged over areas to `side` × `side` pixels.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, h, w) or (n, c, h, w)
    side : int, or pair of int
        From 1 to 4,096; a pair is height and width.

    Returns
    -------
    ndarray of uint8, shape (n, side, side) or (n, c, side, side)

    Raises
    ------
    InvalidParameterError
        If `side` is not allowed.
    InvalidDataError
        If there are no images of bytes.
    """
    pair = side if isinstance(side, tuple) and len(side) == 2 else (side, side)
    height, width = (check_integer("side", length, low=1, high=LARGEST_SIDE) for length in pair)
    check_images("images", images)
    blocks = []
    for start in range(0, len(images), 1024):
        block = torch.from_numpy(np.ascontiguousarray(images[start : start + 1024]))
        if block.ndim == 3:
            block = block[:, None]
        small = F.interpolate(block.float(), size=(height, width), mode="area")
        blocks.append(small.round().to(torch.uint8).numpy())
    resized = np.concatenate(blocks)
    return resized[:, 0] if images.ndim == 3 else resized


def _checked_choice(chosen: object, n: int) -> np.ndarray:
    positions = np.asarray(chosen)
    if positions.dtype == bool and positions.shape == (n,):
        return positions
    if positions.size == 0 and positions.ndim == 1:
        return positions.astype(np.intp)
    whole = positions.ndim == 1 and positions.dtype.kind in "iu"
    if not whole or positions.min() < -n or positions.max() >= n:
        raise InvalidDataError(
            f"chosen must be a mask of {n} images or positions among them; got {shown(chosen)}."
        )
    return positions


def _count(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if len(shape) == 1 else f"shape {shape}"
