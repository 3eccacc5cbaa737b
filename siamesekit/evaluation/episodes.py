"""Accuracy on N-way K-shot episodes."""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_flag, check_integer
from siamesekit._random import RandomState, seed_from
from siamesekit._types import ArrayLike, IntArray
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation._drawing import Pool, draw_by_drawer, draw_freely, make_pools
from siamesekit.evaluation._labels import encode
from siamesekit.evaluation._scoring import Scorer, as_vectors, ready
from siamesekit.evaluation.result import Result, mean_interval
from siamesekit.evaluation.ties import share_of_ties

__all__ = ["Episodes", "draw_episodes", "episode_accuracy", "score_episodes"]

ClassScore = Literal["mean", "prototype"]


@dataclass(frozen=True, eq=False)
class Episodes:
    """Positions of the items of many episodes.

    Attributes
    ----------
    support : ndarray of int64, shape (episodes, way, shot)
    query : ndarray of int64, shape (episodes, way, queries)
        Row ``k`` of an episode is one class, in both; classes stand in random order. An item is
        never both support and query.
    left_out : tuple
        Groups in which no episode can be made.
    """

    support: IntArray
    query: IntArray
    left_out: tuple[object, ...] = ()


def episode_accuracy(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    scorer: Scorer | str,
    way: int = 20,
    shot: int = 1,
    queries: int = 1,
    n_episodes: int = 400,
    groups: ArrayLike | None = None,
    within: bool = False,
    drawers: ArrayLike | None = None,
    class_score: ClassScore = "mean",
    random_state: RandomState = None,
    name: str | None = None,
) -> Result:
    """Return the accuracy of one-shot (few-shot) recognition on random episodes.

    Every item is embedded once, by the caller; an episode is a look-up. A tie for the best class is
    worth 1/(number tied), so a constant scorer gets exactly chance.

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
        Or whole items ``(n, ...)``, for a scorer that takes these.
    labels : array-like, shape (n,)
    scorer : callable or str
        A head, or anything from ``(m, d)`` and ``(n, d)`` to ``(m, n)``, higher = more alike; or
        the name of a fixed head, such as ``"euclidean"``. Modules are used in ``eval()`` mode.
    way : int
        Classes in an episode.
    shot : int
        Supports a class.
    queries : int
        Queries a class.
    n_episodes : int
    groups : array-like, shape (n,), optional
        Group of each item (the alphabet of a character); a class lies in one group.
    within : bool
        Take all classes of an episode from one group, the groups in turn. Groups in which no
        episode can be made are left out, and the protocol names them. Otherwise classes come from
        anywhere.
    drawers : array-like, shape (n,), optional
        Who drew each item. In an episode one drawer then gives the first support of every class,
        another the second, and so on to the queries, each by a drawer of their own: with one shot
        and one query this is Lake's way.
    class_score : {"mean", "prototype"}
        With more than one shot, a class scores the mean of its supports' scores, or the score of
        its supports' mean embedding (Snell et al. 2017).
    random_state : int, Generator or None
        The result's seed repeats the episodes.
    name : str, optional
        Of the result.

    Returns
    -------
    Result
        Its interval is Student's over the accuracies of the episodes: it tells how well this
        number of episodes pins down the mean over all episodes of these items, not how far other
        alphabets would differ.

    Raises
    ------
    InvalidParameterError
        If a number is not allowed, `way` is larger than the classes at hand, or `within` is asked
        for without `groups`.
    InvalidDataError
        If lengths differ, an embedding is not finite, a class lies in two groups, or too few
        classes have items for an episode.
    """
    start = time.perf_counter()
    vectors = as_vectors("embeddings", embeddings)
    encode("labels", labels, len(vectors))
    check_choice("class_score", class_score, ("mean", "prototype"))
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
    accuracies = score_episodes(vectors, episodes, scorer, class_score)
    where = "within one group" if within else "across all classes"
    drawn = ", each support and query of a class by another drawer" if drawers is not None else ""
    skipped = f"; left out: {', '.join(map(str, episodes.left_out))}" if episodes.left_out else ""
    scored = f", {class_score} over the shots" if shot > 1 else ""
    return Result(
        name=name or f"{way}-way {shot}-shot {where}",
        value=float(accuracies.mean()),
        interval=mean_interval(accuracies),
        n_episodes=n_episodes,
        n_trials=n_episodes * way * queries,
        chance=1 / way,
        protocol=(
            f"{way}-way {shot}-shot random episodes {where}{drawn}{scored}, {queries} "
            f"{'query' if queries == 1 else 'queries'} a class{skipped}; "
            "95 % interval: Student's t over episodes"
        ),
        seed=seed,
        seconds=time.perf_counter() - start,
        per_episode=tuple(accuracies.tolist()),
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
    each = check_integer("shot", shot, low=1) + check_integer("queries", queries, low=1)
    check_integer("way", way, low=2)
    check_integer("n_episodes", n_episodes, low=1)
    if check_flag("within", within) and groups is None:
        raise InvalidParameterError("within=True needs groups; got None.")
    n = len(labels)  # type: ignore[arg-type]
    _, codes = encode("labels", labels, n)
    names, group_codes = encode("groups", np.zeros(n) if groups is None else groups, n)
    drawer_codes = None if drawers is None else encode("drawers", drawers, n)[1]
    if not n:
        raise InvalidDataError("labels must not be empty.")
    pools = make_pools(codes, group_codes)
    if not within:
        pools = [[items for pool in pools for items in pool]]

    rng = np.random.default_rng(seed_from(random_state))

    def draw(pool: Pool, count: int) -> IntArray | None:
        if drawer_codes is None:
            return draw_freely(pool, way, each, count, rng)
        return draw_by_drawer(pool, drawer_codes, way, each, count, rng)

    fit = [g for g, pool in enumerate(pools) if draw(pool, 1) is not None]
    if not fit:
        raise _no_episode(pools, way, shot, queries, drawers is not None)
    turns = rng.permutation(len(fit))[np.arange(n_episodes) % len(fit)]
    items = np.empty((n_episodes, way, each), dtype=np.int64)
    for turn, g in enumerate(fit):
        own = turns == turn
        drawn = draw(pools[g], int(own.sum()))
        if drawn is None:
            raise _no_episode(pools, way, shot, queries, drawers is not None)
        items[own] = drawn
    left_out = tuple(group for g, group in enumerate(names.tolist()) if within and g not in fit)
    return Episodes(items[:, :, :shot], items[:, :, shot:], left_out)


def _no_episode(
    pools: list[Pool], way: int, shot: int, queries: int, by_drawer: bool
) -> InvalidDataError | InvalidParameterError:
    most = max(len(pool) for pool in pools)
    if way > most:
        place = "in one group" if len(pools) > 1 else "at hand"
        return InvalidParameterError(
            f"way must be at most the number of classes {place}, {most}; got {way}."
        )
    each = shot + queries
    if by_drawer:
        return InvalidDataError(
            f"drawers must leave way={way} classes that shot + queries = {each} drawers all drew; "
            "no such classes were found."
        )
    most = max(sum(len(items) >= each for items in pool) for pool in pools)
    return InvalidDataError(
        f"labels must give way={way} classes of shot + queries = {each} items or more; "
        f"only {most} have so many."
    )


def score_episodes(
    vectors: Tensor,
    episodes: Episodes,
    scorer: Scorer | str,
    class_score: ClassScore = "mean",
) -> npt.NDArray[np.float64]:
    """Return the accuracy of each episode.

    Parameters
    ----------
    vectors : Tensor of float, shape (n, d)
        Or whole items ``(n, ...)``, for a scorer that takes these.
    episodes : Episodes
    scorer : callable or str
        As in `episode_accuracy`.
    class_score : {"mean", "prototype"}

    Returns
    -------
    ndarray of float64, shape (episodes,)
    """
    n, way, shot = episodes.support.shape
    queries = torch.from_numpy(episodes.query).flatten(1)
    supports = torch.from_numpy(episodes.support)
    with ready(scorer) as score:
        if class_score == "prototype":
            scores = _prototype_scores(vectors, queries, supports, score)
        else:
            pairs = _pair_scores(vectors, queries, supports.flatten(1), score)
            scores = pairs.view(n, -1, way, shot).mean(-1)
    answers = torch.arange(way).repeat_interleave(episodes.query.shape[2]).expand(n, -1)
    accuracies: npt.NDArray[np.float64] = share_of_ties(scores, answers).mean(1).numpy()
    return accuracies


def _pair_scores(vectors: Tensor, queries: Tensor, supports: Tensor, score: Scorer) -> Tensor:
    """Return the scores of each episode's queries ``(e, q)`` with its supports ``(e, s)``."""
    rows, row = torch.unique(queries, return_inverse=True)
    columns, column = torch.unique(supports, return_inverse=True)
    if len(rows) * len(columns) <= queries.numel() * supports.shape[1]:
        # Many episodes over few items: no pair is scored twice.
        table = score(_take(vectors, rows), _take(vectors, columns)).cpu()
        return table[row[:, :, None], column[:, None, :]]
    return torch.stack(
        [
            score(_take(vectors, q), _take(vectors, s)).cpu()
            for q, s in zip(queries, supports, strict=True)
        ]
    )


def _prototype_scores(vectors: Tensor, queries: Tensor, supports: Tensor, score: Scorer) -> Tensor:
    return torch.stack(
        [
            score(_take(vectors, q), _take(vectors, s).float().mean(1)).cpu()
            for q, s in zip(queries, supports, strict=True)
        ]
    )


def _take(vectors: Tensor, positions: Tensor) -> Tensor:
    return vectors[positions.to(vectors.device)]
