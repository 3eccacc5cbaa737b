"""Models that come with the package."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import siamesekit
from siamesekit import SiameseClassifier
from siamesekit.data import redraw
from siamesekit.errors import InvalidParameterError, LeakageError
from siamesekit.evaluation import episode_accuracy

FOLDER = Path(siamesekit.__file__).parent / "pretrained"
SIDES = {"omniglot": 56, "omniglot-28": 28}
MEGABYTE = 10**6


@pytest.fixture(scope="module", params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def classifier(name: str) -> SiameseClassifier:
    return SiameseClassifier.from_pretrained(name, device="cpu")


def test_digits_are_told_apart_from_one_example_each_without_training(
    classifier: SiameseClassifier,
) -> None:
    X, y = load_digits(return_X_y=True)
    images, y = redraw((X[:300].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)), y[:300]
    first = np.array([np.flatnonzero(y == digit)[0] for digit in range(10)])
    classifier.enroll(images[first], y[first])
    others = np.setdiff1d(np.arange(300), first)
    # Blots of 8×8 pixels are far from the drawings it learnt from. Chance is a tenth.
    assert classifier.score(images[others], y[others]) > 0.5
    classifier.forget(classifier.classes_)


def test_its_gallery_is_empty_and_its_input_known(classifier: SiameseClassifier, name: str) -> None:
    assert len(classifier.classes_) == 0
    assert classifier.input_shape_ == (1, SIDES[name], SIDES[name])


def test_the_one_of_short_embeddings_knows_a_symbol_by_another_pen() -> None:
    box = SiameseClassifier.from_pretrained(device="cpu")
    assert box.embedding_size_ == 512
    paper = np.full((3, 200, 200), 255, np.uint8)
    for image, thickness in zip(paper, (4, 16, 30), strict=True):
        image[40:160, 60 : 60 + thickness] = image[160 - thickness : 160, 60:150] = 0
    cross = np.zeros((90, 90, 3), np.uint8)
    cross[10:80, 42:48] = cross[42:48, 10:80] = (255, 40, 0)
    box.enroll([paper[0], cross], ["L", "cross"])
    assert box.predict(list(paper[1:])).tolist() == ["L", "L"]


def test_it_knows_the_characters_it_was_trained_on_as_the_loader_names_them(
    classifier: SiameseClassifier, name: str
) -> None:
    trained = classifier.trained_classes_
    assert trained is not None
    assert classifier.chosen_classes_ is not None
    assert len(trained) == 964
    assert (np.sort(trained) == trained).all()
    origin = json.loads((FOLDER / name / "provenance.json").read_text(encoding="utf-8"))
    assert {name.split("/")[0] for name in trained.tolist()} == set(origin["trained_on"])
    assert classifier.chosen_classes_.tolist() == origin["chosen_on"]


def test_what_it_was_trained_on_is_no_test_of_it(classifier: SiameseClassifier) -> None:
    X = np.random.default_rng(0).integers(0, 256, (6, *classifier.input_shape_), dtype=np.uint8)
    new = np.repeat(["Tengwar/character01", "Tengwar/character02", "Tibetan/character01"], 2)
    leaked = np.where(new == "Tibetan/character01", "Greek/character24", new)
    numbers = np.repeat([1, 2, 3], 2)  # other names than numbers, so other classes
    vectors = classifier.transform(X)
    drawn: dict[str, Any] = {"way": 2, "n_episodes": 2, "random_state": 0, "estimator": classifier}
    for y in (new, numbers):
        assert "964" in episode_accuracy(vectors, y, **drawn).protocol
        assert classifier.calibration_report(X, y).cllr > 0
    with pytest.raises(LeakageError, match="shares 1 classes with training: Greek/character24"):
        episode_accuracy(vectors, leaked, **drawn)
    with pytest.raises(LeakageError, match="Greek/character24"):
        classifier.calibration_report(X, leaked)


def test_it_is_small_and_its_card_gives_credit_and_figures(name: str) -> None:
    folder = FOLDER / name
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 8 * MEGABYTE
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for needed in ("Omniglot", "Lake", "MIT", "docs/results.md", "provenance.json", "%"):
        assert needed in card


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidParameterError, match=r"name must be one of 'omniglot'.*'omniglit'"):
        SiameseClassifier.from_pretrained("omniglit")
