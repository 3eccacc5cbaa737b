"""Accuracy on N-way K-shot episodes."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_flag, check_integer, shown
from siamesekit._random import RandomState, seed_from
from siamesekit._types import AGGREGATES, Aggregate, ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._facts import facts_of
from siamesekit.evaluation._inputs import (
    Scorer,
    as_labels,
    as_vectors,
    check_scorer,
    label_codes,
    one_group_each,
    scores_of,
)
from siamesekit.evaluation.result import Result, mean_interval
from siamesekit.evaluation.ties import share_of_ties
from siamesekit.heads.aggregate import prepared, prototypes, support_scores
from siamesekit.training.progress import counted

__all__ = ["Episodes", "Scorer", "draw_episodes", "episode_accuracy", "score_episodes"]

_TABLE_ITEMS = 8192
_ATTEMPTS = 100
_SCORES = 2**24
"""Scores of queries against supports that are held at once: 64 MB."""


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
    scorer: Scorer | None = None,
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
    estimator: Any = None,
) -> Result:
    """Return the accuracy of one-shot (few-shot) recognition on random episodes.

    Every item is embedded once, by the caller; an episode is a look-up of scores.

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
        Computed in float32.
    labels : array-like, shape (n,)
        Numbers, strings or other hashable objects, compared exactly.
    scorer : callable, optional
        A head, or anything from ``(m, d)`` and ``(n, d)`` to finite floats ``(m, n)``, higher =
        more alike. Default: the head of `estimator`.
    way : int
        Classes in an episode.
    shot : int
        Supports a class.
    queries : int
        Queries a class.
    n_episodes : int
    groups : array-like, shape (n,), optional
        Group of each item (the alphabet of a character). With `within` a class lies in one group.
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
    estimator : fitted estimator, optional
        That embedded the items. A class of `labels` that it was trained on, or that chose its
        epoch, is refused.

    Returns
    -------
    Result
        Its interval is that of `mean_interval` over the accuracies of the episodes.

    Raises
    ------
    InvalidParameterError
        If a number, `aggregate` or `scorer` is not allowed.
    InvalidDataError
        If `within` is asked for without `groups`, lengths differ, an embedding or a score is not
        finite, a label is NaN, or no episode can be made.
    LeakageError
        If `estimator` has seen one of the classes.
    """
    start = time.perf_counter()
    check_choice("aggregate", aggregate, AGGREGATES)
    if name is not None and not isinstance(name, str):
        raise InvalidParameterError(f"name must be text or None; got {shown(name)}.")
    vectors = as_vectors(embeddings, "embeddings")
    names = as_labels(labels, len(vectors), "labels", "entry an embedding")
    facts = facts_of(estimator, names)
    compare = check_scorer(getattr(estimator, "head_", None) if scorer is None else scorer)
    seed = seed_from(random_state)
    episodes = draw_episodes(
        names,
        way=way,
        shot=shot,
        queries=queries,
        n_episodes=n_episodes,
        groups=groups,
        within=within,
        drawers=drawers,
        random_state=seed,
    )
    accuracies = score_episodes(vectors, episodes, compare, aggregate)
    where = "within one group" if within else "across all classes"
    return Result(
        name=name or f"{way}-way {shot}-shot {where}",
        value=float(accuracies.mean()),
        interval=mean_interval(accuracies, way * queries),
        n_episodes=n_episodes,
        n_trials=n_episodes * way * queries,
        chance=1 / way,
        seed=seed,
        seconds=time.perf_counter() - start,
        task="episodes",
        parameters={
            "way": way,
            "shot": shot,
            "queries": queries,
            "within": within,
            "drawers": drawers is not None,
            "aggregate": aggregate,
            "left_out": episodes.left_out,
        },
        tested_classes=facts.tested,
        trained_classes=facts.trained,
        chosen_classes=facts.chosen,
        model=facts.model,
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
    classes = as_labels(labels, None, "labels", "entry an item")
    codes = label_codes(classes)[0]
    group_names, group_codes = _codes_or_zeros(groups, "groups", len(codes))
    _, drawer_codes = _codes_or_zeros(drawers, "drawers", len(codes))
    if within:
        one_group_each(codes, group_codes, classes, group_names)
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
    named = dict(zip(group_codes.tolist(), group_names.tolist(), strict=True)) if within else {}
    left_out = tuple(named[g] for g in sorted(named) if g not in fit)
    return Episodes(items[:, :, :shot], items[:, :, shot:], left_out)


@torch.inference_mode()
def score_episodes(
    vectors: ArrayLike, episodes: Episodes, scorer: Scorer, aggregate: Aggregate = "mean"
) -> np.ndarray:
    """Return the accuracy of each episode, float64, shape (episodes,).

    Parameters
    ----------
    vectors : array-like or Tensor of float, shape (n, d)
        Computed in float32.
    episodes : Episodes
    scorer : callable
    aggregate : {"prototype", "mean", "max"}

    Raises
    ------
    InvalidParameterError
        If `aggregate` is none of these, or `scorer` cannot be called or returns another shape.
    InvalidDataError
        If an embedding or a score is not finite, or an episode has items that are not there.
    """
    check_choice("aggregate", aggregate, AGGREGATES)
    check_scorer(scorer)
    items = as_vectors(vectors, "embeddings")
    if not isinstance(episodes, Episodes):
        raise InvalidDataError(f"episodes must be Episodes; got {type(episodes).__name__}.")
    support, query = torch.from_numpy(episodes.support), torch.from_numpy(episodes.query)
    _, way, shot = support.shape
    last = max(int(support.max()), int(query.max()))
    if last >= len(items):
        raise InvalidDataError(
            f"episodes must be of items 0 to {len(items) - 1}, as there are embeddings; got {last}."
        )
    score = _Prototypes(items, scorer) if aggregate == "prototype" and shot > 1 else None
    pairs = score or _Supports(items, support, query, scorer, aggregate)
    rows = max(1, _SCORES // (query[0].numel() * way * shot))
    answers = torch.arange(way).repeat_interleave(query.shape[2])
    blocks = zip(torch.split(support, rows), torch.split(query.flatten(1), rows), strict=True)
    worth = [
        share_of_ties(pairs(s, q), answers.expand(len(s), -1)).mean(1)
        for s, q in counted(blocks, len(support), "scoring", " episodes", lambda pair: len(pair[0]))
    ]
    accuracies: np.ndarray = torch.cat(worth).numpy()
    return accuracies


class _Supports:
    """The scores of queries against each support, and what they make of a class."""

    def __init__(
        self,
        items: Tensor,
        support: Tensor,
        query: Tensor,
        scorer: Scorer,
        aggregate: Aggregate,
    ) -> None:
        self.items, self.scorer, self.aggregate = items, scorer, aggregate
        used = torch.unique(torch.cat([support.flatten(), query.flatten()]))
        self.table: Tensor | None = None
        if len(used) <= _TABLE_ITEMS:
            # Each pair is scored once, however many episodes it occurs in.
            self.place = torch.empty(len(items), dtype=torch.int64)
            self.place[used] = torch.arange(len(used))
            own = items[used.to(items.device)]
            self.table = scores_of(scorer, own, own).cpu()

    def __call__(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the score of each query for each class, (episodes, queries, way)."""
        scores = self._scores(support.flatten(1), query)
        scores = scores.view(*query.shape, *support.shape[1:])
        return support_scores(scores, self.aggregate)

    def _scores(self, support: Tensor, query: Tensor) -> Tensor:
        if self.table is not None:
            return self.table[self.place[query][:, :, None], self.place[support][:, None, :]]
        device = self.items.device
        each = zip(query.to(device), support.to(device), strict=True)
        return torch.stack(
            [scores_of(self.scorer, self.items[q], self.items[s]).cpu() for q, s in each]
        )


class _Prototypes:
    """The scores of queries against the mean support of each class."""

    def __init__(self, items: Tensor, scorer: Scorer) -> None:
        self.scorer, self.supports = scorer, prepared(scorer, items)
        self.queries = items.to(self.supports)

    def __call__(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the score of each query for each class, (episodes, queries, way)."""
        device = self.queries.device
        _, way, shot = support.shape
        codes = torch.arange(way, device=device).repeat_interleave(shot)
        each = zip(query.to(device), support.flatten(1).to(device), strict=True)
        return torch.stack([self._scores(q, s, codes, way) for q, s in each])

    def _scores(self, query: Tensor, support: Tensor, codes: Tensor, way: int) -> Tensor:
        means = prototypes(self.supports[support], codes, way)
        return scores_of(self.scorer, self.queries[query], means).cpu()


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


def _codes_or_zeros(values: ArrayLike | None, name: str, n: int) -> tuple[np.ndarray, IntArray]:
    """Return the name of each item's group, and its code; zeros where there are none."""
    if values is None:
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    names = as_labels(values, n, name, "entry an item")
    return names, label_codes(names)[0]
