"""Items that are read when they are needed, by workers that read ahead."""

import math
import os
import random
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from siamesekit._types import IntArray
from siamesekit.data.arrays import raw_items
from siamesekit.errors import CorruptDatasetError, InvalidDataError, SiamesekitError
from siamesekit.training.items import Items, blocks_of
from siamesekit.training.progress import counted
from siamesekit.training.sources import DatasetSource, FileSource, JoinedSource, Source

__all__ = ["Facts", "Streamed", "join"]

BLOCK = 64
"""Items that a worker reads at once where nobody asks for a batch of another size."""
_NUMBERS = 1 << 23
"""Numbers in such a block, at most: 8 MB of bytes, 32 MB of floats."""
_WORKERS = 4
_FEW = 128
"""Items for which no worker is started unless asked for: it takes as long as to read them."""
_PIECE = 1 << 23
"""Bytes that cross from a worker at once, at most, but for one item: what a batch takes twice."""

T = TypeVar("T")
Convert = Callable[[Tensor], Tensor]


class Facts(NamedTuple):
    """What is known of items once all of them were read.

    Attributes
    ----------
    low, high : float
        Least and greatest number; of bool 0 is the least.
    whole : bool
        Whether all numbers are whole.
    digests : ndarray of uint8, shape (n, 16)
        Of the bytes of each item: equal ones belong to equal items.
    labels : list or None
        Of each item, where the source has labels.
    """

    low: float
    high: float
    whole: bool
    digests: np.ndarray
    labels: list[Any] | None


class Streamed(Items):
    """Items of a source, read batch by batch; never more of them in memory than a few batches.

    Parameters
    ----------
    source : Source
    n_workers : int or None
        Processes that read ahead; 0 reads in this one. None: up to 4, and no more than there are
        processors, for files; 0 for a data set, whose author knows whether it may be copied to
        other processes.

    Raises
    ------
    SiamesekitError
        If the first item cannot be read, or is no item.

    Notes
    -----
    What comes out does not depend on the number of workers: batches keep their order, and what
    draws is seeded by item and epoch. Batches return through a pipe, so that neither the size of
    ``/dev/shm`` nor the number of open files limits them: piece by piece, of 8 MiB at most, and as
    the bytes that they are stored as. Workers are about one batch ahead.
    """

    def __init__(self, source: Source, n_workers: int | None = None) -> None:
        self.source = source
        self.n_workers = n_workers
        self.device = torch.device("cpu")
        first = source.read(0, 0)[0]
        self._stored: tuple[int, ...] = first.shape
        raw = _as_raw(first[None], source.name(0), None)
        self.shape = (len(source), *raw.shape[1:])
        self.dtype = raw.dtype
        self._positions: IntArray = np.arange(len(source))
        self._convert: Convert | None = None
        self._marks: Any = None
        self._facts: Facts | None = None
        self._seen: dict[int, Any] = {}  # labels, by position

    # -- the protocol ---------------------------------------------------------------------------

    def take(self, index: Tensor) -> Tensor:  # noqa: D102
        return next(self.batches([index]))[1]

    def __getitem__(self, index: Any) -> "Streamed":
        if isinstance(index, Tensor):
            index = index.cpu().numpy()
        return self._like(_positions=self._positions[index])

    def to(self, device: torch.device) -> "Streamed":  # noqa: D102
        return self  # batches cross to the device one by one

    def batches(  # noqa: D102
        self, indexes: Iterable[Tensor], seed: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        # Drawn beforehand, so that how far workers read ahead changes nothing for the sampler.
        listed = list(indexes)
        blocks = self._raw_blocks(listed, seed)
        convert = self._convert or _as_it_is
        for index in listed:
            # Not kept here, or two would be in memory as the next one is put together.
            yield index, convert(next(blocks))

    def content(self) -> Any:  # noqa: D102
        facts = self.look_through()
        return facts.digests[self._positions], str(self.dtype), self._marks

    # -- what else is known ---------------------------------------------------------------------

    @property
    def labelled(self) -> bool:
        """Whether a label comes with each item."""
        return self.source.labelled

    def converted(self, convert: Convert, marks: Any) -> "Streamed":
        """Return the items with each batch passed through a function of it.

        Parameters
        ----------
        convert : callable
        marks : object
            What tells it from other functions, for a fingerprint.
        """
        return self._like(_convert=convert, _marks=marks)

    def look_through(self) -> Facts:
        """Read all items of the source once; return what is then known of them.

        So what is broken is found before training begins, and not in its third hour.

        Raises
        ------
        SiamesekitError
            If one cannot be read, has another shape or type than the first, or holds a number
            that is not finite; it is named.
        """
        if self._facts is None:
            whole = self._like(_positions=np.arange(len(self.source)), _convert=None)
            self._facts = whole._read_all()
        return self._facts

    def _read_all(self) -> Facts:
        low, high, is_whole = np.inf, -np.inf, True
        digests = np.empty((len(self), 16), dtype=np.uint8)
        start = 0
        blocks = blocks_of(self, self.block)
        for block in counted(blocks, len(self), "reading", " items", len):
            is_bool = block.dtype == torch.bool
            least, most = torch.aminmax(block.to(torch.uint8) if is_bool else block)
            low, high = min(low, 0.0 if is_bool else float(least)), max(high, float(most))
            is_whole = is_whole and _is_whole(block)
            rows = block.contiguous().flatten(1).view(torch.uint8).numpy()
            for k, row in enumerate(rows, start):
                digests[k] = np.frombuffer(blake2b(row.data, digest_size=16).digest(), np.uint8)
            start += len(block)
        labels = [self._seen[k] for k in range(len(self))] if self.labelled else None
        return Facts(low, high, is_whole, digests, labels)

    def labels(self) -> list[Any]:
        """Return the label that comes with each item; those not seen yet are read."""
        missing = [k for k in self._positions.tolist() if k not in self._seen]
        if missing:
            rest = self._like(_positions=np.array(missing), _convert=None)
            for _ in blocks_of(rest, rest.block):
                pass
        return [self._seen[k] for k in self._positions.tolist()]

    def keys(self) -> list[object]:
        """Return what is equal of items that are read from one place."""
        return [self.source.key(k) for k in self._positions.tolist()]

    def digests(self) -> np.ndarray:
        """Return what is equal of equal items, uint8 of shape (n, 16)."""
        return self.look_through().digests[self._positions]

    def name(self, position: int) -> str:
        """Return how to call an item in an error."""
        return self.source.name(int(self._positions[position]))

    @property
    def block(self) -> int:
        """Number of items to read at once."""
        return max(1, min(BLOCK, _NUMBERS // max(1, math.prod(self.shape[1:]))))

    def _like(self, **changed: Any) -> "Streamed":
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, **changed)
        other.shape = (len(other._positions), *self.shape[1:])
        return other

    # -- reading --------------------------------------------------------------------------------

    def _raw_blocks(self, indexes: list[Tensor], seed: int) -> Iterator[Tensor]:
        places = [self._positions[index.cpu().flatten().numpy()] for index in indexes]
        pieces = [self._pieces(place) for place in places]
        jobs = [(piece, seed) for batch in pieces for piece in batch]
        read = self._read(jobs, max(map(len, pieces), default=0), self._workers(places, len(jobs)))
        with closing(read):
            for batch in pieces:
                yield self._put_together(batch, read)

    def _pieces(self, place: np.ndarray) -> list[np.ndarray]:
        """Return the positions of a batch in parts that cross from a worker at once."""
        item = math.prod(self.shape[1:]) * self.dtype.itemsize
        size = max(1, _PIECE // max(1, item))
        return [place[k : k + size] for k in range(0, len(place), size)]

    def _read(
        self, jobs: list[tuple[np.ndarray, int]], pieces: int, n_workers: int
    ) -> Generator["_Read", None, None]:
        """Return what is read, in the order of the jobs, of which batches have `pieces` at most."""
        reading = _Reading(self.source, self._stored)
        if not n_workers:
            return (reading[job] for job in jobs)
        # While one batch is trained on, the next one is read: more of them is memory for nothing.
        return _read_ahead(reading, jobs, n_workers, math.ceil(pieces / n_workers) + 1)

    def _put_together(self, pieces: list[np.ndarray], read: Iterator["_Read"]) -> Tensor:
        """Return a batch of as many pieces as come next."""
        if len(pieces) == 1:
            return self._next(read, pieces[0])
        n = sum(map(len, pieces))
        batch, start = torch.empty((n, *self.shape[1:]), dtype=self.dtype), 0
        for piece in pieces:
            batch[start : start + len(piece)] = self._next(read, piece)
            start += len(piece)
        return batch

    def _next(self, read: Iterator["_Read"], piece: np.ndarray) -> Tensor:
        found = next(read)
        if found.failure is not None:
            raise found.failure[0](found.failure[1])
        return self._checked(found, piece)

    def _workers(self, places: list[np.ndarray], n_jobs: int) -> int:
        if len(places) < 2:
            return 0
        if self.n_workers is not None:
            return min(self.n_workers, n_jobs)
        if isinstance(self.source, DatasetSource) or sum(map(len, places)) < _FEW:
            return 0
        return min(_WORKERS, _processors(), n_jobs)

    def _checked(self, found: "_Read", place: np.ndarray) -> Tensor:
        """Return a block as a tensor of the type of the first item, finite and of its shape."""
        block = _as_raw(found.items, self.source.name(int(place[0])), self.shape[1:])
        if block.dtype != self.dtype:
            raise InvalidDataError(
                f"{self.source.name(int(place[0]))} and those read with it are of "
                f"{str(block.dtype)[6:]}, {self.source.name(0)} of {str(self.dtype)[6:]}."
            )
        finite = block.float().isfinite() if block.is_floating_point() else None
        if finite is not None and not bool(finite.all()):
            bad = int((~finite).flatten(1).any(1).nonzero()[0])
            raise InvalidDataError(
                f"{self.source.name(int(place[bad]))} contains NaN, infinity or a value too large."
            )
        if found.labels is not None:
            self._seen.update(zip(place.tolist(), found.labels, strict=True))
        return block


def join(a: Streamed, b: Streamed) -> Streamed:
    """Return the items of two streams, those of `a` first, as `a` has them converted."""
    joined = Streamed.__new__(Streamed)
    joined.__dict__.update(a.__dict__, source=JoinedSource(a.source, b.source))
    joined._positions = np.concatenate([a._positions, b._positions + len(a.source)])
    joined.shape = (len(joined._positions), *a.shape[1:])
    joined._facts, joined._seen = None, {}
    return joined


class _Read(NamedTuple):
    """What a worker sends: a block and its labels, or the kind and the text of what went wrong."""

    items: np.ndarray
    labels: list[Any] | None
    failure: tuple[type[SiamesekitError], str] | None


class _Reading:
    """What workers do: read the items of a job and put them into one array."""

    def __init__(self, source: Source, shape: tuple[int, ...]) -> None:
        self.source = source
        self.shape = shape

    def __getitem__(self, job: tuple[np.ndarray, int]) -> _Read:
        positions, seed = job
        items = np.empty(0)
        labels: list[Any] = []
        dtype: np.dtype[Any] | None = None
        try:
            for k, position in enumerate(positions.tolist()):
                _seed_worker(seed, position)
                item, label = self.source.read(position, seed)
                self._check(item, position, dtype)
                if dtype is None:
                    dtype = item.dtype
                    items = np.empty((len(positions), *self.shape), dtype.newbyteorder("="))
                items[k] = item
                labels.append(label)
            return _Read(items, labels if self.source.labelled else None, None)
        except SiamesekitError as error:  # sent as a text: not every error can be pickled
            kind = CorruptDatasetError if isinstance(error, CorruptDatasetError) else type(error)
            return _Read(np.empty(0), None, (kind, str(error)))

    def _check(self, item: np.ndarray, position: int, before: "np.dtype[Any] | None") -> None:
        if item.shape != self.shape:
            advice = (
                " reader=ImageReader(size=...) makes all pictures one size."
                if isinstance(self.source, FileSource) and item.ndim >= 2
                else ""
            )
            raise InvalidDataError(
                f"{self.source.name(position)} must have the shape of {self.source.name(0)}, "
                f"{self.shape}; got {item.shape}.{advice}"
            )
        if before is not None and item.dtype != before:
            raise InvalidDataError(
                f"{self.source.name(position)} is of {item.dtype}, the item before it of {before}."
            )


def _read_ahead(
    reading: _Reading, jobs: list[tuple[np.ndarray, int]], n_workers: int, ahead: int
) -> Generator[_Read, None, None]:
    """Yield what workers read, in the order of the jobs; each is `ahead` jobs ahead at most."""
    loader: DataLoader[Any] = DataLoader(
        reading,  # type: ignore[arg-type]
        batch_size=None,
        sampler=jobs,
        num_workers=n_workers,
        prefetch_factor=ahead,
        collate_fn=_as_it_is,
        # Or the seed of the workers would be drawn from torch's default generator.
        generator=torch.Generator().manual_seed(0),
    )
    try:
        yield from loader
    except SiamesekitError:
        raise
    except Exception as error:  # a worker was killed, or what it was to be sent cannot be pickled
        raise InvalidDataError(
            f"items cannot be read by n_workers={n_workers} processes: {type(error).__name__}: "
            f"{error}. n_workers=0 reads them in this process."
        ) from error


def _seed_worker(seed: int, position: int) -> None:
    """Seed what draws from global generators as an item is read, in a worker's own process.

    Nobody else draws there. In the user's process they are left alone.
    """
    if get_worker_info() is not None:
        own = (seed * 1_000_003 + position) % 2**32
        random.seed(own)
        np.random.seed(own)  # noqa: NPY002


def _as_it_is(found: T) -> T:
    return found


def _as_raw(array: np.ndarray, name: str, expected: tuple[int, ...] | None) -> Tensor:
    """Return stored items as a tensor (n, c, h, w) or (n, f); halves become float32."""
    items = raw_items(array, name, expected=expected)
    return items.float() if items.is_floating_point() and items.itemsize == 2 else items


def _is_whole(block: Tensor) -> bool:
    return not block.is_floating_point() or bool((block == block.floor()).all())


def _processors() -> int:
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known is not None else os.cpu_count() or 1
