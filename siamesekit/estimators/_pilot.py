"""How much of what a network learns helps on classes that it was not trained on: a pilot run."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from siamesekit.evaluation import draw_episodes, score_episodes
from siamesekit.training import Items, TrainingLine, embed_items

__all__ = ["Shared", "best_share", "classes_for_a_pilot"]

_HELD_OUT = 1 / 3
_LEAST = 2
_WAY = 20
_EPISODES = 400
_FEW = 5
_CAUTIOUS = 0.25


@runtime_checkable
class Shared(Protocol):
    """A backbone that adds a share of what it learned to what it started from."""

    shares: Sequence[float]
    share: float

    def try_like(self, other: Any) -> None:
        """Start as `other` does, fitted anew."""


def classes_for_a_pilot(labels: Tensor, seed: int) -> Tensor | None:
    """Return which items to hold out, those of a third of the classes: bool, shape (n,).

    None where fewer than two classes of two items would be left on either side.
    """
    known, counts = np.unique(labels.numpy(), return_counts=True)
    usable = known[counts >= _LEAST]
    n_held = max(_LEAST, round(_HELD_OUT * len(usable)))
    if len(usable) - n_held < _LEAST:
        return None
    held = np.random.default_rng(seed).choice(usable, n_held, replace=False)
    return torch.from_numpy(np.isin(labels.numpy(), held))


def best_share(line: TrainingLine, items: Tensor | Items, labels: Tensor, seed: int) -> float:
    """Return the share, above 0, with which a line tells held-out classes apart best.

    Of those within a standard error of the best it is the least (Breiman's rule). Never 0: a tenth
    costs other classes next to nothing and gives the classes trained on, of which a pilot on
    others knows nothing, most of what learning does for them. Of few held-out classes a quarter at
    most: what helps to tell those few apart says little of others.

    Parameters
    ----------
    line : TrainingLine
        Trained, in ``eval()`` mode; its backbone is `Shared`, and left with the share returned.
    items : Tensor or Items, shape (n, …)
    labels : Tensor of int64, shape (n,)
        Of at least two classes of two items.
    seed : int
    """
    backbone: Any = line.backbone
    own = labels.numpy()
    way = min(_WAY, int((np.unique(own, return_counts=True)[1] >= _LEAST).sum()))
    episodes = draw_episodes(own, way=way, n_episodes=_EPISODES, random_state=seed)
    device = next(line.parameters()).device
    scores = {}
    for share in backbone.shares:
        if share == 0 or (way < _FEW and share > _CAUTIOUS):
            continue
        backbone.share = share
        vectors = embed_items(line.backbone, items, device, line.precision)
        scores[share] = score_episodes(vectors, episodes, line.head)
    backbone.share = chosen = _least_as_good_as_the_best(scores)
    return chosen


def _least_as_good_as_the_best(scores: Mapping[float, np.ndarray]) -> float:
    best = max(scores, key=lambda share: float(scores[share].mean()))
    as_good = []
    for share, own in scores.items():
        loss = scores[best] - own
        if float(loss.mean()) <= float(loss.std(ddof=1)) / len(loss) ** 0.5:
            as_good.append(share)
    return min(as_good)
