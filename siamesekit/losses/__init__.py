"""Charge: a scalar for wrong comparisons."""

from siamesekit.losses.base import Loss
from siamesekit.losses.batch_all import (
    batch_all_triplet_loss,
    batch_all_triplet_loss_from_embeddings,
)
from siamesekit.losses.bce import BCELoss
from siamesekit.losses.contrastive import ContrastiveLoss
from siamesekit.losses.cross_batch_memory import CrossBatchMemory
from siamesekit.losses.episodic import EpisodicLoss
from siamesekit.losses.pair import PairLoss
from siamesekit.losses.pml import PMLLoss
from siamesekit.losses.rows import RowLoss, Share
from siamesekit.losses.triplet import BatchAllTripletLoss, TripletLoss

__all__ = [
    "BCELoss",
    "BatchAllTripletLoss",
    "ContrastiveLoss",
    "CrossBatchMemory",
    "EpisodicLoss",
    "Loss",
    "PMLLoss",
    "PairLoss",
    "RowLoss",
    "Share",
    "TripletLoss",
    "batch_all_triplet_loss",
    "batch_all_triplet_loss_from_embeddings",
]
