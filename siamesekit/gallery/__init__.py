"""Who is it: enroll, identify, forget."""

from siamesekit.gallery.gallery import Aggregate, Gallery

__all__ = ["Aggregate", "Gallery"]
