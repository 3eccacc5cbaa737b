"""Fit and predict, as in scikit-learn."""

from siamesekit.estimators.classifier import SiameseClassifier
from siamesekit.estimators.embedder import SiameseEmbedder

__all__ = ["SiameseClassifier", "SiameseEmbedder"]
