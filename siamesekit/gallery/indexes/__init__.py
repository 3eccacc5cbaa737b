"""Stores that find the nearest vectors: one contract, several engines."""

from siamesekit.gallery.indexes.base import Index, Metric
from siamesekit.gallery.indexes.exact import ExactIndex
from siamesekit.gallery.indexes.faiss import FaissIndex
from siamesekit.gallery.indexes.pgvector import PgvectorIndex
from siamesekit.gallery.indexes.qdrant import QdrantIndex
from siamesekit.gallery.indexes.usearch import UsearchIndex

__all__ = [
    "ExactIndex",
    "FaissIndex",
    "Index",
    "Metric",
    "PgvectorIndex",
    "QdrantIndex",
    "UsearchIndex",
]
