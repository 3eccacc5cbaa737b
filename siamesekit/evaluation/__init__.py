"""How good is it: episodes, retrieval, baselines."""

from siamesekit.evaluation._bootstrap import Estimate
from siamesekit.evaluation.baselines import (
    BASELINES,
    Baseline,
    cosine_similarity,
    fit_baselines,
    modified_hausdorff,
    score_baselines,
    tanimoto_similarity,
)
from siamesekit.evaluation.calibration import (
    CalibrationReport,
    cllr,
    fit_calibration,
    log_loss,
    min_cllr,
)
from siamesekit.evaluation.curves import (
    Curve,
    cmc_curve,
    det_curve,
    open_set_curve,
    roc_curve,
)
from siamesekit.evaluation.episodes import (
    Episodes,
    draw_episodes,
    episode_accuracy,
    score_episodes,
)
from siamesekit.evaluation.error_rates import (
    ErrorRates,
    equal_error_rate,
    error_rates,
    fnmr_at_fmr,
    min_dcf,
    roc_auc,
    tar_at_far,
)
from siamesekit.evaluation.identification import (
    IdentificationRates,
    cmc,
    dir_at_fpir,
    fnir_at_fpir,
    identification_rates,
)
from siamesekit.evaluation.lake import runs_accuracy
from siamesekit.evaluation.leakage import check_disjoint
from siamesekit.evaluation.occlusion import Explanation, explain_pair
from siamesekit.evaluation.one_shot import OneShotValidation, one_shot_validation
from siamesekit.evaluation.reliability import Reliability, reliability_curve
from siamesekit.evaluation.result import Result, mean_interval, wilson_interval
from siamesekit.evaluation.retrieval import RetrievalMetrics, knn_accuracy, retrieval_metrics
from siamesekit.evaluation.thresholds import Threshold, choose_threshold
from siamesekit.evaluation.ties import share_of_ties
from siamesekit.evaluation.verification import best_threshold, verification_accuracy
from siamesekit.evaluation.verification_report import VerificationReport, verification_report

__all__ = [
    "BASELINES",
    "Baseline",
    "CalibrationReport",
    "Curve",
    "Episodes",
    "ErrorRates",
    "Estimate",
    "Explanation",
    "IdentificationRates",
    "OneShotValidation",
    "Reliability",
    "Result",
    "RetrievalMetrics",
    "Threshold",
    "VerificationReport",
    "best_threshold",
    "check_disjoint",
    "choose_threshold",
    "cllr",
    "cmc",
    "cmc_curve",
    "cosine_similarity",
    "det_curve",
    "dir_at_fpir",
    "draw_episodes",
    "episode_accuracy",
    "equal_error_rate",
    "error_rates",
    "explain_pair",
    "fit_baselines",
    "fit_calibration",
    "fnir_at_fpir",
    "fnmr_at_fmr",
    "identification_rates",
    "knn_accuracy",
    "log_loss",
    "mean_interval",
    "min_cllr",
    "min_dcf",
    "modified_hausdorff",
    "one_shot_validation",
    "open_set_curve",
    "reliability_curve",
    "retrieval_metrics",
    "roc_auc",
    "roc_curve",
    "runs_accuracy",
    "score_baselines",
    "score_episodes",
    "share_of_ties",
    "tanimoto_similarity",
    "tar_at_far",
    "verification_accuracy",
    "verification_report",
    "wilson_interval",
]
