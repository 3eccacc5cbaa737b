"""Images compared by the distances between their ink."""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_numbers

__all__ = ["modified_hausdorff"]


def modified_hausdorff(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Return minus the modified Hausdorff distance of all images `a` to all images `b`.

    Each image is the set of its ink pixels about their centre of mass. The distance is the larger
    of the two mean distances from a point of one set to the nearest of the other.

    Parameters
    ----------
    a : array-like of bool or number, shape (m, h, w)
        Ink where not 0; every image needs some.
    b : array-like of bool or number, shape (n, h, w)

    Returns
    -------
    Tensor of float64, shape (m, n)
        Scores in pixels, higher = more alike.

    Raises
    ------
    InvalidDataError
        If an image has no ink, or a pixel is no finite number.

    References
    ----------
    .. [1] M.-P. Dubuisson, A. Jain, "A modified Hausdorff distance for object matching",
       ICPR 1994, eq. 6 and d22.
    .. [2] B. Lake et al., brendenlake/omniglot, demo_classification.py (38.8 % errors).
    """
    points_a, points_b = _ink_points(a, "a"), _ink_points(b, "b")
    trees_a = [cKDTree(points) for points in points_a]
    trees_b = [cKDTree(points) for points in points_b]
    distances = np.empty((len(points_a), len(points_b)))
    for i, (own, tree) in enumerate(zip(points_a, trees_a, strict=True)):
        for j, (other, other_tree) in enumerate(zip(points_b, trees_b, strict=True)):
            there = other_tree.query(own)[0].mean()
            back = tree.query(other)[0].mean()
            distances[i, j] = max(there, back)
    return torch.from_numpy(-distances)


def _ink_points(images: ArrayLike, name: str) -> list[np.ndarray]:
    array = as_numbers(images, name)
    if array.ndim != 3:
        raise InvalidDataError(f"{name} must have shape (n, h, w); got {array.shape}.")
    points = [np.argwhere(image) for image in array]
    if any(len(p) == 0 for p in points):
        raise InvalidDataError(f"{name} must have ink in every image; one is blank.")
    return [p - p.mean(0) for p in points]
