"""How far work has come, for whoever waits for it: bars on stderr, where they were asked for."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tqdm.auto import tqdm

from siamesekit.training.distributed import leads

__all__ = ["counted", "showing_progress"]

T = TypeVar("T")

_SHOWN: ContextVar[bool] = ContextVar("siamesekit_progress", default=False)
# Seconds that work takes before it has a bar.
_DELAY = 1.0


@contextmanager
def showing_progress(show: bool | None = True) -> Iterator[None]:
    """Run a block in which whatever takes over a second shows on stderr how far it has come.

    Reading files, embedding, enrolment, evaluation, and within an epoch of training its batches.
    Estimators do so by themselves where ``verbose`` is True; this is for functions and galleries::

        with showing_progress():
            result = episode_accuracy(vectors, labels)

    It holds for this thread. Of several processes the first alone shows anything.

    Parameters
    ----------
    show : bool or None
        False shows nothing, whatever holds outside the block; None leaves it as it is there.
    """
    if show is None:
        yield
        return
    token = _SHOWN.set(bool(show) and leads())
    try:
        yield
    finally:
        _SHOWN.reset(token)


def counted(
    blocks: Iterable[T],
    total: int,
    what: str,
    unit: str,
    size: Callable[[Any], int] = lambda block: 1,
) -> Iterable[T]:
    """Return an iterable's blocks, counted on a bar as they are done; as they are, if none shows.

    Parameters
    ----------
    blocks : iterable
    total : int
        What all blocks amount to.
    what, unit : str
        Words beside the bar.
    size : callable
        From a block to what it amounts to.
    """
    return _on_a_bar(blocks, total, what, unit, size) if _SHOWN.get() else blocks


def _on_a_bar(
    blocks: Iterable[T], total: int, what: str, unit: str, size: Callable[[Any], int]
) -> Iterator[T]:
    with tqdm(total=total, desc=what, unit=unit, leave=False, delay=_DELAY) as bar:
        for block in blocks:
            yield block
            bar.update(size(block))
