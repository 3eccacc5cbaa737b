"""The embedder in scikit-learn's tools, and models that pass from one estimator to another."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from siamesekit import SiameseClassifier, SiameseEmbedder
from siamesekit.errors import InvalidParameterError, SavedModelError

X = np.random.default_rng(0).normal(size=(60, 5)) + 2 * np.eye(5)[np.arange(60) % 4]
Y = np.arange(60) % 4
LINES = [
    {"head": "cosine"},
    {"head": "l1", "loss": "bce"},
    {"head": "squared", "loss": "bce", "sampler": "pairs"},
    {"head": "euclidean", "loss": "contrastive"},
    {"loss": "triplet", "miner": "batch-hard"},
]


def embedder(**given: object) -> SiameseEmbedder:
    return SiameseEmbedder(**{"max_epochs": 2, "random_state": 0, "device": "cpu", **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("line", LINES, ids=str)
def test_it_embeds_and_compares_with_every_line(line: dict[str, object]) -> None:
    fitted = embedder(**line).fit(X, Y)
    vectors = fitted.transform(X)
    assert vectors.shape == (60, fitted.embedding_size_)
    assert vectors.dtype == np.float32
    assert fitted.similarity(X[:3], X).shape == (3, 60)
    assert fitted.trained_classes_ is not None
    assert fitted.trained_classes_.tolist() == [0, 1, 2, 3]


def test_it_is_a_step_of_a_pipeline_and_of_a_search() -> None:
    pipeline = make_pipeline(embedder(), KNeighborsClassifier())
    pipeline.set_output(transform="pandas").fit(X, Y)
    assert pipeline[:-1].get_feature_names_out()[0] == "siameseembedder0"
    assert pipeline[:-1].transform(X).shape == (60, pipeline[0].embedding_size_)
    search = GridSearchCV(pipeline, {"siameseembedder__max_epochs": [0, 1]}, cv=2)
    assert 0 <= search.fit(X, Y).best_score_ <= 1
    np.testing.assert_array_equal(embedder().fit_transform(X, Y), embedder().fit(X, Y).transform(X))


def test_what_it_saves_holds_no_item(tmp_path: object) -> None:
    fitted = embedder().fit(X, Y)
    fitted.save(f"{tmp_path}/model")
    again = SiameseEmbedder.load(f"{tmp_path}/model")
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(again.similarity(X, X), fitted.similarity(X, X))
    assert clone(again).get_params()["max_epochs"] == 2


def test_what_a_classifier_saved_embeds_and_what_an_embedder_saved_enrolls(
    tmp_path: object,
) -> None:
    clf = SiameseClassifier(max_epochs=1, random_state=0, aggregate="max").fit(X, Y)
    clf.save(f"{tmp_path}/clf")
    own = SiameseEmbedder.load(f"{tmp_path}/clf")
    np.testing.assert_array_equal(own.transform(X), clf.transform(X))
    assert not hasattr(own, "aggregate")
    own.save(f"{tmp_path}/own")
    back = SiameseClassifier.load(f"{tmp_path}/own")
    assert back.classes_.tolist() == []
    assert back.enroll(X[:4], Y[:4]).predict(X[:4]).tolist() == Y[:4].tolist()


def test_models_of_no_estimator_and_arguments_of_another_are_refused(tmp_path: object) -> None:
    embedder(max_epochs=0).fit(X, Y).save(f"{tmp_path}/model")
    with pytest.raises(InvalidParameterError, match="'aggregate' is no argument"):
        SiameseEmbedder.load(f"{tmp_path}/model", aggregate="max")
    with pytest.raises(SavedModelError):
        SiameseEmbedder.load(f"{tmp_path}/nothing")


def test_the_model_in_the_box_embeds() -> None:
    boxed = SiameseEmbedder.from_pretrained("omniglot", device="cpu")
    strokes = np.zeros((2, 28, 28), np.uint8)
    strokes[0, 4:24, 13:15] = strokes[1, 13:15, 4:24] = 255
    assert boxed.transform(strokes).shape == (2, boxed.embedding_size_)
