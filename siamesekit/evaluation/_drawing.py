"""Which items make up an episode."""

import numpy as np
import numpy.typing as npt

from siamesekit._types import IntArray
from siamesekit.errors import InvalidDataError

__all__ = ["Pool", "draw_by_drawer", "draw_freely", "make_pools"]

Pool = list[IntArray]
"""Items of each class of a group."""

# Random keys held at a time: 128 MB.
_KEYS = 1 << 24
# Sets of drawers that are tried before a group is held to have none that serves.
_TRIES = 1024


def make_pools(codes: IntArray, groups: IntArray) -> list[Pool]:
    """Return the pool of each group ``0 .. max(groups)``.

    Raises
    ------
    InvalidDataError
        If a class lies in two groups.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    pools: list[Pool] = [[] for _ in range(int(groups.max()) + 1)]
    for items in np.split(order, starts[1:]):
        own = groups[items]
        if (own != own[0]).any():
            raise InvalidDataError(
                "groups must put all items of a class in one group; some class lies in two "
                "(number the characters of each alphabet apart)."
            )
        pools[int(own[0])].append(items)
    return pools


def draw_freely(
    pool: Pool, way: int, each: int, n_episodes: int, rng: np.random.Generator
) -> IntArray | None:
    """Draw `way` classes an episode and `each` different items of every class.

    Returns
    -------
    ndarray of int64, shape (n_episodes, way, each), or None
        None where fewer than `way` classes have so many items.
    """
    usable = [items for items in pool if len(items) >= each]
    if len(usable) < way:
        return None
    sizes = np.array([len(items) for items in usable])
    starts = np.cumsum(sizes) - sizes
    classes = _choose(np.ones((n_episodes, len(usable)), dtype=bool), way, rng)
    places = _distinct(sizes[classes], each, rng)
    drawn: IntArray = np.concatenate(usable)[starts[classes][..., None] + places]
    return drawn


def draw_by_drawer(
    pool: Pool, drawers: IntArray, way: int, each: int, n_episodes: int, rng: np.random.Generator
) -> IntArray | None:
    """Draw `each` drawers an episode and `way` classes that all of them drew.

    The k-th item of every class is by the k-th drawer. All sets of drawers that share `way`
    classes are equally likely.

    Returns
    -------
    ndarray of int64, shape (n_episodes, way, each), or None
        None where no such drawers were found.
    """
    items = np.concatenate(pool)
    classes = np.repeat(np.arange(len(pool)), [len(own) for own in pool])
    names, hands = np.unique(drawers[items], return_inverse=True)
    if len(names) < each or len(pool) < way:
        return None
    # Items by class and drawer: those of cell (c, h) stand at start[c, h] .. + count[c, h].
    cells = classes * len(names) + hands
    items = items[np.argsort(cells, kind="stable")]
    count = np.bincount(cells, minlength=len(pool) * len(names)).reshape(len(pool), len(names))
    start = (np.cumsum(count) - count.ravel()).reshape(count.shape)

    served: list[IntArray] = []
    while sum(map(len, served)) < n_episodes:
        tries = _distinct(np.full(max(_TRIES, n_episodes), len(names)), each, rng)
        enough = (count > 0)[:, tries].all(-1).sum(0) >= way
        if not enough.any():
            return None
        served.append(tries[enough])
    chosen = np.concatenate(served)[:n_episodes]
    shared = np.all((count > 0)[:, chosen], axis=-1).T
    cell = _choose(shared, way, rng)[:, :, None], chosen[:, None, :]
    drawn: IntArray = items[start[cell] + rng.integers(count[cell])]
    return drawn


def _choose(allowed: npt.NDArray[np.bool_], k: int, rng: np.random.Generator) -> IntArray:
    """Return, for each row, `k` different columns of those allowed, in random order."""
    rows = max(1, _KEYS // allowed.shape[1])
    chosen = []
    for part in np.split(allowed, range(rows, len(allowed), rows)):
        keys = np.where(part, rng.random(part.shape), 2.0)
        first = np.argpartition(keys, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(keys, first, 1), axis=1)
        chosen.append(np.take_along_axis(first, order, 1))
    return np.concatenate(chosen)


def _distinct(sizes: IntArray, k: int, rng: np.random.Generator) -> IntArray:
    """Return, for each size, `k` different numbers below it, in random order.

    References
    ----------
    .. [1] R. Floyd, in J. Bentley, "Programming pearls: a sample of brilliance", CACM 30, 1987.
    """
    drawn = np.empty((*sizes.shape, k), dtype=np.int64)
    for i in range(k):
        last = sizes - k + i
        number = rng.integers(last + 1)
        taken = (drawn[..., :i] == number[..., None]).any(-1)
        drawn[..., i] = np.where(taken, last, number)
    # Floyd's numbers are a uniform set, but late numbers stand late in it.
    rng.permuted(drawn, axis=-1, out=drawn)
    return drawn
