"""How galleries of other people fare: the promise, rehearsed among those of the background.

What a gallery answers to strangers depends on who happens to be enrolled, and on the kinds
(alphabets, families, cameras) that people come from: strangers of the kinds of those enrolled are
more like them than people of other kinds, whose searches show nothing of that. Both can be seen
among the people of the background alone: some of them are enrolled, the others, of the same kinds,
search, and that for many draws. How far apart the thresholds of such galleries lie tells how far
that of a real one may lie from their mean; how the mean moves when a kind is left out (the
delete-a-group jackknife [1]_) tells how far other kinds may move it. A promise for one more
gallery, of other kinds, is a prediction, and its bound that of a prediction interval: both
variances added, that of kinds twice, for the real gallery has kinds of its own. What is left of the
first is without the luck of having so few searches in each of them, of which halves of the
searches tell.

References
----------
.. [1] P. Kott, "The delete-a-group jackknife", Journal of Official Statistics 17, 2001,
   pp. 521-526.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from siamesekit._types import IntArray

__all__ = ["FEWEST", "Cast", "Rehearsal"]

Floats = npt.NDArray[np.float64]

FEWEST = 6
"""People that can rehearse: two thirds of them are enrolled, the others search."""
_GALLERIES, _BLOCKS = 40, 12
_SEED = 0
# Scores that are looked at in one gallery, and searches that are kept however large it is.
_CELLS, _FEW_SEARCHES = 400_000, 300


@dataclass(frozen=True, eq=False)
class Cast:
    """Who rehearses, at hand as scores.

    Attributes
    ----------
    searches : ndarray of float64, shape (m, c)
        Scores of searches against each of the `c` people who can be enrolled.
    people : ndarray of int64, shape (m,)
        Who searches, of those `c`; -1 for somebody who cannot be enrolled.
    groups : ndarray of int64, shape (m,)
        Kind of each who searches.
    enrolled : ndarray of float64, shape (e, c)
        Scores of what would be enrolled against each of them.
    enrolled_people : ndarray of int64, shape (e,)
        Of whom each is.
    enrolled_groups : ndarray of int64, shape (c,)
        Kind of each who can be enrolled.
    of_kinds : bool
        Whether groups are kinds, of which a gallery may have others, or people, each their own.
    """

    searches: Floats
    people: IntArray
    groups: IntArray
    enrolled: Floats
    enrolled_people: IntArray
    enrolled_groups: IntArray
    of_kinds: bool


class Rehearsal:
    """Galleries of a size, drawn from a cast, and what the rest of it finds there.

    Parameters
    ----------
    cast : Cast
        Of `FEWEST` people at least.
    size : int
        Of the gallery that is rehearsed for. Two thirds of the cast are enrolled at most.

    Attributes
    ----------
    size : int
        Of the galleries that were drawn.
    """

    def __init__(self, cast: Cast, size: int) -> None:
        rng = np.random.default_rng(_SEED)
        n_people = len(cast.enrolled_groups)
        self._wanted = size
        self.size = min(size, 2 * n_people // 3)
        self._blocks = blocks = _blocks_of(cast, rng)
        draws = [rng.permutation(n_people) for _ in range(_GALLERIES)]
        some = np.arange(len(cast.people))
        most = max(_FEW_SEARCHES, _CELLS // self.size)
        if most < len(some):
            some = np.sort(rng.permutation(len(some))[:most])
        everybody = np.ones(n_people, dtype=bool)
        self._bests = [self._searched(cast, some, draw, everybody, some >= 0) for draw in draws]
        half = rng.permutation(cast.people.max() + 2)[cast.people[some]] % 2 > 0
        self._halves = [
            [self._searched(cast, some, draw, everybody, own) for own in (half, ~half)]
            for draw in draws
        ]
        self._shares = 2 if cast.of_kinds else 1
        # The same draws without one block: what differs is the block, not the luck of the draw.
        self._without = [
            [
                self._searched(cast, some, draw, blocks[0] != block, blocks[1][some] != block)
                for draw in draws
            ]
            for block in range(self.n_blocks)
        ]
        alike = [self._likeness(cast, draw[: self.size]) for draw in draws]
        self._alike, self._spread_alike = float(np.mean(alike)), float(np.std(alike, ddof=1))

    @property
    def n_blocks(self) -> int:
        """Groups, or blocks of them, that were left out in turn."""
        return int(self._blocks[0].max()) + 1

    def _searched(
        self,
        cast: Cast,
        some: IntArray,
        draw: IntArray,
        may_enroll: np.ndarray,
        may_search: np.ndarray,
    ) -> Floats:
        """Return the best score of each search of one gallery by people who are not in it."""
        draw = draw[may_enroll[draw]]
        chosen = draw[: min(self.size, max(1, 2 * len(draw) // 3))]
        strangers = some[may_search & ~np.isin(cast.people[some], chosen)]
        bests: Floats = cast.searches[np.ix_(strangers, chosen)].max(1)
        return bests

    def _likeness(self, cast: Cast, chosen: IntArray) -> float:
        """Return how alike those of one gallery are: the mean best score among the others."""
        rows = np.flatnonzero(np.isin(cast.enrolled_people, chosen))
        scores = cast.enrolled[np.ix_(rows, chosen)]
        scores[cast.enrolled_people[rows][:, None] == chosen] = -np.inf
        return float(scores.max(1).mean()) if len(chosen) > 1 else 0.0

    def lift(self, alike: float | None, confidence: float) -> float:
        """Return by how much the people of a gallery are surely more alike than those here.

        Parameters
        ----------
        alike : float or None
            Mean over those enrolled of the best score among the others, in a gallery of `size`;
            None where nothing is known of it.
        confidence : float
            One-sided.
        """
        if alike is None or self.size < 2:
            return 0.0
        return max(0.0, alike - self._alike - self._quantile(confidence) * self._spread_alike)

    def least(self, fpir: float, confidence: float, n_galleries: int = 1) -> float:
        """Return the least threshold that one more gallery, of other people, may be given.

        Parameters
        ----------
        fpir : float
            In (0, 1).
        confidence : float
            One-sided.
        n_galleries : int
            If not of one gallery the promise is, but of the mean over so many of one kind.
        """
        # Of a larger gallery than can be drawn: rates grow with it, at most in proportion.
        most = fpir * self.size / self._wanted
        own = np.array([_exceeded_by(bests, most) for bests in self._bests if len(bests)])
        halves = [both for both in self._halves if min(map(len, both))]
        apart = np.array([np.ptp([_exceeded_by(half, most) for half in both]) for both in halves])
        # The difference of halves varies four times as much as what is seen of the whole.
        luck = float(np.square(apart).mean()) / 4 if len(apart) else 0.0

        def mean(several: list[Floats]) -> float:
            several = [bests for bests in several if len(bests)]
            # So few searches that a gallery alone cannot show it: all of them together may.
            if most * (1 + min(map(len, several))) < 1:
                return _exceeded_by(np.concatenate(several), most)
            return float(np.mean([_exceeded_by(bests, most) for bests in several]))

        left_out = np.array([mean(bests) for bests in self._without if any(map(len, bests))])
        k = len(left_out)
        of_groups = (k - 1) / k * float(np.square(left_out - left_out.mean()).sum())
        of_galleries = max(0.0, float(own.var(ddof=1)) - luck)
        error = float(np.sqrt(of_galleries / n_galleries + self._shares * of_groups))
        return mean(self._bests) + self._quantile(confidence) * error

    def _quantile(self, confidence: float) -> float:
        return max(0.0, float(student.ppf(confidence, max(1, self.n_blocks - 1))))


def _blocks_of(cast: Cast, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return the block of each who can be enrolled, and of each search: groups, or some of them."""
    names, codes = np.unique(cast.enrolled_groups, return_inverse=True)
    of_group = rng.permutation(len(names)) % _BLOCKS
    place = np.minimum(np.searchsorted(names, cast.groups), len(names) - 1)
    # Whoever searches and is of a kind that cannot be enrolled stays, whatever is left out.
    known = names[place] == cast.groups
    return of_group[codes].astype(np.int64), np.where(known, of_group[place], -1).astype(np.int64)


def _exceeded_by(scores: Floats, share: float) -> float:
    """Return the score that the next of such searches exceeds with a probability of `share`."""
    return float(np.quantile(scores, 1 - share, method="weibull"))
