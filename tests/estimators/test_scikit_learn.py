"""What scikit-learn's tools ask of an estimator beside ``check_estimator``."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from siamesekit import (
    SiameseClassifier,
    SiameseEmbedder,
    SiameseVerifier,
    errors,
    registry,
)
from siamesekit.errors import InvalidDataError, InvalidParameterError

X = np.random.default_rng(0).normal(size=(60, 5)) + 2 * np.eye(5)[np.arange(60) % 4]
Y = np.arange(60) % 4
# Six classes, two of each group.
MANY = np.random.default_rng(1).normal(size=(96, 5)) + 2 * np.eye(6)[np.arange(96) % 6, :5]
CLASSES = np.arange(96) % 6
GROUPS = CLASSES // 2
ESTIMATORS = (SiameseClassifier, SiameseEmbedder, SiameseVerifier)
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


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_estimator_names_its_columns(kind: type[SiameseEmbedder]) -> None:
    model = kind(max_epochs=0, random_state=0).set_output(transform="pandas").fit(MANY, CLASSES)
    table = model.transform(MANY[:3])
    assert table.columns.tolist() == model.get_feature_names_out().tolist()
    assert table.columns[0] == f"{kind.__name__.lower()}0"
    assert table.shape == (3, model.embedding_size_)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_weights_of_items_are_refused_by_name(kind: type[SiameseEmbedder]) -> None:
    model = kind(max_epochs=0, random_state=0)
    assert not has_fit_parameter(model, "sample_weight")
    name = kind.__name__.lower()
    with pytest.raises(InvalidParameterError, match=rf"{kind.__name__}.fit takes no sample_weight"):
        make_pipeline(model).fit(MANY, CLASSES, **{f"{name}__sample_weight": np.ones(96)})
    with pytest.raises(InvalidParameterError, match=r"'group' is no .*Did you mean 'groups'"):
        model.fit(MANY, CLASSES, group=GROUPS)
    assert not hasattr(model, "backbone_")


def test_pairs_have_weights_where_they_are_judged() -> None:
    model = SiameseVerifier(max_epochs=0, random_state=0, held_out=None).fit(MANY, CLASSES)
    A, B = MANY[:40], MANY[40:80]
    same = CLASSES[:40] == CLASSES[40:80]
    right = model.predict(A, B) == same
    weights = np.arange(40.0)
    assert model.score(A, B, same, sample_weight=weights) == weights[right].sum() / weights.sum()
    with pytest.raises(InvalidDataError, match="must hold 40 finite numbers of at least 0"):
        model.score(A, B, same, sample_weight=-weights)
    with pytest.raises(InvalidDataError, match="sample_weight must be None where X are items"):
        model.score(MANY, CLASSES, sample_weight=np.ones(96))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_groups_are_routed_to_fit(kind: type[SiameseEmbedder]) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = kind(max_epochs=1, random_state=0, validation=0.34).set_fit_request(groups=True)
        if kind is SiameseVerifier:
            model.set_params(held_out=None)
        line = make_pipeline(StandardScaler(), model)
        scored = None if kind is not SiameseEmbedder else lambda *_: 0.0
        found = cross_validate(
            line,
            MANY,
            CLASSES,
            params={"groups": GROUPS},
            cv=2,
            scoring=scored,
            return_estimator=True,
            error_score="raise",
        )
        search = GridSearchCV(
            line,
            {f"{kind.__name__.lower()}__loss": ["triplet"]},
            cv=2,
            scoring=scored,
            error_score="raise",
        ).fit(MANY, CLASSES, groups=GROUPS)
    for fitted in (*found["estimator"], search.best_estimator_):
        # A group as a whole chose among epochs, which two of six classes alone would not be.
        first, second = fitted[-1].chosen_classes_
        assert first // 2 == second // 2


@pytest.mark.parametrize(
    ("head", "loss"),
    [("cosine", "contrastive"), ("cosine-concat", "bce"), ("l1", "bce"), ("squared", "bce")],
)
def test_an_answer_about_vectors_does_not_depend_on_how_many_are_asked_at_once(
    head: str, loss: str
) -> None:
    parts = {"backbone": "mlp", "head": head, "loss": loss, "precision": "float32"}
    of_items = SiameseClassifier(**parts, max_epochs=1, random_state=0).fit(MANY, CLASSES)
    of_pairs = SiameseVerifier(**parts, max_epochs=1, random_state=0, held_out=None)
    of_pairs.fit(MANY, CLASSES)
    others = MANY[::-1].copy()
    for size in (1, 7, 50):
        some = [slice(start, start + size) for start in range(0, len(MANY), size)]
        for ask in (of_items.transform, of_items.predict_proba):
            apart = np.concatenate([ask(MANY[part]) for part in some])
            np.testing.assert_allclose(apart, ask(MANY), rtol=1e-6, atol=1e-6)
        apart = np.concatenate([of_pairs.predict_proba(MANY[part], others[part]) for part in some])
        np.testing.assert_allclose(apart, of_pairs.predict_proba(MANY, others), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_network_of_vectors_gets_as_many_at_every_call(kind: str) -> None:
    # By this kernels are chosen, and with them how sums are rounded.
    model = SiameseEmbedder("mlp", max_epochs=0, precision=kind, device="cpu").fit(MANY, CLASSES)
    seen = set()
    model.backbone_.register_forward_pre_hook(lambda _, args: seen.add(args[0].shape))
    for size in (1, 2, 95, 96):
        assert len(model.transform(MANY[:size])) == size
    model.transform(np.concatenate([MANY, MANY[:5]]))
    assert seen == {(96, 5)}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in registry.KINDS
        for name in registry.names(kind, plugins=False)
        if ":" not in name
    ],
)
def test_every_part_can_be_pickled_copied_and_cloned(kind: str, name: str) -> None:
    part = registry.create(kind, name)
    for again in (pickle.loads(pickle.dumps(part)), copy.deepcopy(part), clone(part)):
        assert type(again) is type(part)
        assert repr(again.get_params()) == repr(part.get_params())


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_can_be_pickled(name: str) -> None:
    kind = getattr(errors, name)
    again = pickle.loads(pickle.dumps(kind("said")))
    assert (type(again), str(again)) == (kind, "said")


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_fitted_attribute_can_be_pickled(kind: type[SiameseEmbedder]) -> None:
    share = {"held_out" if kind is SiameseVerifier else "validation": 0.34}
    model = kind(max_epochs=1, random_state=0, **share).fit(MANY, CLASSES)
    kept = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert {"backbone_", "head_", "history_", "calibration_"} <= set(kept)
    for value in kept.values():
        assert type(pickle.loads(pickle.dumps(value))) is type(copy.deepcopy(value)) is type(value)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(MANY), model.transform(MANY))
