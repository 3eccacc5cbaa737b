"""The score that training is watched by: accuracy on one-shot episodes of held-out items."""

from collections.abc import Callable

from torch import Tensor

from siamesekit._random import RandomState, seed_from
from siamesekit._types import ArrayLike
from siamesekit.evaluation.episodes import episode_accuracy
from siamesekit.training import TrainingLine, embed_items

__all__ = ["one_shot_validation"]


def one_shot_validation(
    items: Tensor,
    labels: ArrayLike,
    *,
    way: int = 20,
    n_episodes: int = 200,
    groups: ArrayLike | None = None,
    drawers: ArrayLike | None = None,
    random_state: RandomState = None,
) -> Callable[[TrainingLine], float]:
    """Return a function from a training line to its accuracy on one-shot episodes.

    For ``SiameseClassifier(validation=…)`` and ``train(validate=…)``. The episodes are the same
    at every call, so that epochs, and runs with the same `random_state`, can be compared.

    Parameters
    ----------
    items : Tensor of uint8, bool or float, shape (n, c, h, w) or (n, f)
        Of classes that training does not see.
    labels : array-like, shape (n,)
    way : int
        Classes, and so trials, in an episode.
    n_episodes : int
    groups : array-like, shape (n,), optional
        All classes of an episode are then of one group.
    drawers : array-like, shape (n,), optional
        Supports are then of one drawer and queries of another.
    random_state : int, Generator or None

    Returns
    -------
    callable
        Raises what `episode_accuracy` raises, `InvalidDataError` where embeddings are not finite
        among them.
    """
    seed = seed_from(random_state)

    def one_shot_accuracy(line: TrainingLine) -> float:
        device = next((parameter.device for parameter in line.parameters()), items.device)
        return episode_accuracy(
            embed_items(line.backbone, items, device, line.precision),
            labels,
            scorer=line.head,
            way=way,
            n_episodes=n_episodes,
            groups=groups,
            within=groups is not None,
            drawers=drawers,
            random_state=seed,
        ).value

    return one_shot_accuracy
