"""A figure carries facts: what was tested, what the model had seen, and on which machine."""

import json
import os
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from siamesekit.environment import affinity, commit, environment
from siamesekit.errors import InvalidDataError, InvalidParameterError, LeakageError
from siamesekit.evaluation import (
    Result,
    episode_accuracy,
    knn_accuracy,
    one_shot_validation,
    retrieval_metrics,
    runs_accuracy,
    verification_accuracy,
)
from siamesekit.heads import CosineHead, EuclideanHead

Y = np.repeat(["d", "e", "f", "g"], 5)
E = np.random.default_rng(0).normal(size=(20, 4))
RUN = (E[:4], E[4:8], [0, 1, 2, 3])


class Seen(BaseEstimator):
    """An estimator that knows its classes."""

    def __init__(self, trained=("a", "b"), chosen=("c",), part=EuclideanHead) -> None:
        self.trained = trained
        self.chosen = chosen
        self.part = part

    @property
    def trained_classes_(self):
        return None if self.trained is None else np.array(self.trained)

    @property
    def chosen_classes_(self):
        return None if self.chosen is None else np.array(self.chosen)

    head_ = CosineHead()


def of_episodes(estimator, labels=Y) -> Result:
    return episode_accuracy(E, labels, way=3, n_episodes=6, random_state=1, estimator=estimator)


def of_runs(estimator, labels=Y) -> Result:
    return runs_accuracy([RUN], classes=labels, estimator=estimator)


def of_pairs(estimator, labels=Y) -> Result:
    return verification_accuracy([0.1, 0.9], [0, 1], 0.5, classes=labels, estimator=estimator)


RESULTS = [of_episodes, of_runs, of_pairs]
OTHERS = [
    lambda estimator, labels: retrieval_metrics(E, labels, estimator=estimator),
    lambda estimator, labels: knn_accuracy(E, labels, estimator=estimator),
]


@pytest.mark.parametrize("evaluate", RESULTS)
def test_a_result_knows_its_classes_and_its_model(evaluate) -> None:
    found = evaluate(Seen())
    assert found.tested_classes == ("d", "e", "f", "g")
    assert found.trained_classes == ("a", "b")
    assert found.chosen_classes == ("c",)
    assert found.model == {
        "class": "Seen", "trained": ["a", "b"], "chosen": ["c"], "part": "EuclideanHead",
    }  # fmt: skip
    assert "4 classes tested, none of the 2 trained on or of the 1 chosen on;" in found.protocol
    assert found.commit == commit()
    assert found.affinity == (None if affinity() is None else tuple(affinity()))
    assert found.environment == environment()
    assert found.environment["threads"] == torch.get_num_threads()
    hash(found)


@pytest.mark.parametrize("evaluate", RESULTS)
def test_the_sentence_is_made_from_the_facts(evaluate) -> None:
    found = evaluate(Seen())
    other = replace(found, trained_classes=tuple("pqrst"), chosen_classes=None)
    assert "none of the 5 trained on;" in other.protocol
    assert "chosen on;" not in other.protocol
    unknown = replace(found, trained_classes=None, chosen_classes=None)
    assert "4 classes tested;" in unknown.protocol
    with pytest.raises(AttributeError):
        found.protocol = "as good as any"  # type: ignore[misc]
    assert found.protocol.rpartition("; ")[2].startswith("95 % interval: ")


def test_every_number_of_the_sentence_is_a_parameter() -> None:
    groups = np.repeat([0, 0, 1, 1], 5)
    drawers = np.tile(np.arange(5), 4)
    found = episode_accuracy(
        E, Y, scorer=CosineHead(), way=2, shot=2, queries=3, n_episodes=7, groups=groups,
        within=True, drawers=drawers, aggregate="max", random_state=3,
    )  # fmt: skip
    assert found.protocol.startswith(
        "7 2-way 2-shot episodes within one group, supports of one drawer and queries of another, "
        "3 queries a class, max of supports; 4 classes tested; "
    )
    assert found.parameters["way"] == 2
    assert found.seed == 3
    assert "5-way 1-shot" in replace(
        found, parameters={**found.parameters, "way": 5, "shot": 1}
    ).protocol  # fmt: skip


@pytest.mark.parametrize("evaluate", RESULTS + OTHERS)
def test_a_leaked_class_is_named(evaluate) -> None:
    labels = np.where(Y == "e", "b", Y)
    with pytest.raises(LeakageError, match="1 classes with training: b"):
        evaluate(Seen(), labels)
    labels = np.where(Y == "e", "c", Y)
    with pytest.raises(LeakageError, match="1 classes with validation: c"):
        evaluate(Seen(), labels)


@pytest.mark.parametrize("evaluate", RESULTS + OTHERS)
def test_classes_of_another_kind_are_other_classes(evaluate) -> None:
    evaluate(Seen(trained=(1, 2), chosen=()), np.array(["1", "2", "3", "4"])[np.arange(20) // 5])
    with pytest.raises(LeakageError, match=r"training: 2\.0"):
        evaluate(Seen(trained=(1, 2)), np.array([2.0, 3.0, 4.0, 5.0])[np.arange(20) // 5])


@pytest.mark.parametrize("evaluate", RESULTS)
def test_what_is_not_recorded_is_not_claimed(evaluate) -> None:
    found = evaluate(Seen(trained=None, chosen=None))
    assert found.trained_classes is found.chosen_classes is None
    assert "trained on" not in found.protocol


@pytest.mark.parametrize("evaluate", RESULTS + OTHERS)
def test_an_estimator_must_know_its_classes(evaluate) -> None:
    with pytest.raises(InvalidParameterError, match="estimator must be fitted"):
        evaluate(object(), Y)


@pytest.mark.parametrize("evaluate", [of_runs, of_pairs])
def test_an_estimator_is_of_no_use_without_the_classes(evaluate) -> None:
    with pytest.raises(InvalidParameterError, match="classes must name the classes tested on"):
        evaluate(Seen(), None)
    with pytest.raises(InvalidDataError, match="classes must hold one label a class"):
        evaluate(Seen(), 5)


@pytest.mark.parametrize("evaluate", RESULTS)
def test_a_result_goes_through_json_and_pickle(evaluate) -> None:
    found = evaluate(Seen())
    assert pickle.loads(pickle.dumps(found)) == found
    plain = found.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["protocol"] == found.protocol
    assert plain["tested_classes"] == ["d", "e", "f", "g"]


def test_labels_that_json_does_not_know_are_written_as_they_look() -> None:
    labels = np.empty(20, dtype=object)
    labels[:] = [(("x", None), frozenset([1]), 2**70, "y")[k // 5] for k in range(20)]
    found = of_episodes(Seen(), labels)
    assert json.loads(json.dumps(found.to_dict()))["tested_classes"] == [
        ["x", None], "frozenset({1})", 2**70, "y",
    ]  # fmt: skip


def test_the_head_of_the_estimator_compares_by_default() -> None:
    with_head = episode_accuracy(E, Y, way=3, random_state=0, scorer=CosineHead())
    assert of_episodes(Seen()).value == pytest.approx(with_head.value, abs=0.5)
    one = episode_accuracy(E, Y, way=3, random_state=0, estimator=Seen())
    assert one.value == with_head.value


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say")
def test_affinity_is_what_the_system_says() -> None:
    assert set(affinity()) == os.sched_getaffinity(0)


def test_a_validation_can_be_pickled_and_names_its_items() -> None:
    validation = one_shot_validation(torch.from_numpy(E).float(), Y, way=3, n_episodes=5)
    again = pickle.loads(pickle.dumps(validation))
    assert repr(again) == repr(validation) == "OneShotValidation(5 3-way episodes of 20 items)"
    np.testing.assert_array_equal(again.episodes.query, validation.episodes.query)
    assert again.labels.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name", 3),
        ("value", "high"),
        ("value", 1.5),
        ("interval", 0.5),
        ("interval", (0.9, 0.1)),
        ("n_trials", -1),
        ("chance", None),
        ("seconds", float("nan")),
        ("task", "guess"),
        ("parameters", [5, 1]),
        ("parameters", {}),
        ("model", "omniglot"),
        ("environment", None),
    ],
)
def test_a_figure_without_its_facts_is_refused(argument: str, value: Any) -> None:
    facts: dict[str, Any] = {
        "name": "runs",
        "value": 0.5,
        "interval": (0.4, 0.6),
        "n_episodes": 1,
        "n_trials": 20,
        "chance": 0.05,
        "seed": None,
        "seconds": 0.1,
        "task": "runs",
        "parameters": {"ways": [20]},
    }
    assert Result(**facts).value == 0.5
    with pytest.raises(InvalidParameterError, match=f"^{argument}"):
        Result(**facts | {argument: value})
