"""No learning, or as little as a formula can: what a model has to be better than."""

from siamesekit.evaluation.baselines.base import Baseline
from siamesekit.evaluation.baselines.components import NCA
from siamesekit.evaluation.baselines.cosine import CentredCosine, Cosine, cosine_similarity
from siamesekit.evaluation.baselines.discriminant import LDA
from siamesekit.evaluation.baselines.hausdorff import modified_hausdorff
from siamesekit.evaluation.baselines.table import BASELINES, fit_baselines, score_baselines
from siamesekit.evaluation.baselines.tanimoto import Tanimoto, tanimoto_similarity
from siamesekit.evaluation.baselines.within import WCCN

__all__ = [
    "BASELINES",
    "LDA",
    "NCA",
    "WCCN",
    "Baseline",
    "CentredCosine",
    "Cosine",
    "Tanimoto",
    "cosine_similarity",
    "fit_baselines",
    "modified_hausdorff",
    "score_baselines",
    "tanimoto_similarity",
]
