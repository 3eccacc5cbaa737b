"""Data sets, and the augmentation of a batch."""
