"""Accuracy on N-way K-shot episodes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_flag, check_integer
from siamesekit._random import RandomState, seed_from
from siamesekit._types import AGGREGATES, Aggregate, ArrayLike, IntArray
from siamesekit.errors import InvalidDataError
from siamesekit.evaluation._inputs import as_array
from siamesekit.evaluation.result import Result, mean_interval
from siamesekit.evaluation.ties import share_of_ties
from siamesekit.heads.aggregate import prepared, prototypes, support_scores

__all__ = ["Episodes", "Scorer", "draw_episodes", "episode_accuracy", "score_episodes"]

Scorer = Callable[[Tensor, Tensor], Tensor]
"""From ``(m, d)`` and ``(n, d)`` to scores ``(m, n)``, higher = more alike: a head is one."""

_TABLE_ITEMS = 8192
_ATTEMPTS = 100


@dataclass(frozen=True)
class Episodes:
    """Positions of the items of many episodes.

    Attributes
    ----------
    support : ndarray of int64, shape (episodes, way, shot)
    query : ndarray of int64, shape (episodes, way, queries)
        Row ``k`` of an episode is one class, in both. An item is never both support and query.
    left_out : tuple
        Groups with too few classes for an episode.
    """

    support: IntArray
    query: IntArray
    left_out: tuple[object, ...] = ()


def episode_accuracy(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    scorer: Scorer,
    way: int = 20,
    shot: int = 1,
    queries: int = 1,
    n_episodes: int = 400,
    groups: ArrayLike | None = None,
    within: bool = False,
    drawers: ArrayLike | None = None,
    aggregate: Aggregate = "mean",
    random_state: RandomState = None,
    name: str | None = None,
) -> Result:
    """Return the accuracy of one-shot (few-shot) recognition on random episodes.

    Every item is embedded once, by the caller; an episode is a look-up of scores.

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
    labels : array-like, shape (n,)
    scorer : callable
        A head, or anything from ``(m, d)`` and ``(n, d)`` to ``(m, n)``, higher = more alike.
    way : int
        Classes in an episode.
    shot : int
        Supports a class.
    queries : int
        Queries a class.
    n_episodes : int
    groups : array-like, shape (n,), optional
        Group of each item (the alphabet of a character).
    within : bool
        Take all classes of an episode from one group, the groups in turn. Groups of fewer than
        `way` classes are left out, and the protocol names them.
    drawers : array-like, shape (n,), optional
        Who drew each item. An episode then has its supports from one drawer each shot, and all
        its queries from others, as Lake's task has.
    aggregate : {"prototype", "mean", "max"}
        How the supports of a class make one score: see `siamesekit.gallery.Gallery`.
    random_state : int, Generator or None
    name : str, optional

    Returns
    -------
    Result
        Its interval is Student's over the accuracies of the episodes.

    Raises
    ------
    InvalidParameterError
        If a number or `aggregate` is not allowed.
    InvalidDataError
        If `within` is asked for without `groups`, lengths differ, an embedding is not finite, or
        no episode can be made.
    """
    start = time.perf_counter()
    check_choice("aggregate", aggregate, AGGREGATES)
    vectors = torch.as_tensor(embeddings).detach()
    if vectors.ndim != 2 or not bool(torch.isfinite(vectors).all()):
        raise InvalidDataError(
            "embeddings must be finite, of shape (n, d); "
            f"got shape {tuple(vectors.shape)}{' with NaN or infinity' * (vectors.ndim == 2)}."
        )
    seed = seed_from(random_state)
    episodes = draw_episodes(
        labels,
        way=way,
        shot=shot,
        queries=queries,
        n_episodes=n_episodes,
        groups=groups,
        within=within,
        drawers=drawers,
        random_state=seed,
    )
    n_labels = len(as_array(labels))
    if len(vectors) != n_labels:
        raise InvalidDataError(
            f"labels must hold one entry an embedding ({len(vectors)}); got {n_labels}."
        )
    accuracies = score_episodes(vectors, episodes, scorer, aggregate)
    where = "within one group" if within else "across all classes"
    drawn = ", supports of one drawer and queries of another" if drawers is not None else ""
    each = f"{queries} queries a class" + (f", {aggregate} of supports" if shot > 1 else "")
    skipped = f"; left out: {', '.join(map(str, episodes.left_out))}" if episodes.left_out else ""
    return Result(
        name=name or f"{way}-way {shot}-shot {where}",
        value=float(accuracies.mean()),
        interval=mean_interval(accuracies),
        n_episodes=n_episodes,
        n_trials=n_episodes * way * queries,
        chance=1 / way,
        protocol=(
            f"{way}-way {shot}-shot episodes {where}{drawn}, {each}{skipped}; "
            "95 % interval: Student's t over episodes"
        ),
        seed=seed,
        seconds=time.perf_counter() - start,
    )


def draw_episodes(
    labels: ArrayLike,
    *,
    way: int = 20,
    shot: int = 1,
    queries: int = 1,
    n_episodes: int = 400,
    groups: ArrayLike | None = None,
    within: bool = False,
    drawers: ArrayLike | None = None,
    random_state: RandomState = None,
) -> Episodes:
    """Draw episodes; see `episode_accuracy` for the parameters and errors."""
    check_integer("way", way, low=2)
    check_integer("shot", shot, low=1)
    check_integer("queries", queries, low=1)
    check_integer("n_episodes", n_episodes, low=1)
    check_flag("within", within)
    if within and groups is None:
        raise InvalidDataError("within=True needs groups; got None.")
    codes = np.unique(as_array(labels), return_inverse=True)[1]
    group_names, group_codes = _codes_or_zeros(groups, "groups", len(codes))
    _, drawer_codes = _codes_or_zeros(drawers, "drawers", len(codes))
    pools = _pools(codes, group_codes if within else np.zeros_like(codes), shot + queries)
    draw: _Draw = _DrawFreely() if drawers is None else _DrawByDrawer(drawer_codes)
    fit = [group for group, pool in sorted(pools.items()) if len(pool) >= way]
    if not fit:
        most = max((len(pool) for pool in pools.values()), default=0)
        raise InvalidDataError(
            f"way={way} is larger than the classes at hand: no {'group' if within else 'data set'} "
            f"has so many with shot + queries = {shot + queries} items (at most {most})."
        )
    rng = np.random.default_rng(seed_from(random_state))
    turns = [pools[fit[k % len(fit)]] for k in range(n_episodes)]
    items = np.stack([draw(pool, way, shot + queries, rng) for pool in turns])
    left_out = tuple(name for g, name in enumerate(group_names) if within and g not in fit)
    return Episodes(items[:, :, :shot], items[:, :, shot:], left_out)


@torch.inference_mode()
def score_episodes(
    vectors: Tensor, episodes: Episodes, scorer: Scorer, aggregate: Aggregate = "mean"
) -> np.ndarray:
    """Return the accuracy of each episode, float64, shape (episodes,).

    Parameters
    ----------
    vectors : Tensor of float, shape (n, d)
    episodes : Episodes
    scorer : callable
    aggregate : {"prototype", "mean", "max"}

    Raises
    ------
    InvalidParameterError
        If `aggregate` is none of these.
    """
    check_choice("aggregate", aggregate, AGGREGATES)
    support, query = torch.from_numpy(episodes.support), torch.from_numpy(episodes.query)
    n, way, shot = support.shape
    query = query.flatten(1)
    if aggregate == "prototype" and shot > 1:
        class_scores = _scores_of_prototypes(vectors, support, query, scorer)
    else:
        scores = _scores_of_supports(vectors, support.flatten(1), query, scorer)
        scores = scores.view(n, query.shape[1], way, shot)
        class_scores = support_scores(scores, aggregate)
    answers = torch.arange(way).repeat_interleave(query.shape[1] // way).expand(n, -1)
    accuracies: np.ndarray = share_of_ties(class_scores, answers).mean(1).numpy()
    return accuracies


def _scores_of_supports(vectors: Tensor, support: Tensor, query: Tensor, scorer: Scorer) -> Tensor:
    """Return the score of each query against each support, (episodes, queries, supports)."""
    used, position = torch.unique(torch.cat([support, query], 1), return_inverse=True)
    support, query = position.split([support.shape[1], query.shape[1]], 1)
    own = vectors[used.to(vectors.device)]
    if len(used) <= _TABLE_ITEMS:
        # Each pair is scored once, however many episodes it occurs in.
        table = scorer(own, own).cpu()
        return table[query[:, :, None], support[:, None, :]]
    return torch.stack([scorer(own[q], own[s]).cpu() for q, s in zip(query, support, strict=True)])


def _scores_of_prototypes(
    vectors: Tensor, support: Tensor, query: Tensor, scorer: Scorer
) -> Tensor:
    """Return the score of each query against the mean support of each class."""
    supports = prepared(scorer, vectors)
    codes = torch.arange(support.shape[1], device=vectors.device).repeat_interleave(
        support.shape[2]
    )
    return torch.stack(
        [
            scorer(vectors[q].to(supports), prototypes(supports[s.flatten()], codes, len(s))).cpu()
            for q, s in zip(query.to(vectors.device), support.to(vectors.device), strict=True)
        ]
    )


_Pool = list[IntArray]
"""Items of each class of a group."""


class _Draw(Protocol):
    def __call__(self, pool: _Pool, way: int, each: int, rng: np.random.Generator) -> IntArray: ...


class _DrawFreely:
    """Any items of a class."""

    def __call__(self, pool: _Pool, way: int, each: int, rng: np.random.Generator) -> IntArray:
        classes = rng.choice(len(pool), way, replace=False)
        return np.stack([rng.choice(pool[c], each, replace=False) for c in classes])


class _DrawByDrawer:
    """The k-th item of every class is by the k-th of a few drawers."""

    def __init__(self, drawers: IntArray) -> None:
        self.drawers = drawers

    def __call__(self, pool: _Pool, way: int, each: int, rng: np.random.Generator) -> IntArray:
        names = np.unique(self.drawers[np.concatenate(pool)])
        for _ in range(_ATTEMPTS):
            chosen = rng.permutation(names)[:each]
            drew = [[items[self.drawers[items] == d] for d in chosen] for items in pool]
            shared = [own for own in drew if len(own) == each and all(len(one) for one in own)]
            if len(shared) >= way:
                picked = rng.choice(len(shared), way, replace=False)
                return np.array([[rng.choice(one) for one in shared[c]] for c in picked])
        raise InvalidDataError(
            f"drawers must leave way={way} classes that shot + queries = {each} of them drew; "
            f"found none among {len(names)} drawers."
        )


def _pools(codes: IntArray, groups: IntArray, least: int) -> dict[int, _Pool]:
    """Return, for each group, the items of each of its classes that has `least` of them."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    pools: dict[int, _Pool] = {}
    for items in np.split(order, starts[1:]):
        if len(items) >= least:
            pools.setdefault(int(groups[items[0]]), []).append(items)
    return pools


def _codes_or_zeros(values: ArrayLike | None, name: str, n: int) -> tuple[list[object], IntArray]:
    if values is None:
        return [], np.zeros(n, dtype=np.int64)
    array = as_array(values)
    if len(array) != n:
        raise InvalidDataError(f"{name} must hold one entry an item ({n}); got {len(array)}.")
    names, codes = np.unique(array, return_inverse=True)
    return names.tolist(), codes.astype(np.int64)
