"""Charge: a scalar for wrong comparisons."""

from siamesekit.losses.base import Loss
from siamesekit.losses.bce import BCELoss
from siamesekit.losses.contrastive import ContrastiveLoss
from siamesekit.losses.pair import PairLoss

__all__ = ["BCELoss", "ContrastiveLoss", "Loss", "PairLoss"]
