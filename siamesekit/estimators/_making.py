"""What an estimator notes of its own fit, for its card."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from siamesekit.environment import environment
from siamesekit.errors import SavedModelError
from siamesekit.evaluation import Episodes, mean_interval, roc_auc
from siamesekit.evaluation.error_rates import Clusters

__all__ = ["figure_of_episodes", "figure_of_pairs", "made_of", "read_made"]

_COUNTS = ("n_items", "n_pairs", "n_classes", "n_groups")
_MOST_TEXT = 1000
# Of fewer, resampling them shows too little of how much they differ.
_FEWEST_PEOPLE = 10


def made_of(
    device: torch.device,
    seconds: float,
    *,
    n_items: int,
    n_pairs: int | None = None,
    n_classes: int | None = None,
    n_groups: int | None = None,
    validation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is noted of a fit, as json can hold it.

    Parameters
    ----------
    device : torch.device
    seconds : float
        That all of it took.
    n_items, n_pairs, n_classes, n_groups : int or None
        What was given; None of what there was none of.
    validation : mapping or None
        As `figure_of_episodes` and `figure_of_pairs` return it.
    """
    return {
        "n_items": n_items,
        "n_pairs": n_pairs,
        "n_classes": n_classes,
        "n_groups": n_groups,
        "seconds": seconds,
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "environment": environment() | {"device": str(device)},
        "validation": None if validation is None else dict(validation),
    }


def figure_of_episodes(shares: np.ndarray, episodes: Episodes) -> dict[str, Any]:
    """Return the accuracy on the episodes that chose the epoch, with its interval.

    Parameters
    ----------
    shares : ndarray of float64, shape (episodes,)
        Accuracy of each.
    episodes : Episodes
    """
    n, way, shot = episodes.support.shape
    trials = episodes.query.shape[1] * episodes.query.shape[2]
    return {
        "measure": "one-shot accuracy on held-out classes" if shot == 1 else "few-shot accuracy",
        "value": float(shares.mean()),
        "interval": list(mean_interval(shares, trials)),
        "protocol": f"{n} {way}-way {shot}-shot episodes of {trials} trials each; 95 % interval: "
        "Student's t over episodes, widened near 0 and 1 to Wilson's",
    }


def figure_of_pairs(scores: np.ndarray, same: np.ndarray, clusters: Clusters) -> dict[str, Any]:
    """Return the area under the ROC curve of the pairs that chose the epoch, with its interval.

    Parameters
    ----------
    scores : ndarray of float, shape (p,)
    same : ndarray of bool, shape (p,)
    clusters : Clusters
        Which of the items of the pairs may depend on each other.
    """
    n_people = len(np.unique(np.concatenate([clusters.first, clusters.second])))
    area = roc_auc(scores, same, identities=clusters)
    enough = area.interval is not None and n_people >= _FEWEST_PEOPLE
    how = "bootstrap over them" if enough else "none of so few"
    return {
        "measure": "area under the ROC curve of held-out pairs",
        "value": area.value,
        "interval": list(area.interval) if enough and area.interval else None,
        "protocol": f"{len(same)} pairs, {same.mean():.0%} of one class, of {n_people} people as "
        f"far as pairs tell them apart; 95 % interval: {how}",
    }


def read_made(found: Any) -> dict[str, Any] | None:
    """Return what `made_of` wrote; None of a model from before there was such a note.

    Raises
    ------
    SavedModelError
        If it cannot have written it.
    """
    if found is None:
        return None
    if not isinstance(found, dict) or not _is_note(found):
        raise SavedModelError("what it says of its training is none")
    return found


def _is_note(found: dict[str, Any]) -> bool:
    own, known = found.get("validation"), found.get("environment")
    return (
        all(found.get(k) is None or _is_number(found[k]) for k in _COUNTS)
        and _is_number(found.get("seconds"))
        and _is_text(found.get("when"))
        and isinstance(known, dict)
        and (own is None or _is_figure(own))
    )


def _is_figure(own: Any) -> bool:
    if not isinstance(own, dict):
        return False
    ends = own.get("interval")
    spans = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
    return (
        (ends is None or spans)
        and _is_number(own.get("value"))
        and _is_text(own.get("measure"))
        and _is_text(own.get("protocol"))
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT
