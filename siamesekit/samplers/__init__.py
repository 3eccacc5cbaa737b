"""Batches: what is seen, and beside what."""

from siamesekit.samplers.balanced import BalancedSampler
from siamesekit.samplers.base import Sampler
from siamesekit.samplers.episodes import EpisodeSampler
from siamesekit.samplers.pairs import PairSampler
from siamesekit.samplers.random import RandomSampler

__all__ = ["BalancedSampler", "EpisodeSampler", "PairSampler", "RandomSampler", "Sampler"]
