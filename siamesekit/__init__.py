"""Teach a network to compare, then recognise new classes from one example.

Four words: embed → compare → choose → charge. A backbone embeds items, a head compares the
embeddings, a miner chooses the comparisons worth training on, and a loss charges for wrong ones.
"""

from importlib.metadata import version

from siamesekit.estimators import SiameseClassifier

__all__ = ["SiameseClassifier", "__version__"]

__version__ = version("siamesekit")
