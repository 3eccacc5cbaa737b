"""All baselines by name, fitted and scored beside a model."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from siamesekit._checks import near_matches, shown
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidParameterError
from siamesekit.evaluation.baselines.base import Baseline
from siamesekit.evaluation.baselines.components import NCA
from siamesekit.evaluation.baselines.cosine import CentredCosine, Cosine
from siamesekit.evaluation.baselines.discriminant import LDA
from siamesekit.evaluation.baselines.tanimoto import Tanimoto
from siamesekit.evaluation.baselines.within import WCCN
from siamesekit.evaluation.episodes import Episodes, episode_accuracy, score_episodes
from siamesekit.evaluation.result import Result

__all__ = ["BASELINES", "fit_baselines", "score_baselines", "score_baselines_on_episodes"]

BASELINES: Mapping[str, type[Baseline]] = MappingProxyType(
    {part.name: part for part in (Cosine, CentredCosine, Tanimoto, LDA, WCCN, NCA)}
)
"""Name to class of each baseline."""


def fit_baselines(
    X: ArrayLike, y: ArrayLike, names: Iterable[str] | None = None, *, random_state: int = 0
) -> dict[str, Baseline]:
    """Return baselines fitted to background classes, by name.

    Parameters
    ----------
    X : array-like of number, shape (n, …)
        Items as they are; images count as the vectors of their pixels.
    y : array-like, shape (n,)
        Class of each.
    names : iterable of str, optional
        Of `BASELINES`. Default: all that suit such items (Tanimoto's wants no negative number, NCA
        256 features at most).
    random_state : int

    Returns
    -------
    dict of str to Baseline

    Raises
    ------
    InvalidParameterError
        If a name is none of them.
    InvalidDataError
        As `Baseline.fit`.
    """
    if names is None:
        made = [part(random_state) for part in BASELINES.values()]
        return {part.name: part.fit(X, y) for part in made if part.suits(X)}
    return {name: _named(name)(random_state).fit(X, y) for name in names}


def score_baselines(
    baselines: Mapping[str, Baseline], X: ArrayLike, y: ArrayLike, **parameters: Any
) -> dict[str, Result]:
    """Return the accuracy of each baseline on episodes of other classes.

    Parameters
    ----------
    baselines : mapping of str to Baseline
        Fitted.
    X : array-like of number, shape (n, …)
        Items of classes that no baseline has seen.
    y : array-like, shape (n,)
    **parameters
        As `episode_accuracy` takes: ``way``, ``shot``, ``n_episodes``, ``random_state`` and others.
        With an integer for ``random_state`` all are asked the same episodes, and so is a model that
        is given the same.

    Returns
    -------
    dict of str to Result

    Raises
    ------
    LeakageError
        If a baseline has seen one of the classes.
    InvalidDataError, InvalidParameterError
        As `episode_accuracy`.
    """
    return {
        name: episode_accuracy(
            part.transform(X),
            y,
            scorer=part.compare,
            estimator=part,
            **{"name": name, **parameters},
        )
        for name, part in baselines.items()
    }


def score_baselines_on_episodes(
    baselines: Mapping[str, Baseline], X: ArrayLike, episodes: Episodes
) -> dict[str, np.ndarray]:
    """Return the accuracy of each baseline on each of some episodes, float64, shape (episodes,)."""
    return {
        name: score_episodes(part.transform(X), episodes, part.compare)
        for name, part in baselines.items()
    }


def _named(name: object) -> type[Baseline]:
    if isinstance(name, str) and name in BASELINES:
        return BASELINES[name]
    near = near_matches(name, BASELINES) if isinstance(name, str) else ""
    raise InvalidParameterError(
        f"names must hold names of baselines ({', '.join(map(repr, BASELINES))}); "
        f"got {shown(name)}.{near}"
    )
