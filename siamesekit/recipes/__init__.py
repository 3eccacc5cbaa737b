"""Named recipes: configured estimators, each one page of a paper, or what goes past it.

Data and protocols are in ``examples/reproduce.py``, which trains and scores each of these by name.
"""

from siamesekit.recipes.faces import faces
from siamesekit.recipes.koch import koch2015, koch2015_keras, koch_allpairs, koch_trials
from siamesekit.recipes.koch_training import KochSchedule, LayerwiseSGD, layerwise_sgd
from siamesekit.recipes.omniglot import omniglot_any_pen, omniglot_best, vinyals, vinyals_any_pen

__all__ = [
    "KochSchedule",
    "LayerwiseSGD",
    "faces",
    "koch2015",
    "koch2015_keras",
    "koch_allpairs",
    "koch_trials",
    "layerwise_sgd",
    "omniglot_any_pen",
    "omniglot_best",
    "vinyals",
    "vinyals_any_pen",
]
