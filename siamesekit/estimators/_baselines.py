"""What was learned beside no learning, on what chose among epochs."""

import math
import sys
import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm.auto import tqdm

from siamesekit._types import IntArray
from siamesekit.evaluation import Episodes, fit_baselines
from siamesekit.evaluation.baselines.base import Baseline
from siamesekit.evaluation.baselines.table import score_baselines_on_episodes
from siamesekit.evaluation.pair_validation import PairValidation
from siamesekit.training import Items, TrainingHealthWarning
from siamesekit.training.distributed import leads
from siamesekit.training.items import blocks_of

__all__ = ["Compared", "beside_episodes", "beside_pairs"]

Floats = npt.NDArray[np.float64]

_NUMBERS = 1 << 24
"""Of items that are read when needed, at most: baselines hold some copies of all in float64."""
_BLOCK = 64
_ITEMS = 4096
"""Of the background, at most: no baseline looks at more."""
_WIDE_ENOUGH = 1.645
"""Standard errors of the difference from which on a lead is no chance (one-sided 95 %)."""
_PAIRS = 256


class Compared(NamedTuple):
    """What was trained, and each baseline, by one measure on the same trials.

    Attributes
    ----------
    own : float
    baselines : dict of str to float
    """

    own: float
    baselines: dict[str, float]


def beside_episodes(
    own: np.ndarray,
    episodes: Episodes,
    background: Tensor | Items,
    codes: IntArray,
    held_out: Tensor | Items,
    *,
    verbose: bool,
) -> Compared:
    """Return the accuracy of what was trained and of each baseline on some episodes.

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
        Write one line to stderr.

    Warns
    -----
    UserWarning
        If there are no baselines, for too much of what is read when needed would be in memory.
    TrainingHealthWarning
        If a baseline is better by more than chance between episodes.
    """
    own_score = float(own.mean())
    if _is_too_much((background, min(_ITEMS, len(codes))), (held_out, len(held_out))):
        return Compared(own_score, {})
    fitted = _fitted(background, codes)
    table = score_baselines_on_episodes(fitted, _loaded(held_out), episodes)
    found = Compared(own_score, {name: float(x.mean()) for name, x in table.items()})
    if not table:
        return found
    best = _shown(found, "one-shot accuracy on held-out classes", verbose)
    lead = table[best] - own
    error = float(lead.std(ddof=1)) / len(lead) ** 0.5 if len(lead) > 1 else np.inf
    _warn(found, best, error, f"on {len(own)} one-shot episodes of the held-out classes")
    return found


def beside_pairs(
    own: Floats,
    judged: PairValidation,
    background: Tensor | Items,
    codes: IntArray,
    held_out: Tensor | Items,
    *,
    verbose: bool,
) -> Compared:
    """Return the area under the ROC curve of what was trained and of each baseline on some pairs.

    Parameters
    ----------
    own : ndarray of float64, shape (p,)
        Score of each pair by what was trained.
    judged : PairValidation
    background, held_out : Tensor or Items, shape (n, …) and (m, …)
        Items as they were given, those trained on and those of `judged`.
    codes : ndarray of int64, shape (n,)
        Class of each item of the background, as far as it is known.
    verbose : bool
        Write one line to stderr.

    Warns
    -----
    UserWarning
        As `beside_episodes`.
    TrainingHealthWarning
        If a baseline is better by more than chance between pairs (DeLong's error of the difference
        of two areas).
    """
    used, place = np.unique([judged.first, judged.second], return_inverse=True)
    first, second = place.reshape(2, -1)
    mine = _worth(own, judged.same)
    own_area = float(mine[0].mean())
    if _is_too_much((background, min(_ITEMS, len(codes))), (held_out, len(used))):
        return Compared(own_area, {})
    items = _loaded(held_out[torch.from_numpy(used).to(held_out.device)])
    scores = {
        name: _of_pairs(part, part.transform(items), first, second)
        for name, part in _fitted(background, codes).items()
    }
    worth = {name: _worth(given, judged.same) for name, given in scores.items()}
    areas = {name: float(same.mean()) for name, (same, _) in worth.items()}
    found = Compared(own_area, areas)
    if not worth:
        return found
    best = _shown(found, "area under the ROC curve of held-out pairs", verbose)
    parts = [theirs - ours for theirs, ours in zip(worth[best], mine, strict=True)]
    error = sum(part.var(ddof=1) / len(part) if len(part) > 1 else np.inf for part in parts) ** 0.5
    _warn(
        found, best, float(error), f"on {len(own)} held-out pairs, by the area under the ROC curve,"
    )
    return found


def _is_too_much(*some: tuple[Tensor | Items, int]) -> bool:
    """Return whether so many of some items, those not in memory, are too much to be held there.

    There is a reason why they are not. It is said, or an empty table would look like a fault.
    """
    numbers = sum(n * math.prod(items.shape[1:]) for items, n in some if isinstance(items, Items))
    if numbers <= _NUMBERS:
        return False
    warnings.warn(
        f"baselines_ stays empty: to compare with no learning, {numbers:,} numbers of items that "
        f"are read when needed would have to be in memory, and no more than {_NUMBERS:,} are held. "
        "Smaller pictures (reader=ImageReader(size=...)) or fewer items to validate on would do.",
        UserWarning,
        stacklevel=6,
    )
    return True


def _fitted(background: Tensor | Items, codes: IntArray) -> dict[str, Baseline]:
    some = np.random.default_rng(0).permutation(len(codes))[:_ITEMS]
    if len(np.unique(codes[some])) in (1, len(some)):
        return {}  # there is no spread within classes to learn from, or none between
    own = background[torch.from_numpy(some).to(background.device)]
    return fit_baselines(_loaded(own), codes[some])


def _of_pairs(part: Baseline, vectors: Tensor, first: IntArray, second: IntArray) -> Floats:
    scores = [
        part.compare(vectors[first[k : k + _PAIRS]], vectors[second[k : k + _PAIRS]]).diagonal()
        for k in range(0, len(first), _PAIRS)
    ]
    found: Floats = torch.cat(scores).double().cpu().numpy()
    return found


def _worth(scores: Floats, same: np.ndarray) -> tuple[Floats, Floats]:
    """Return the share of the other kind that each pair stands on the right side of.

    Their means are the area, their spread its error (E. DeLong and others, "Comparing the areas
    under two or more correlated receiver operating characteristic curves", Biometrics 44, 1988).
    """
    alike, others = np.sort(scores[same]), np.sort(scores[~same])

    def below(sorted_scores: Floats, values: Floats) -> Floats:
        places = [np.searchsorted(sorted_scores, values, side) for side in ("left", "right")]
        return (places[0] + places[1]) / (2 * len(sorted_scores))

    return below(others, scores[same]), 1 - below(alike, scores[~same])


def _shown(found: Compared, what: str, verbose: bool) -> str:
    """Return the name of the best baseline; show all, if asked to."""
    names = sorted(found.baselines, key=lambda name: -found.baselines[name])
    if verbose and leads():
        others = ", ".join(f"{name} {found.baselines[name]:.3f}" for name in names)
        # Beside the bars: what is on stdout is an answer.
        tqdm.write(f"{what}: {found.own:.3f}; without learning: {others}", file=sys.stderr)
    return names[0]


def _warn(found: Compared, best: str, error: float, where: str) -> None:
    if found.baselines[best] - found.own > _WIDE_ENOUGH * error:
        warnings.warn(
            f"Learning loses to no learning: {where} the baseline {best!r} gets "
            f"{found.baselines[best]:.1%}, what was trained {found.own:.1%}. See baselines_, and "
            "siamesekit.evaluation.baselines.",
            TrainingHealthWarning,
            stacklevel=6,
        )


def _loaded(items: Tensor | Items) -> Tensor:
    """Return items as a tensor, whether they are in memory or not."""
    return items if isinstance(items, Tensor) else torch.cat(list(blocks_of(items, _BLOCK)))
