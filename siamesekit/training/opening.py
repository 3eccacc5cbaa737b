"""From what a user gives for items that are not in memory to a stream of them."""

from typing import Any

from torch.utils.data import Dataset

from siamesekit import registry
from siamesekit.data.paths import as_paths, check_files, is_paths
from siamesekit.errors import InvalidParameterError
from siamesekit.training.sources import DatasetSource, FileSource, Source
from siamesekit.training.streaming import Streamed

__all__ = ["is_stream", "open_stream"]


def is_stream(X: Any) -> bool:
    """Return whether `X` is a data set, or paths."""
    return isinstance(X, Dataset) or is_paths(X)


def open_stream(X: Any, reader: Any, n_workers: int | None, name: str) -> Streamed:
    """Return the items that paths or a data set stand for; the first one is read.

    Parameters
    ----------
    X : Dataset, or list, array or column of paths
    reader : str, class, callable or None
        What makes an item of a path.
    n_workers : int or None
        As `Streamed` takes it.
    name : str
        How to call `X` in an error.

    Raises
    ------
    InvalidDataError
        If it is no such data set, a path is none, or there is no file.
    InvalidParameterError
        If there is no reader, and one is needed.
    """
    source: Source
    if isinstance(X, Dataset):
        source = DatasetSource(X, name)
    else:
        paths = as_paths(X, name)
        check_files(paths, name)
        if reader is None:
            raise InvalidParameterError(
                f"reader must be given where {name} holds paths: reader='image', "
                "ImageReader(size=64), or a callable from a path to an array; got reader=None."
            )
        source = FileSource(paths, registry.make("readers", reader), name)
    return Streamed(source, n_workers)
