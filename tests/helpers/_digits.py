"""Digits of MNIST's size for tests of scripts that ask for MNIST."""

import numpy as np
from sklearn.datasets import load_digits

from siamesekit.data import ImageSet, resize

__all__ = ["digits_like_mnist"]


def digits_like_mnist() -> ImageSet:
    """Return scikit-learn's digits as uint8 images of 28×28 pixels, ink 255."""
    found = load_digits()
    return ImageSet(resize((found.images * (255 / 16)).astype(np.uint8), 28), found.target)
