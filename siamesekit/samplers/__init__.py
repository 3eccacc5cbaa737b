"""Batches: what is seen, and beside what."""

from siamesekit.samplers.base import Sampler

__all__ = ["Sampler"]
