"""What was learned beside no learning, on the classes that chose among epochs."""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from siamesekit._types import IntArray
from siamesekit.evaluation import Episodes, fit_baselines
from siamesekit.evaluation.baselines.table import score_baselines_on_episodes
from siamesekit.training import Items, TrainingHealthWarning
from siamesekit.training.items import blocks_of

__all__ = ["compare_with_baselines"]

_NUMBERS = 1 << 24
"""Of items that are read when needed, at most: baselines hold some copies of all in float64."""
_BLOCK = 64
_ITEMS = 4096
"""Of the background, at most: no baseline looks at more."""
_WIDE_ENOUGH = 1.645
"""Standard errors of the difference from which on a lead is no chance (one-sided 95 %)."""


def compare_with_baselines(
    own: np.ndarray,
    episodes: Episodes,
    background: Tensor | Items,
    codes: IntArray,
    held_out: Tensor | Items,
    *,
    verbose: bool,
) -> dict[str, float]:
    """Return the accuracy of each baseline on the of some episodes, by name.

    Parameters
    ----------
    own : ndarray of float64, shape (episodes,)
        Accuracy of what was trained on each episode.
    episodes : Episodes
    background, held_out : Tensor or Items, shape (n, …) and (m, …)
        Items as they were given, of the classes trained on, and those of the
        episodes.
    codes : ndarray of int64, shape (n,)
        Class of each item of the background.
    verbose : bool
        Print one line.

    Warns
    -----
    TrainingHealthWarning
        If a baseline is better by more than chance between episodes.
    """
    some = np.random.default_rng(0).permutation(len(codes))[:_ITEMS]
    if len(np.unique(codes[some])) == len(some):
        return {}  # there is no spread within classes to learn from
    background = background[torch.from_numpy(some).to(background.device)]
    if isinstance(held_out, Items) and _numbers(background) + _numbers(held_out) > _NUMBERS:
        return {}  # they are not in memory, and there is a reason for it
    fitted = fit_baselines(_loaded(background), codes[some])
    table = score_baselines_on_episodes(fitted, _loaded(held_out), episodes)
    means = {name: float(scores.mean()) for name, scores in table.items()}
    best = max(means, key=lambda name: means[name])
    if verbose:
        others = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        print(f"one-shot accuracy on held-out classes: {own.mean():.3f}; baselines: {others}")
    lead = table[best] - own
    error = float(lead.std(ddof=1)) / len(lead) ** 0.5 if len(lead) > 1 else np.inf
    if float(lead.mean()) > _WIDE_ENOUGH * error:
        warnings.warn(
            f"Learning loses to no learning: on {len(own)} one-shot episodes of the held-out "
            f"classes the baseline {best!r} gets {means[best]:.1%}, what was trained "
            f"{own.mean():.1%}. See baselines_, and siamesekit.evaluation.baselines.",
            TrainingHealthWarning,
            stacklevel=5,
        )
    return means


def _numbers(items: Tensor | Items) -> int:
    return math.prod(items.shape)


def _loaded(items: Tensor | Items) -> Tensor:
    """Return items as a tensor, whether they are in memory or not."""
    return items if isinstance(items, Tensor) else torch.cat(list(blocks_of(items, _BLOCK)))
