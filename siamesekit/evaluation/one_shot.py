"""The score that training is watched by: accuracy on one-shot episodes of held-out items."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from siamesekit._random import RandomState, seed_from
from siamesekit._types import ArrayLike, ItemsLike
from siamesekit.data import as_items
from siamesekit.evaluation._inputs import as_labels
from siamesekit.evaluation.episodes import Episodes, draw_episodes, score_episodes
from siamesekit.training import Items, TrainingLine, embed_items
from siamesekit.training.opening import is_stream, open_stream

__all__ = ["OneShotValidation", "one_shot_validation"]


class OneShotValidation:
    """From a training line to its accuracy on one-shot episodes, the same at every call.

    Made by `one_shot_validation`. It can be pickled and copied.

    Attributes
    ----------
    items : Tensor of uint8, bool or float32, or Items, shape (n, c, h, w) or (n, f)
    labels : ndarray, shape (n,)
        Their classes, which choose among epochs; an estimator notes them as such.
    episodes : Episodes
    """

    # The same items in every process, so that each may embed a share of them.
    jointly = True

    def __init__(self, items: Tensor | Items, labels: np.ndarray, episodes: Episodes) -> None:
        self.items = items
        self.labels = labels
        self.episodes = episodes

    def __call__(self, line: TrainingLine) -> float:
        """Return the accuracy of a line in ``eval()`` mode, in [0, 1].

        Raises
        ------
        InvalidDataError
            If an embedding or a score is not finite.
        """
        device = next((parameter.device for parameter in line.parameters()), self.items.device)
        vectors = embed_items(line.backbone, self.items, device, line.precision)
        return float(score_episodes(vectors, self.episodes, line.head).mean())

    def __repr__(self) -> str:
        n, way, _ = self.episodes.support.shape
        return f"{type(self).__name__}({n} {way}-way episodes of {len(self.items)} items)"


def one_shot_validation(
    items: ItemsLike | Items,
    labels: ArrayLike,
    *,
    way: int = 20,
    n_episodes: int = 200,
    groups: ArrayLike | None = None,
    drawers: ArrayLike | None = None,
    reader: str | type[Any] | Callable[[str], Any] | None = "image",
    n_workers: int | None = None,
    random_state: RandomState = None,
) -> OneShotValidation:
    """Return a function from a training line to its accuracy on one-shot episodes.

    For ``SiameseClassifier(validation=…)`` and ``train(validate=…)``. The episodes are the same
    at every call, so that epochs, and runs with the same `random_state`, can be compared.

    Parameters
    ----------
    items : array-like or Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
        Of classes that training does not see. Or paths, a map-style data set, or `Items`, which
        are read anew at every call.
    labels : array-like, shape (n,)
    way : int
        Classes, and so trials, in an episode.
    n_episodes : int
    groups : array-like, shape (n,), optional
        All classes of an episode are then of one group.
    drawers : array-like, shape (n,), optional
        Supports are then of one drawer and queries of another.
    reader, n_workers
        Of paths and data sets: as `SiameseClassifier` takes them.
    random_state : int, Generator or None

    Returns
    -------
    OneShotValidation
        Called with the line.

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As `draw_episodes` and `siamesekit.data.as_items` do.
    """
    own: Tensor | Items
    if isinstance(items, Items):
        own = items
    elif is_stream(items):
        own = open_stream(items, reader, n_workers, "items")
    else:
        own = as_items(items, "items")  # type: ignore[arg-type]
    names = as_labels(labels, len(own), "labels", "entry an item")
    episodes = draw_episodes(
        names,
        way=way,
        n_episodes=n_episodes,
        groups=groups,
        within=groups is not None,
        drawers=drawers,
        random_state=seed_from(random_state),
    )
    return OneShotValidation(own, names, episodes)
