"""Who is it: enroll, identify, forget."""

from siamesekit.gallery.gallery import Gallery

__all__ = ["Gallery"]
