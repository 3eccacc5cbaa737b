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
from siamesekit.heads import CosineConcatHead


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


class Quality:
    """A validation function; written the same in every process, as names of tests must be."""

    def __call__(self, line: object) -> float:
        return 0.5

    def __repr__(self) -> str:
        return "Quality()"


FEW = {"max_epochs": 2, "random_state": 0}
# Each head, both precisions and each argument at another value than its default, several at once.
CONFIGURATIONS = [
    SiameseClassifier(max_epochs=2),
    SiameseEmbedder(
        backbone=nn.LazyLinear(8),
        head="sqeuclidean",
        loss="triplet",
        miner="semihard",
        chunk_size=16,
        schedule="cosine",
        **FEW,
    ),
    OfRows(backbone=nn.LazyLinear(8), head="l1", loss="bce", sampler="pairs", held_out=None, **FEW),
    SiameseClassifier(
        backbone=nn.LazyLinear(8),
        head="euclidean",
        loss="contrastive",
        miner="hard-pairs",
        aggregate="max",
        index="usearch",
        optimizer="adam",
        **FEW,
    ),
    SiameseClassifier(
        backbone=nn.LazyLinear(8),
        head="squared",
        loss="batch-all",
        sampler="balanced",
        schedule="constant",
        averaging=0.5,
        validation=Quality(),
        patience=1,
        precision="bfloat16",
        **FEW,
    ),
    SiameseClassifier(
        backbone=nn.LazyLinear(8),
        head=CosineConcatHead(hidden=16),
        loss="bce",
        aggregate="mean",
        learning_rate=0.1,
        **FEW,
    ),
    EnrolledLater(
        backbone=nn.LazyLinear(8),
        loss="cross-batch-memory",
        optimizer="sgd",
        enroll_training=False,
        index="exact",
        precision="float16",
        **FEW,
    ),
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
        SiameseClassifier(validation=0.3),
        SiameseEmbedder(validation=0.3),
        SiameseEmbedder(validation=np.float32(0.3)),
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
