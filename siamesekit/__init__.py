"""Teach a network to compare, then recognise new classes from one example.

Four words: embed → compare → choose → charge. A backbone embeds items, a head compares the
embeddings, a miner chooses the comparisons worth training on, and a loss charges for wrong ones.
"""

from importlib.metadata import version

from siamesekit.errors import SiamesekitError
from siamesekit.estimators import SiameseClassifier, SiameseEmbedder, SiameseVerifier
from siamesekit.gallery import Gallery
from siamesekit.registry import register

__all__ = [
    "Gallery",
    "SiameseClassifier",
    "SiameseEmbedder",
    "SiameseVerifier",
    "SiamesekitError",
    "__version__",
    "register",
]

__version__ = version("siamesekit")
