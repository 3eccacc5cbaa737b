"""What neighbours are worth on average over all orders of equal scores.

An order that breaks ties is drawn uniformly: within each run of equal scores every order is as
likely as every other. All figures here are exact means over these orders, not simulated ones, so
that none depends on where an item happens to stand.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from siamesekit._types import IntArray
from siamesekit.evaluation._search import Ranking

__all__ = [
    "Chance",
    "Runs",
    "expected_hits",
    "expected_recall",
    "expected_vote",
    "runs_of",
    "vote_cache",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Runs(NamedTuple):
    """The run of equal scores that each rank lies in, arrays of shape (b, k).

    Attributes
    ----------
    start : ndarray of int64
        Rank at which the run begins, counted from 0.
    size, hits : ndarray of int64
        References in the run, beyond the ranks too, and how many of them count.
    before : ndarray of int64
        How many count in all runs before.
    """

    start: IntArray
    size: IntArray
    hits: IntArray
    before: IntArray


def runs_of(ranking: Ranking, own: IntArray, reference_codes: IntArray) -> Runs:
    """Return the runs of a block, in which references of the class `own`, shape (b,), count."""
    start, end = _spans(ranking.first)
    counted = np.pad(np.cumsum(ranking.codes == own[:, None], axis=1), ((0, 0), (1, 0)))
    before = np.take_along_axis(counted, start, axis=1)
    hits = np.take_along_axis(counted, end, axis=1) - before
    last = start == start[:, -1:]
    whole = ranking.last_run.sum(1)[:, None]
    mates = (ranking.last_run & (reference_codes == own[:, None])).sum(1)[:, None]
    return Runs(start, np.where(last, whole, end - start), np.where(last, mates, hits), before)


def _spans(first: BoolArray) -> tuple[IntArray, IntArray]:
    """Return where the run of each place begins, and the place behind its end, both (b, k)."""
    b, k = first.shape
    places = np.broadcast_to(np.arange(k), (b, k))
    start = np.maximum.accumulate(np.where(first, places, 0), axis=1)
    ends = np.where(np.pad(first[:, 1:], ((0, 0), (0, 1)), constant_values=True), places + 1, k)
    return start, np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]


def expected_hits(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """Return how surely each rank is a hit, and its expected precision if it is, else 0.

    The precision at rank ``i`` is the share of hits among the first ``i``. Both of shape (b, k).
    """
    ranks = np.arange(runs.start.shape[1])
    hit = runs.hits / runs.size
    # Of the other places of the run that lie before the rank, each is a hit by this share.
    mates = np.maximum(runs.hits - 1, 0) / np.maximum(runs.size - 1, 1)
    found = runs.before + 1 + (ranks - runs.start) * mates
    return hit, hit * found / (ranks + 1)


def expected_recall(runs: Runs, k: int) -> FloatArray:
    """Return how surely one of the first `k` ranks, or of all that there are, is a hit, (b,)."""
    place = min(k, runs.start.shape[1]) - 1
    start, size, hits, before = (field[:, place] for field in runs)
    drawn = place + 1 - start
    few, many = np.minimum(hits, drawn), np.maximum(hits, drawn)
    missed = np.ones(len(start))
    # The fewer are placed one after the other, each beside all of the others.
    for placed in range(int(few.max(initial=0))):
        left = np.maximum(size - many - placed, 0) / np.maximum(size - placed, 1)
        missed = np.where(placed < few, missed * left, missed)
    found = np.where(few == 1, many / size, 1.0 - missed)
    return np.where(before > 0, 1.0, found)


def expected_vote(
    ranking: Ranking, own: IntArray, reference_codes: IntArray, chance: "Chance"
) -> FloatArray:
    """Return how surely the ranks, each a vote for its class, elect the class `own`, shape (b,).

    Of classes with equally many votes, that of the nearest reference wins.
    """
    k = ranking.codes.shape[1]
    run: IntArray = np.cumsum(ranking.first, axis=1, dtype=np.int64)
    votes = _votes(ranking.codes)
    leads = votes == votes.max(1, keepdims=True)
    # The first run that holds a leading class; each of its leading references is first as often.
    nearest = np.where(leads, run, k + 1).min(1, keepdims=True)
    first = leads & (run == nearest)
    worth: FloatArray = (first & (ranking.codes == own[:, None])).sum(1) / first.sum(1)
    start = k - (run == run[:, -1:]).sum(1)
    for row in np.flatnonzero(ranking.last_run.sum(1) > k - start):
        tied = np.bincount(reference_codes[ranking.last_run[row]])
        worth[row] = _open_vote(
            ranking.codes[row, : start[row]],
            run[row, : start[row]],
            tied,
            int(own[row]),
            k - int(start[row]),
            chance,
        )
    return worth


def _votes(codes: IntArray) -> IntArray:
    """Return how often each code occurs in its row, shape (b, k)."""
    order = np.argsort(codes, axis=1, kind="stable")
    ranked = np.take_along_axis(codes, order, axis=1)
    start, end = _spans(np.pad(ranked[:, 1:] != ranked[:, :-1], ((0, 0), (1, 0))))
    votes = np.empty_like(codes)
    np.put_along_axis(votes, order, end - start, axis=1)
    return votes


class _Class(NamedTuple):
    """A class in a vote whose last references are drawn.

    Attributes
    ----------
    votes : int
        From references that are surely among the nearest.
    order : int
        Of its first reference: -1 before that of the class in question, 0 in the same run, 1
        behind, or not sure to be there at all.
    weight : int
        Its references in that run, where `order` is 0.
    tied : int
        References of which some are drawn.
    """

    votes: int
    order: int
    weight: int
    tied: int


Chance = Callable[[_Class, int, tuple[tuple[_Class, int], ...]], float]


def _open_vote(
    sure: IntArray, run: IntArray, tied: IntArray, own: int, drawn: int, chance: Chance
) -> float:
    """Return how surely `own` is elected by `sure` votes and `drawn` ones of those `tied`."""
    votes = Counter(sure.tolist())
    first = {code: int(run[sure == code].min()) for code in votes}
    in_first = {code: int((run[sure == code] == first[code]).sum()) for code in votes}

    def of(code: int) -> _Class:
        here, there = first.get(code), first.get(own)
        if here is None or there is None:
            # Where neither is sure to be there, the draw decides between them.
            order = 1 if there is not None else 0 if here is None else -1
        else:
            order = (here > there) - (here < there)
        weight = in_first.get(code, 1) if order == 0 else 0
        return _Class(votes[code], order, weight, int(tied[code]) if code < len(tied) else 0)

    others = Counter(of(code) for code in votes if code != own)
    # Classes that are only drawn differ in nothing but their number of references.
    only_drawn = tied.copy()
    only_drawn[[code for code in votes if code < len(tied)]] = 0
    if own < len(tied):
        only_drawn[own] = 0
    sizes, numbers = np.unique(only_drawn[only_drawn > 0], return_counts=True)
    order = 1 if own in votes else 0
    for size, number in zip(sizes.tolist(), numbers.tolist(), strict=True):
        others[_Class(0, order, 1 - order, size)] += number
    return chance(of(own), drawn, tuple(sorted(others.items())))


def vote_cache() -> Chance:
    """Return `chance_of_election`, which remembers what it was asked."""
    return lru_cache(maxsize=4096)(chance_of_election)


def chance_of_election(own: _Class, drawn: int, others: Sequence[tuple[_Class, int]]) -> float:
    """Return how surely a class is elected where some votes are drawn from tied references.

    Parameters
    ----------
    own : _Class
        Its `order` is 0.
    drawn : int
        References drawn, fewer than are tied.
    others : sequence of (_Class, int)
        The other classes, and how many there are of each kind.

    Notes
    -----
    References are drawn without replacement. With ``p`` the share drawn, the numbers drawn of each
    class are those of independent binomial draws, given that they add up to `drawn`; so the chance
    that a number of them occurs is a coefficient of a product of polynomials, a factor a class.

    Elected of classes that lead together is that of the nearest reference: of the own class with
    chance ``w / (w + W)``, ``W`` the weights of those that lead with it. As ``∫ s^(w + W - 1) ds``
    over [0, 1] is ``1 / (w + W)``, each leading class brings a factor ``s^weight``, and the
    integral of a polynomial is exact at so many Gauss points.
    """
    n_tied = own.tied + sum(other.tied * number for other, number in others)
    if drawn == 1 and own.votes == 0 and not any(other.votes for other, _ in others):
        return own.tied / n_tied
    share = drawn / n_tied
    together = own.weight + sum(o.weight * number for o, number in others if o.order == 0)
    own_draws = _binomial(own.tied, share, drawn)
    elected = 0.0
    for k, draws in enumerate(own_draws):
        lead = own.votes + k
        if lead == 0:
            continue
        # Who leads by drawn votes alone leaves few for others to lead by.
        most = together if own.votes else min(together, drawn // lead)
        nodes, weights = np.polynomial.legendre.leggauss(most // 2 + 1)
        nodes, weights = (nodes + 1) / 2, weights / 2
        product = np.zeros((len(nodes), drawn - k + 1))
        product[:, 0] = own.weight * nodes ** (own.weight - 1) * weights
        for other, number in others:
            factor = _factor(other, lead, share, nodes, drawn - k)
            product = _times(product, _power(factor, number))
        elected += draws * float(product[:, -1].sum())
    return min(1.0, elected / _binomial(n_tied, share, drawn)[-1])


def _factor(other: _Class, lead: int, share: float, nodes: FloatArray, most: int) -> FloatArray:
    """Return the chances of 0 … `most` draws of a class that does not beat `lead`, (nodes, …)."""
    factor = np.zeros((len(nodes), most + 1))
    for k, draws in enumerate(_binomial(other.tied, share, most)):
        votes = other.votes + k
        if votes < lead:
            factor[:, k] = draws
        elif votes == lead and other.order >= 0:
            factor[:, k] = draws * nodes**other.weight
    return factor


def _binomial(n: int, p: float, most: int) -> list[float]:
    """Return the chances of 0 … `most` (or `n`) successes of n; `p` is neither 0 nor 1."""
    return [
        math.exp(math.log(math.comb(n, k)) + k * math.log(p) + (n - k) * math.log1p(-p))
        for k in range(min(n, most) + 1)
    ]


def _power(factor: FloatArray, n: int) -> FloatArray:
    power = np.zeros_like(factor)
    power[:, 0] = 1.0
    while n:
        if n & 1:
            power = _times(power, factor)
        factor = _times(factor, factor) if n > 1 else factor
        n >>= 1
    return power


def _times(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the products of polynomials, row by row, up to the degree of both."""
    width = a.shape[1]
    product = np.zeros_like(a)
    for k in np.flatnonzero(b.any(0)):
        product[:, k:] += b[:, k : k + 1] * a[:, : width - k]
    return product
