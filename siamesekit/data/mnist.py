"""MNIST: 70,000 handwritten digits, in the idx format."""

import errno
import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from siamesekit._checks import check_choice, check_flag, check_path
from siamesekit._files import open_regular
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
# Number of items, and SHA-256 once unpacked.
_PUBLISHED = {
    "train-images-idx3-ubyte": (
        60_000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        60_000,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        10_000,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        10_000,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_SIDE = 28
# All digits there are, in one file; a header that says more is damaged or made to fill the memory.
_MOST = 70_000
# Bytes of a file beside its items: headers, and what gzip adds to what it cannot make smaller.
_OVERHEAD = 2**16


def load_mnist(
    root: str | os.PathLike[str] | None = None,
    split: Literal["train", "test"] = "train",
    *,
    verify: bool = True,
) -> ImageSet:
    """Load MNIST.

    Parameters
    ----------
    root : path-like, optional
        Folder that holds the four idx files, gzipped or not. Without it they are downloaded
        (extra ``data``).
    split : {"train", "test"}
        60,000 or 10,000 digits.
    verify : bool
        Compare files of as many digits with the checksums of the published ones. False takes
        another data set of the same form and names.

    Returns
    -------
    ImageSet
        ``X`` (n, 28, 28) with ink 255; ``y`` int64, 0 to 9. Files of fewer digits are read too.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.
    DatasetNotFoundError
        If the files are not there.
    CorruptDatasetError
        If a file is damaged, truncated or no idx file of digits.
    """
    check_choice("split", split, ("train", "test"))
    check_flag("verify", verify)
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(root, f"{prefix}-images-idx3-ubyte", (_SIDE, _SIDE), verify)
    labels = _read_idx(root, f"{prefix}-labels-idx1-ubyte", (), verify)
    if len(images) != len(labels):
        raise CorruptDatasetError(
            f"MNIST {split}: {len(images)} images were found beside {len(labels)} labels."
        )
    if labels.max() > 9:
        raise CorruptDatasetError(
            f"MNIST {split}: labels must be 0 to 9; item {labels.argmax()} has {labels.max()}."
        )
    return ImageSet(X=images, y=labels.astype(np.int64))


def _find(root: str | os.PathLike[str] | None, name: str) -> Path:
    if root is None:
        return fetch(f"{_MIRROR}{name}.gz", f"md5:{_MD5[name]}", "mnist")
    folder = check_path("root", root)
    for path in (folder / f"{name}.gz", folder / name):
        if os.path.exists(path):
            return path
    raise DatasetNotFoundError(
        f"root must hold {name}.gz or {name} ({_MIRROR}{name}.gz); {root} has neither."
    )


def _read_idx(
    root: str | os.PathLike[str] | None, name: str, item: tuple[int, ...], verify: bool
) -> np.ndarray:
    """Return the bytes of an idx file, shape (n, *item).

    It is a magic number ``0 0 8 rank``, the sizes big-endian, then the data. The sizes are looked
    at before anything is read by them.
    """
    path = _find(root, name)
    n_header = 8 + 4 * len(item)
    try:
        with open_regular(path) as raw:
            _check_size(raw, _MOST * math.prod(item) + _OVERHEAD)
            file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            header = file.read(n_header)
            n = _declared(path, header, item)
            data = bytearray(file.read(n * math.prod(item) + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDatasetError(f"{path} cannot be read: {error}") from error
    if len(data) != n * math.prod(item):
        kind = "longer" if len(data) > n * math.prod(item) else "truncated"
        raise CorruptDatasetError(f"{path} says it has {n} items, but it is {kind}.")
    official, checksum = _PUBLISHED[name]
    if verify and n == official and hashlib.sha256(header + data).hexdigest() != checksum:
        raise CorruptDatasetError(
            f"{path} has as many items as the file of MNIST, {n}, but not the same: it is damaged, "
            "or of another data set, which verify=False takes."
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(n, *item)


def _check_size(file: BinaryIO, most: int) -> None:
    """Raise OSError if a file is larger; the name in gzip's header is as long as it likes."""
    if os.fstat(file.fileno()).st_size > most:
        raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes", file.name)


def _declared(path: Path, header: bytes, item: tuple[int, ...]) -> int:
    """Return the number of items by the header."""
    rank = 1 + len(item)
    if len(header) != 4 + 4 * rank or header[:4] != bytes([0, 0, 8, rank]):
        raise CorruptDatasetError(
            f"{path} must be an idx file of bytes of rank {rank}; it begins with {header[:4]!r}."
        )
    n, *sizes = struct.unpack(f">{rank}I", header[4:])
    if tuple(sizes) != item or not 1 <= n <= _MOST:
        raise CorruptDatasetError(
            f"{path} must hold 1 to {_MOST:,} items of shape {item}; its header says {n} of shape "
            f"{tuple(sizes)}."
        )
    return int(n)
