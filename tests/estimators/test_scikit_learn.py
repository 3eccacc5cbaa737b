"""What scikit-learn's tools ask of an estimator beside ``check_estimator``."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siamesekit import SiameseClassifier

X = np.random.default_rng(0).normal(size=(60, 5)) + 2 * np.eye(5)[np.arange(60) % 4]
Y = np.arange(60) % 4
TABLE = pd.DataFrame(X, columns=list("abcde"), index=np.arange(100, 160))


@pytest.fixture(scope="module")
def fitted() -> SiameseClassifier:
    return SiameseClassifier(max_epochs=1, random_state=0).fit(X, Y)


def test_a_pipeline_puts_out_tables_with_names() -> None:
    pipeline = make_pipeline(
        StandardScaler(), SiameseClassifier(max_epochs=1), KNeighborsClassifier()
    )
    pipeline.set_output(transform="pandas").fit(TABLE, Y)
    table = pipeline[:-1].transform(TABLE)
    names = pipeline[:-1].get_feature_names_out()
    assert table.columns.tolist() == names.tolist()
    assert names[0] == "siameseclassifier0"
    assert table.index.tolist() == TABLE.index.tolist()
    assert len(names) == pipeline[1].embedding_size_


def test_no_attribute_of_an_earlier_fit_stays() -> None:
    clf = SiameseClassifier(max_epochs=1, random_state=0).fit(TABLE, Y)
    assert clf.feature_names_in_.tolist() == list("abcde")
    clf.fit(torch.from_numpy(X[:, :3]), Y)
    assert clf.n_features_in_ == 3
    assert not hasattr(clf, "feature_names_in_")
    assert clf.predict(X[:, :3]).shape == (60,)
    images = np.random.default_rng(0).random((40, 6, 6))
    clf.fit(images, np.arange(40) % 2)
    assert not hasattr(clf, "n_features_in_")


def test_a_refused_fit_keeps_the_attributes_of_the_earlier_one() -> None:
    clf = SiameseClassifier(max_epochs=1, random_state=0).fit(TABLE, Y)
    with pytest.raises(ValueError, match="2 classes"):
        clf.fit(X[:, :3], np.zeros(60))
    assert clf.feature_names_in_.tolist() == list("abcde")


@pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_answer_alike_and_have_galleries_of_their_own(
    way: object, fitted: SiameseClassifier
) -> None:
    size, copied = len(fitted.gallery_), way(fitted)  # type: ignore[operator]
    np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    copied.enroll(X[:1], [9]).forget([0])
    assert fitted.classes_.tolist() == [0, 1, 2, 3]
    assert len(fitted.gallery_) == size
    assert copied.classes_.tolist() == [1, 2, 3, 9]


def test_joblib_keeps_a_classifier(fitted: SiameseClassifier, tmp_path: object) -> None:
    joblib.dump(fitted, f"{tmp_path}/clf.joblib")
    again = joblib.load(f"{tmp_path}/clf.joblib")
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
