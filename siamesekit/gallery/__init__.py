"""Who is it: enroll, identify, forget."""

from siamesekit._types import Neighbours
from siamesekit.gallery._open_set import TooFewPeopleWarning
from siamesekit.gallery.compact import PCAProjection, Projection, RandomProjection
from siamesekit.gallery.gallery import Gallery
from siamesekit.gallery.grouping import Groups
from siamesekit.gallery.identify import Identification
from siamesekit.gallery.indexes import (
    ExactIndex,
    FaissIndex,
    Index,
    PgvectorIndex,
    QdrantIndex,
    UsearchIndex,
)
from siamesekit.gallery.threshold import Threshold

__all__ = [
    "ExactIndex",
    "FaissIndex",
    "Gallery",
    "Groups",
    "Identification",
    "Index",
    "Neighbours",
    "PCAProjection",
    "PgvectorIndex",
    "Projection",
    "QdrantIndex",
    "RandomProjection",
    "Threshold",
    "TooFewPeopleWarning",
    "UsearchIndex",
]
