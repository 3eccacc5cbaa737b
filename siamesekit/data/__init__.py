"""Data sets, and the augmentation of a batch."""

from siamesekit.data.arrays import as_items
from siamesekit.data.augmentation import RandomAffine

__all__ = ["RandomAffine", "as_items"]
