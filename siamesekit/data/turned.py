"""Turned copies as classes of their own: more classes to learn from, at no labelling."""

import numpy as np

from siamesekit._checks import check_flag
from siamesekit.data.images import ImageSet, check_image_set
from siamesekit.errors import InvalidDataError

__all__ = ["with_turns"]


def with_turns(images: ImageSet, mirrored: bool = False) -> ImageSet:
    """Return the images, and the three quarter turns of each class as new classes.

    A letter on its side is another symbol, drawn by the same hand, so that a metric learnt from
    four times as many classes generalises better. For training only: symbols that look alike
    turned (o, x) make a few pairs of classes that nobody could tell apart.

    Parameters
    ----------
    images : ImageSet
        Square ones.
    mirrored : bool, default=False
        Turn their mirror images too: eight times as many classes.

    Returns
    -------
    ImageSet
        ``y`` is int64, ``0 .. k - 1``: class number of `images` (in sorted order) plus the number
        of classes times the number of the turn; ``groups`` likewise, where there are any, so that
        a turned alphabet is a group. The images as given come first.

    Raises
    ------
    InvalidDataError
        If the images are not square.

    References
    ----------
    .. [1] A. Santoro et al., "Meta-learning with memory-augmented neural networks", ICML 2016,
       §4.1: "new classes through 90°, 180° and 270° rotations".
    """
    check_image_set(images)
    check_flag("mirrored", mirrored)
    if images.X.shape[-1] != images.X.shape[-2]:
        raise InvalidDataError(
            f"images must be square to be turned; got {images.X.shape[-2]}×{images.X.shape[-1]}."
        )
    sides = [images.X, images.X[..., ::-1]] if mirrored else [images.X]
    copies = [np.rot90(side, turn, axes=(-2, -1)) for side in sides for turn in range(4)]
    n = len(copies)
    return ImageSet(
        X=np.concatenate(copies),
        y=_numbered(images.y, n),
        groups=None if images.groups is None else _numbered(images.groups, n),
        drawers=None if images.drawers is None else np.tile(images.drawers, n),
    )


def _numbered(names: np.ndarray, n_copies: int) -> np.ndarray:
    known, number = np.unique(names, return_inverse=True)
    return np.concatenate([number + copy * len(known) for copy in range(n_copies)])
