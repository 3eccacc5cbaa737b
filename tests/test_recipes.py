"""Recipes train, shrunk in size only; optimiser and schedule do as the paper says."""

import numpy as np
import pytest
import torch

from siamesekit import SiameseClassifier, recipes
from siamesekit.backbones import KochNet, TurnedNet
from siamesekit.data import ImageSet
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.heads import CosineHead, L1Head
from siamesekit.losses import BCELoss
from siamesekit.training import TrainingLine

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


@pytest.mark.parametrize("recipe", [recipes.omniglot_best, recipes.vinyals])
def test_a_recipe_goes_on_from_the_model_in_the_box(recipe) -> None:
    box = SiameseClassifier.from_pretrained("omniglot").backbone_.inner.state_dict()
    inner = recipe(start="omniglot").backbone.build((1, 28, 28)).inner.inner.state_dict()
    assert inner.keys() == box.keys()
    assert all(torch.equal(inner[name], box[name]) for name in box)
    assert recipe(start="omniglot").learning_rate < recipe().learning_rate


def test_an_unbuilt_turned_network_has_no_inner_network() -> None:
    with pytest.raises(NotBuiltError, match="build"):
        _ = TurnedNet().inner


def test_kochs_trials_are_320_and_the_same_every_time() -> None:
    X, y, groups = drawings(8)
    images = ImageSet(X, y, groups, np.tile([1, 2], 100))
    line = TrainingLine(torch.nn.Flatten(), CosineHead(), BCELoss())
    score = recipes.koch_trials(images)
    assert score(line) == score(line)
    assert 0 <= score(line) < 0.3
    assert score(line) * 320 == pytest.approx(round(score(line) * 320))
    X[1::2] = X[::2]  # both drawers draw alike
    assert score(line) == 1


def test_kochs_trials_need_whole_episodes_groups_and_drawers() -> None:
    X, y, groups = drawings(8)
    with pytest.raises(InvalidParameterError, match="multiple of 20; got 330"):
        recipes.koch_trials(ImageSet(X, y, groups, y), n_trials=330)
    with pytest.raises(InvalidDataError, match="drawers"):
        recipes.koch_trials(ImageSet(X, y, groups))


def koch_line() -> TrainingLine:
    backbone = KochNet(filters=(2, 2, 2, 2), units=4).build((1, 65, 65))
    return TrainingLine(backbone, L1Head().build(4), BCELoss())


def test_each_layer_has_its_own_numbers() -> None:
    line = koch_line()
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    optimizer = recipes.layerwise_sgd(rates, 0.9, 1e-3)(line)
    assert [group["lr"] for group in optimizer.param_groups] == rates
    counts = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert counts[0] == 2 * 100 + 2
    assert counts[-1] == sum(p.numel() for p in line.head.parameters())
    assert sum(counts) == sum(p.numel() for p in line.parameters())


def test_numbers_of_another_length_and_other_networks_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="rates must be a number or 6"):
        recipes.layerwise_sgd([0.1, 0.2], 0.9, 0.0)
    line = TrainingLine(torch.nn.Linear(3, 2), CosineHead(), BCELoss())
    with pytest.raises(InvalidParameterError, match="1 layers"):
        recipes.layerwise_sgd(0.1, 0.9, 0.0)(line)


def test_rates_fall_by_one_per_cent_an_epoch_and_momenta_rise_from_a_half() -> None:
    optimizer = recipes.layerwise_sgd(0.1, [0.9, 0.5, 0.0, 0.9, 0.9, 0.9], 0.0)(koch_line())
    schedule = recipes.KochSchedule(optimizer, steps_per_epoch=2, ramp=4)
    seen = []
    for _ in range(10):
        group = optimizer.param_groups
        seen.append((group[0]["lr"], group[0]["momentum"], group[2]["momentum"]))
        optimizer.step()
        schedule.step()
    rates, momenta, falling = (np.array(column) for column in zip(*seen, strict=True))
    np.testing.assert_allclose(rates, 0.1 * 0.99 ** (np.arange(10) // 2))
    np.testing.assert_allclose(momenta, np.minimum(0.9, 0.5 + 0.4 * np.arange(10) / 8))
    np.testing.assert_allclose(falling, np.maximum(0.0, 0.5 - 0.5 * np.arange(10) / 8))
