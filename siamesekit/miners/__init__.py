"""Choose: the pairs or triplets of a batch worth training on."""

from siamesekit.miners.base import Miner

__all__ = ["Miner"]
