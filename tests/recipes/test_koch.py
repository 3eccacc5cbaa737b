from collections.abc import Callable

import numpy as np
import pytest
import torch

from siamesekit import SiameseClassifier, recipes
from siamesekit.data import ImageSet
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.heads import CosineHead
from siamesekit.losses import TripletLoss
from siamesekit.training import TrainingLine


def drawings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise: 5 alphabets of 20 characters, 2 drawings each."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (200, side, side), dtype=np.uint8)
    y = np.repeat(np.arange(100), 2)
    return X, y, y // 20


def test_kochs_trials_are_320_and_the_same_every_time() -> None:
    X, y, groups = drawings(8)
    images = ImageSet(X, y, groups, np.tile([1, 2], 100))
    line = TrainingLine(torch.nn.Flatten(), CosineHead(), TripletLoss())
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rates": np.nan}, "rates must be a finite number"),
        ({"rates": 0}, "rates must be a finite number"),
        ({"rates": "0.1"}, "rates must be a finite number"),
        ({"rates": None}, "rates must be a finite number"),
        ({"rates": [0.1, 0.2]}, "rates must be a number or 6"),
        ({"rates": "abcdef"}, "rates must be a finite number"),
        ({"rates": [0.1] * 5 + [np.inf]}, "rates must be a finite number"),
        ({"momenta": 1.0}, "momenta must be a finite number"),
        ({"momenta": -0.1}, "momenta must be a finite number"),
        ({"decays": -1e-4}, "decays must be a finite number"),
        ({"n_pairs": 0}, "n_pairs must be"),
        ({"n_pairs": 30_000.0}, "n_pairs must be"),
        ({"affine": "yes"}, "affine must be True or False"),
        ({"init": "papers"}, "init must be one of"),
        ({"kernels": (4, 3, 2)}, "kernels must be 4 integers"),
    ],
)
def test_the_papers_numbers_are_checked_at_the_door(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        recipes.koch2015(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", [recipes.koch2015, recipes.koch2015_keras])
def test_a_network_of_small_kernels_takes_small_images(
    recipe: Callable[..., SiameseClassifier],
) -> None:
    network = recipe(kernels=(4, 3, 2, 2)).backbone.build((1, 35, 35))
    assert network(torch.zeros(2, 1, 35, 35)).shape == (2, 4096)
    with pytest.raises(InvalidDataError, match="needs larger images"):
        recipe().backbone.build((1, 35, 35))


@pytest.mark.parametrize("n_trials", [0, -20, 20.0, "20", None, True])
def test_trials_are_counted(n_trials: object) -> None:
    X, y, groups = drawings(8)
    with pytest.raises(InvalidParameterError, match="n_trials must be"):
        recipes.koch_trials(ImageSet(X, y, groups, y), n_trials=n_trials)  # type: ignore[arg-type]
