"""How good is it: episodes, retrieval, baselines."""

from siamesekit.evaluation.baselines import cosine_similarity, modified_hausdorff
from siamesekit.evaluation.calibration import fit_calibration
from siamesekit.evaluation.episodes import (
    Episodes,
    draw_episodes,
    episode_accuracy,
    score_episodes,
)
from siamesekit.evaluation.lake import runs_accuracy
from siamesekit.evaluation.leakage import check_disjoint
from siamesekit.evaluation.one_shot import one_shot_validation
from siamesekit.evaluation.result import Result, mean_interval, wilson_interval
from siamesekit.evaluation.retrieval import RetrievalMetrics, knn_accuracy, retrieval_metrics
from siamesekit.evaluation.ties import share_of_ties
from siamesekit.evaluation.verification import best_threshold, verification_accuracy

__all__ = [
    "Episodes",
    "Result",
    "RetrievalMetrics",
    "best_threshold",
    "check_disjoint",
    "cosine_similarity",
    "draw_episodes",
    "episode_accuracy",
    "fit_calibration",
    "knn_accuracy",
    "mean_interval",
    "modified_hausdorff",
    "one_shot_validation",
    "retrieval_metrics",
    "runs_accuracy",
    "score_episodes",
    "share_of_ties",
    "verification_accuracy",
    "wilson_interval",
]
