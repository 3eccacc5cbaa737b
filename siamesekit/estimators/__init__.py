"""Fit and predict, as in scikit-learn."""

from siamesekit.estimators.classifier import SiameseClassifier

__all__ = ["SiameseClassifier"]
