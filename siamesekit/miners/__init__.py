"""Choose: the pairs or triplets of a batch worth training on."""

from siamesekit.miners.base import Miner
from siamesekit.miners.batch_hard import BatchHard
from siamesekit.miners.pairs import AllPairs, HardPairs
from siamesekit.miners.pml import PMLMiner
from siamesekit.miners.rows import RowMiner, mine_from_embeddings
from siamesekit.miners.tf_semihard import TensorFlowSemihard
from siamesekit.miners.triplets import AllTriplets, EasyTriplets, HardTriplets, SemihardTriplets

__all__ = [
    "AllPairs",
    "AllTriplets",
    "BatchHard",
    "EasyTriplets",
    "HardPairs",
    "HardTriplets",
    "Miner",
    "PMLMiner",
    "RowMiner",
    "SemihardTriplets",
    "TensorFlowSemihard",
    "mine_from_embeddings",
]
