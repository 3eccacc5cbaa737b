"""Where items are read from: files with a reader, or a data set of torch's."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from siamesekit._checks import shown
from siamesekit._random import drawing_from
from siamesekit.data._lists import as_array
from siamesekit.errors import CorruptDatasetError, InvalidDataError, SiamesekitError

__all__ = ["DatasetSource", "FileSource", "JoinedSource", "Source", "check_dataset"]

Reader = Callable[[str], Any]
_SEEDS = 2**63


class Source(ABC):
    """A numbered store of items, each read when it is asked for; it crosses to other processes.

    Attributes
    ----------
    labelled : bool
        Whether a label comes with each item.
    """

    labelled: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, position: int, seed: int) -> tuple[np.ndarray, Any]:
        """Return an item as it is stored, and its label or None.

        Raises
        ------
        SiamesekitError
            If it cannot be read; it is named.
        """

    @abstractmethod
    def name(self, position: int) -> str:
        """Return how to call an item in an error: ``X[3] ('a.png')``."""

    @abstractmethod
    def key(self, position: int) -> object:
        """Return what equal keys say: that two items are read from one place."""


class FileSource(Source):
    """Files, each of which a reader makes an item of.

    Parameters
    ----------
    paths : sequence of str
    reader : callable
        From a path to an array.
    argument : str
        How to call them in an error.
    """

    def __init__(self, paths: Sequence[str], reader: Reader, argument: str) -> None:
        # One block of memory: of a million texts a forked process would copy every count.
        self.paths = np.array(paths, dtype=np.str_)
        self.reader = reader
        self.argument = argument

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int, seed: int) -> tuple[np.ndarray, Any]:  # noqa: D102
        path = str(self.paths[position])
        try:
            item = self.reader(path)
        except (SiamesekitError, MemoryError):
            raise
        except Exception as error:  # a reader of someone else's may raise anything
            raise CorruptDatasetError(
                f"{self.name(position)} cannot be read by reader={shown(self.reader)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        return as_array(item, self.name(position)), None

    def name(self, position: int) -> str:  # noqa: D102
        return f"{self.argument}[{position}] ({str(self.paths[position])!r})"

    def key(self, position: int) -> object:  # noqa: D102
        return os.path.realpath(self.paths[position])


class DatasetSource(Source):
    """A map-style data set of items, or of tuples of an item and its label.

    Parameters
    ----------
    dataset : Dataset
    argument : str

    Raises
    ------
    InvalidDataError
        As `check_dataset`, or if its first item cannot be read.

    Notes
    -----
    What draws from torch's default generator as an item is read gets one of its own, seeded for
    that item and epoch: the same whichever process reads it.
    """

    def __init__(self, dataset: "Dataset[Any]", argument: str) -> None:
        self.n = check_dataset(dataset, argument)
        self.dataset = dataset
        self.argument = argument
        self.labelled = _is_pair(self._raw(0, 0))

    def __len__(self) -> int:
        return self.n

    def read(self, position: int, seed: int) -> tuple[np.ndarray, Any]:  # noqa: D102
        entry = self._raw(position, seed)
        label = None
        if _is_pair(entry) != self.labelled:
            both = ("item alone", "item and its label")
            raise InvalidDataError(
                f"{self.name(position)} is an {both[not self.labelled]}, {self.argument}[0] an "
                f"{both[self.labelled]}."
            )
        if self.labelled:
            entry, label = entry
            label = _as_label(label, self.name(position))
        elif isinstance(entry, tuple) and len(entry) == 1:
            entry = entry[0]  # as TensorDataset(X) gives them
        if entry is None or isinstance(entry, str | bytes | dict | tuple):
            raise InvalidDataError(
                f"{self.argument} must be a data set of items or of tuples (item, label); "
                f"{self.name(position)} is {shown(entry)}."
            )
        return as_array(entry, self.name(position)), label

    def _raw(self, position: int, seed: int) -> Any:
        try:
            with drawing_from((seed * 1_000_003 + position) % _SEEDS):
                return self.dataset[position]
        except (SiamesekitError, MemoryError):
            raise
        except Exception as error:  # a data set of someone else's may raise anything
            raise InvalidDataError(
                f"{self.name(position)} cannot be read from {type(self.dataset).__name__}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def name(self, position: int) -> str:  # noqa: D102
        return f"{self.argument}[{position}]"

    def key(self, position: int) -> object:  # noqa: D102
        return id(self.dataset), position


class JoinedSource(Source):
    """One source behind another."""

    def __init__(self, first: Source, second: Source) -> None:
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def _at(self, position: int) -> tuple[Source, int]:
        n = len(self.first)
        return (self.first, position) if position < n else (self.second, position - n)

    def read(self, position: int, seed: int) -> tuple[np.ndarray, Any]:  # noqa: D102
        own, place = self._at(position)
        return own.read(place, seed)[0], None

    def name(self, position: int) -> str:  # noqa: D102
        own, place = self._at(position)
        return own.name(place)

    def key(self, position: int) -> object:  # noqa: D102
        own, place = self._at(position)
        return own.key(place)


def check_dataset(dataset: object, name: str = "X") -> int:
    """Return the length of a data set.

    Raises
    ------
    InvalidDataError
        If it is no map-style data set, has no length, or holds nothing.
    """
    if isinstance(dataset, IterableDataset):
        raise InvalidDataError(
            f"{name} must be a map-style data set, with __len__ and __getitem__, since batches are "
            f"drawn by class; got the IterableDataset {type(dataset).__name__}. Write what it "
            "yields to files, or collect it in a list, and give that."
        )
    try:
        n = len(dataset)  # type: ignore[arg-type]
    except Exception as error:
        raise InvalidDataError(
            f"{name} must be a data set with __len__; that of {type(dataset).__name__} raises "
            f"{type(error).__name__}: {error}"
        ) from error
    if n < 1:
        raise InvalidDataError(f"{name} must hold at least one item; got an empty data set.")
    return n


def _is_pair(entry: object) -> bool:
    """Return whether an entry is an item and its label, and not two numbers."""
    if not isinstance(entry, tuple | list) or len(entry) != 2:
        return False
    return isinstance(entry, tuple) or not isinstance(entry[0], int | float)


def _as_label(label: object, name: str) -> Any:
    if isinstance(label, Tensor | np.ndarray | np.generic) and np.ndim(label) == 0:
        label = label.item()
    if not isinstance(label, bool | int | float | str):
        raise InvalidDataError(
            f"{name} must come with a label that is a number or a text; got {shown(label)}."
        )
    return label
