"""scikit-learn's own checks, in every kind of configuration; no failure is expected anywhere."""

from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.utils import Tags, get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from torch import nn

from siamesekit import SiameseClassifier, SiameseEmbedder, SiameseVerifier


class EnrolledLater(SiameseClassifier):
    """Enrolls what it was trained on once training is over, since the checks do not."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags._skip_test = False
        return tags

    def fit(self, X: Any, y: Any = None, groups: Any = None, **others: object) -> Self:
        return super().fit(X, y, groups, **others).enroll(X, y)


class OfRows(SiameseVerifier):
    """Compares each row with itself turned round: the checks ask of single items."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        # What it answers is not the class that an item was trained as.
        tags.estimator_type = tags.classifier_tags = None
        return tags

    def _scores(self, A: Any, B: Any = None) -> Any:
        return super()._scores(A, turned(A) if B is None else B)


def turned(A: Any) -> Any:
    if isinstance(A, pd.DataFrame):
        return pd.DataFrame(A.to_numpy()[:, ::-1], index=A.index, columns=A.columns)
    array = A if issparse(A) else np.asarray(A)
    return A if issparse(A) or array.ndim != 2 else array[:, ::-1]


def quality(line: object) -> float:
    return 0.5


FEW = {"max_epochs": 2, "random_state": 0}
CONFIGURATIONS = [
    SiameseClassifier(max_epochs=2),
    SiameseEmbedder(max_epochs=2),
    OfRows(held_out=None, max_epochs=2),
    OfRows(head="l1", loss="bce", held_out=None, **FEW),
    SiameseClassifier(
        head="euclidean", loss="contrastive", sampler="pairs", index="usearch", **FEW
    ),
    SiameseClassifier(
        head="sqeuclidean",
        loss="triplet",
        miner="semihard",
        aggregate="max",
        chunk_size=16,
        schedule="cosine",
        **FEW,
    ),
    SiameseClassifier(head="l1", loss="bce", aggregate="mean", precision="bfloat16", **FEW),
    SiameseClassifier(
        head="squared",
        loss="batch-all",
        sampler="balanced",
        optimizer="sgd",
        schedule="constant",
        averaging=0.9,
        validation=quality,
        patience=1,
        precision="float16",
        **FEW,
    ),
    SiameseClassifier(
        head="cosine-concat",
        loss="bce",
        miner="hard-pairs",
        learning_rate=0.03,
        max_epochs=4,
        random_state=0,
    ),
    SiameseClassifier(
        backbone=nn.LazyLinear(4), loss="cross-batch-memory", optimizer="adam", index="exact", **FEW
    ),
    SiameseClassifier(backbone="mlp", max_epochs=0, random_state=0),
    EnrolledLater(enroll_training=False, **FEW),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_scikit_learn_accepts_the_estimators(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.parametrize(
    "estimator",
    [
        SiameseVerifier(),
        SiameseClassifier(enroll_training=False),
        SiameseClassifier(unknown_label="nobody"),
    ],
)
def test_what_the_checks_cannot_ask_says_so_by_its_tags(estimator: object) -> None:
    tags = get_tags(estimator)
    assert tags._skip_test or not tags.input_tags.two_d_array
    with pytest.warns(UserWarning, match="Can't test estimator|_skip_test"):
        check_estimator(estimator)


def test_what_answers_at_once_is_checked() -> None:
    assert all(
        get_tags(estimator).input_tags.two_d_array and not get_tags(estimator)._skip_test
        for estimator in CONFIGURATIONS
    )
