"""Fit and predict, as in scikit-learn."""

from siamesekit.estimators.classifier import SiameseClassifier
from siamesekit.estimators.embedder import SiameseEmbedder
from siamesekit.estimators.opening import load
from siamesekit.estimators.verifier import SiameseVerifier

__all__ = ["SiameseClassifier", "SiameseEmbedder", "SiameseVerifier", "load"]
