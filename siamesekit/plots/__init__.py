"""Pictures: of training and searches, of tasks and answers, and of every figure with its interval.

Plain arrays in, a figure out; nothing goes through pyplot, so that no display is asked for and
nothing global changes. What is told by colour is told by line, mark or word too.
"""

from siamesekit.plots.embeddings import plot_embeddings
from siamesekit.plots.error_rates import plot_det, plot_roc
from siamesekit.plots.explanation import plot_explanation
from siamesekit.plots.history import plot_history
from siamesekit.plots.identification import plot_identification
from siamesekit.plots.one_shot import plot_one_shot_task
from siamesekit.plots.open_set import plot_cmc, plot_open_set
from siamesekit.plots.reliability import plot_reliability
from siamesekit.plots.scores import plot_scores
from siamesekit.plots.search import plot_search

__all__ = [
    "plot_cmc",
    "plot_det",
    "plot_embeddings",
    "plot_explanation",
    "plot_history",
    "plot_identification",
    "plot_one_shot_task",
    "plot_open_set",
    "plot_reliability",
    "plot_roc",
    "plot_scores",
    "plot_search",
]
