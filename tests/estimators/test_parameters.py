"""Parameters by name: of the estimator, and of the parts inside it."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import MLP
from siamesekit.data import RandomAffine
from siamesekit.errors import InvalidParameterError
from siamesekit.gallery.indexes.exact import ExactIndex
from siamesekit.losses import TripletLoss
from siamesekit.miners import SemihardTriplets
from siamesekit.samplers import EpisodeSampler

X = np.random.default_rng(0).normal(size=(40, 5))
Y = np.arange(40) % 4


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone__units": 4}, r"got backbone='auto', .*Give .*backbone=\"mlp\" first"),
        ({"sampler__per_class": 2}, r"got sampler='auto', .*Give sampler=\"balanced\" first"),
        ({"miner__margin": 0.1}, r"got miner=None, which has none. Give miner=\".*\" first"),
        ({"augment__rotation": 5}, r"Give augment=\"affine\" or .* first"),
        ({"max_epochs__x": 5}, r"got max_epochs=30"),
        ({"max_epoch": 5}, r"Did you mean 'max_epochs'"),
        ({"loss__shots": 5}, r"'shots' is no parameter of .*Did you mean 'shot'"),
    ],
)
def test_reaching_where_there_is_no_part_is_refused_and_changes_nothing(
    params: dict[str, object], message: str
) -> None:
    clf = SiameseClassifier()
    with pytest.raises(InvalidParameterError, match=message):
        clf.set_params(verbose=True, **params)
    assert clf.verbose is False
    assert clf.loss == "episodic"


def test_a_part_is_given_and_reached_into_at_once() -> None:
    clf = SiameseClassifier().set_params(backbone="mlp", backbone__units=7)
    assert clf.backbone.units == 7  # type: ignore[union-attr]
    assert SiameseClassifier(augment="affine").get_params()["augment__rotation"] == 15.0


def test_a_part_that_two_estimators_share_is_changed_in_one() -> None:
    loss = TripletLoss(margin=0.2)
    first, second = SiameseClassifier(loss=loss), SiameseClassifier(loss=loss)
    first.set_params(loss__margin=0.9)
    assert (first.loss.margin, second.loss.margin, loss.margin) == (0.9, 0.2, 0.2)  # type: ignore[union-attr]


def test_classes_are_not_made_to_list_their_parameters() -> None:
    class Costly(nn.Module):
        def __init__(self) -> None:
            raise AssertionError("made")

    assert SiameseClassifier(backbone=Costly).get_params()["backbone"] is Costly


@pytest.mark.parametrize("loss", ["triplet", TripletLoss, TripletLoss(), "pml:TripletMarginLoss"])
def test_grid_search_over_a_parameter_of_the_loss(loss: object) -> None:
    clf = SiameseClassifier(loss=loss, max_epochs=1, random_state=0)  # type: ignore[arg-type]
    search = GridSearchCV(clf, {"loss__margin": [0.1, 0.5]}, cv=2, error_score="raise").fit(X, Y)
    assert search.best_estimator_.loss.margin == search.best_params_["loss__margin"]
    assert clone(search.best_estimator_).loss.margin == search.best_params_["loss__margin"]


@pytest.mark.parametrize(
    ("argument", "part", "words"),
    [
        ("loss", TripletLoss(margin=0.3), "TripletLoss(margin=0.3)"),
        ("backbone", MLP(units=7).build((3,)), "MLP(units=7)"),
        ("miner", SemihardTriplets(margin=0.1), "SemihardTriplets(margin=0.1)"),
        ("sampler", EpisodeSampler(way=3), "EpisodeSampler(way=3)"),
        ("augment", RandomAffine(rotation=3), "RandomAffine(rotation=3)"),
        ("index", ExactIndex("dot"), "ExactIndex(metric='dot')"),
    ],
)
def test_parts_are_shown_with_their_parameters(argument: str, part: Any, words: str) -> None:
    clf = SiameseClassifier(**{argument: part})
    assert repr(clf) == f"SiameseClassifier({argument}={words})"
    assert getattr(clf, argument) is part
    if not isinstance(part, nn.Module):
        assert repr(part) == words
