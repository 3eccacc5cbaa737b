"""Spoken words, known from one example: EfficientWord-Net's network and what goes into it."""

from siamesekit_spoken_words.backbone import SpokenWords
from siamesekit_spoken_words.features import centred, log_mel
from siamesekit_spoken_words.reader import WordReader

__all__ = ["SpokenWords", "WordReader", "centred", "log_mel"]
