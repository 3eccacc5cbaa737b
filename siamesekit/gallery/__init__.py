"""Who is it: enroll, identify, forget."""

from siamesekit.gallery.gallery import AGGREGATES, Aggregate, Gallery

__all__ = ["AGGREGATES", "Aggregate", "Gallery"]
