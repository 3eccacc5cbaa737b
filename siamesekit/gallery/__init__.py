"""Who is it: enroll, identify, forget."""

from siamesekit.gallery.gallery import Gallery
from siamesekit.gallery.indexes import ExactIndex, FaissIndex, Index, UsearchIndex

__all__ = ["ExactIndex", "FaissIndex", "Gallery", "Index", "UsearchIndex"]
