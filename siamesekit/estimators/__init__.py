"""Fit and predict, as in scikit-learn."""
