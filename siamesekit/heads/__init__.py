"""Compare: scores of embeddings against embeddings."""

from siamesekit.heads.base import Head

__all__ = ["Head"]
