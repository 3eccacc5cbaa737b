"""Charge: a scalar for wrong comparisons."""

from siamesekit.losses.base import Loss

__all__ = ["Loss"]
