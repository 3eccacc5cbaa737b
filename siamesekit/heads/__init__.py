"""Compare: scores of embeddings against embeddings."""

from siamesekit.heads.base import Head
from siamesekit.heads.cosine import CosineHead
from siamesekit.heads.cosine_concat import CosineConcatHead
from siamesekit.heads.euclidean import EuclideanHead
from siamesekit.heads.l1 import L1Head
from siamesekit.heads.sqeuclidean import SqEuclideanHead
from siamesekit.heads.squared import SquaredHead

__all__ = [
    "CosineConcatHead",
    "CosineHead",
    "EuclideanHead",
    "Head",
    "L1Head",
    "SqEuclideanHead",
    "SquaredHead",
]
