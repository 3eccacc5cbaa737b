"""MNIST: 70,000 handwritten digits, in the idx format."""

import gzip
import os
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from siamesekit._checks import check_choice
from siamesekit.data.download import fetch
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["load_mnist"]

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}


def load_mnist(
    root: str | os.PathLike[str] | None = None, split: Literal["train", "test"] = "train"
) -> ImageSet:
    """Load MNIST.

    Parameters
    ----------
    root : path-like, optional
        Folder that holds the four idx files, gzipped or not. Without it they are downloaded
        (extra ``data``).
    split : {"train", "test"}
        60,000 or 10,000 digits.

    Returns
    -------
    ImageSet
        ``X`` (n, 28, 28) with ink 255; ``y`` int64, 0 to 9.

    Raises
    ------
    DatasetNotFoundError
        If the files are not there.
    CorruptDatasetError
        If a file is damaged, truncated or no idx file of bytes.
    """
    check_choice("split", split, ("train", "test"))
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(_find(root, f"{prefix}-images-idx3-ubyte"), 3)
    labels = _read_idx(_find(root, f"{prefix}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise CorruptDatasetError(
            f"MNIST {split}: {len(images)} images were found beside {len(labels)} labels."
        )
    return ImageSet(X=images, y=labels.astype(np.int64))


def _find(root: str | os.PathLike[str] | None, name: str) -> Path:
    if root is None:
        return fetch(f"{_MIRROR}{name}.gz", f"md5:{_MD5[name]}", "mnist")
    for path in (Path(root) / f"{name}.gz", Path(root) / name):
        if path.exists():
            return path
    raise DatasetNotFoundError(
        f"root must hold {name}.gz or {name} ({_MIRROR}{name}.gz); {root} has neither."
    )


def _read_idx(path: Path, rank: int) -> np.ndarray:
    """Return the bytes of an idx file: magic ``0 0 8 rank``, big-endian sizes, then the data."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDatasetError(f"{path} is no whole gzip file: {error}") from error
    header = 4 + 4 * rank
    if data[:4] != bytes([0, 0, 8, rank]) or len(data) < header:
        raise CorruptDatasetError(
            f"{path} must be an idx file of bytes of rank {rank}; it begins with {data[:4]!r}."
        )
    shape = tuple(np.frombuffer(data, dtype=">u4", count=rank, offset=4).tolist())
    if len(data) != header + np.prod(shape, dtype=np.int64):
        raise CorruptDatasetError(
            f"{path} says {shape} bytes but holds {len(data) - header}: it is truncated."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()
