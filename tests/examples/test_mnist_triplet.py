"""The example of MNIST trains each of its networks, and scores them as it says."""

from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from _digits import digits_like_mnist
from _loading import load_module

from siamesekit.data import ImageSet

FILE = Path(__file__).parents[2] / "examples" / "mnist_triplet.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("matplotlib")
    return load_module(FILE)


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    """Return scikit-learn's digits at the size of MNIST's: those to learn from, and others."""
    every = digits_like_mnist()
    return every.subset(np.arange(1000)), every.subset(np.arange(1000, 1200))


@pytest.mark.parametrize("name", ["mlp", "dense", "conv"])
def test_a_few_epochs_of_each_recipe_tell_digits_apart(
    example: ModuleType, digits: tuple[ImageSet, ImageSet], tmp_path: Path, name: str
) -> None:
    training, others = digits
    options = Namespace(
        backbone=name, epochs=3, averaging=None, device="cpu", out=tmp_path, checkpoint_every=5
    )
    line, history = example.fit(0, training, options, "few")
    references, vectors = example.embed(line, training), example.embed(line, others)
    scores = example.score(vectors, others.y, references, training.y, line.head)
    assert history.epochs == 3
    # Untrained networks tell most digits apart too; that fewer triplets cost anything is learnt.
    assert history["active"][-1] < history["active"][0]
    # Chance, and a collapsed network, have 0.1.
    assert scores["precision_at_1"] > 0.8
    assert scores["knn_5"] > 0.8
