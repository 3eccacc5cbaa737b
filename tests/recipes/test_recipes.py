"""Every recipe trains (shrunk in size only), is pickled, and checks its arguments at the door."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from siamesekit import SiameseClassifier, recipes
from siamesekit.errors import InvalidParameterError

SMALL_KOCH = {"backbone__filters": (2, 3, 2, 3), "backbone__units": 8, "max_epochs": 1}
FEW_PAIRS = {"sampler__n_pairs": 8, "sampler__batch_size": 4}
SMALL = {
    "omniglot_best": (
        recipes.omniglot_best,
        {"backbone__backbone__backbone__widths": (8, 8), "sampler__n_batches": 1, "max_epochs": 1},
    ),
    "vinyals": (
        recipes.vinyals,
        {"backbone__backbone__backbone__widths": (8, 8), "sampler__n_batches": 1, "max_epochs": 1},
    ),
    "faces": (recipes.faces, {"backbone__backbone__patterns": False, "max_epochs": 1}),
    "koch2015": (recipes.koch2015, SMALL_KOCH | FEW_PAIRS | {"patience": None}),
    "koch2015_keras": (recipes.koch2015_keras, SMALL_KOCH | FEW_PAIRS),
    "koch_allpairs": (recipes.koch_allpairs, SMALL_KOCH | {"sampler__n_batches": 1}),
}


def drawings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise: 5 alphabets of 20 characters, 2 drawings each."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (200, side, side), dtype=np.uint8)
    y = np.repeat(np.arange(100), 2)
    return X, y, y // 20


def plain(classifier: SiameseClassifier) -> dict[str, object]:
    """Parameters that compare by value: all but the parts, whose own are among them."""
    params = classifier.get_params()
    return {name: value for name, value in params.items() if type(value).__eq__ != object.__eq__}


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_trains_and_takes_new_classes(name: str) -> None:
    recipe, small = SMALL[name]
    X, y, groups = drawings(65 if "koch" in name else 16)
    classifier: SiameseClassifier = recipe(random_state=1).set_params(**small)
    before = torch.get_rng_state()
    classifier.fit(X, y, groups=groups)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(classifier.classes_) == 0
    assert np.isfinite(classifier.history_["loss"]).all()
    # What a network of one step says of noise is nothing to rely on; that it answers is.
    classifier.enroll(X[:3], ["a", "b", "c"])
    assert classifier.classes_.tolist() == ["a", "b", "c"]
    assert set(classifier.predict(X[:3])) <= {"a", "b", "c"}
    scores = classifier.similarity(X[:3], X[:3])
    assert scores.shape == (3, 3)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_is_pickled_and_copied(name: str) -> None:
    recipe, small = SMALL[name]
    X, y, groups = drawings(65 if "koch" in name else 16)
    classifier: SiameseClassifier = recipe().set_params(**small)
    for copied in (pickle.loads(pickle.dumps(classifier)), clone(classifier)):
        assert plain(copied) == plain(classifier)
    fitted = copied.fit(X, y, groups=groups)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(X[:3]), fitted.transform(X[:3]))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("bad", [-1, 1.5, np.nan, "ten", None, True])
def test_epochs_are_counted_from_none_on(name: str, bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="max_epochs must be an integer"):
        SMALL[name][0](max_epochs=bad)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("bad", [-1, 1.5, "zero", [0]])
def test_a_random_state_is_one(name: str, bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="random_state"):
        SMALL[name][0](random_state=bad)
