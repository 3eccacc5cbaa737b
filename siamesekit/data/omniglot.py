"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people."""

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np

from siamesekit._checks import check_choice
from siamesekit.data._archive import Files, find_source, open_files
from siamesekit.data.download import cache_folder, fetch
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

__all__ = ["LAKE_ALPHABETS", "Omniglot", "load_omniglot"]

SIDE = 105
DRAWERS = 20

_OFFICIAL = "https://github.com/brendenlake/omniglot/raw/master/python/"
_SPLITS = {
    "background": ("images_background", 964, "md5:68d2efa1b9178cc56df9314c21c6e718"),
    "evaluation": ("images_evaluation", 659, "md5:6b91aef0f799c5bb55b94e3f2daec811"),
}

LAKE_ALPHABETS = (
    "Atlantean",
    "Ge_ez",
    "Glagolitic",
    "Gurmukhi",
    "Kannada",
    "Malayalam",
    "Manipuri",
    "Old_Church_Slavonic_(Cyrillic)",
    "Tengwar",
    "Tibetan",
)
"""The ten evaluation alphabets of Lake's 20 runs, two runs each, in the order of the runs."""


@dataclass(frozen=True)
class Omniglot:
    """Characters in sorted order.

    Attributes
    ----------
    X : ndarray of uint8, shape (characters, 20, 105, 105)
        Ink is 255, paper 0.
    alphabets : ndarray of str, shape (characters,)
    characters : ndarray of str, shape (characters,)
        ``"Greek/character01"``.
    drawers : ndarray of int64, shape (20,)
        1 to 20; numbers of people within an alphabet.
    """

    X: np.ndarray
    alphabets: np.ndarray
    characters: np.ndarray
    drawers: np.ndarray

    def flat(self) -> ImageSet:
        """Return every image with its character, alphabet and drawer."""
        n, each = self.X.shape[:2]
        return ImageSet(
            X=self.X.reshape(n * each, SIDE, SIDE),
            y=np.repeat(self.characters, each),
            groups=np.repeat(self.alphabets, each),
            drawers=np.tile(self.drawers, n),
        )


def load_omniglot(
    root: str | os.PathLike[str] | None = None,
    split: Literal["background", "evaluation", "all"] = "background",
    *,
    cache: bool = True,
) -> Omniglot:
    """Load Omniglot.

    Parameters
    ----------
    root : path-like, optional
        Folder that holds ``images_background.zip`` and ``images_evaluation.zip``, or the folders
        extracted from them. Without it the official files are downloaded (extra ``data``).
    split : {"background", "evaluation", "all"}
        The 30 alphabets to learn from, the 20 to be tested on, or all 50.
    cache : bool
        Keep the pixels, packed to a bit each, beside the data (in the user's cache where that
        cannot be written), so that the next load is fast.

    Returns
    -------
    Omniglot

    Raises
    ------
    DatasetNotFoundError
        If the files are not there.
    CorruptDatasetError
        If a file is damaged or incomplete; it is named.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    check_choice("split", split, ("background", "evaluation", "all"))
    parts = [_load_split(root, name, cache) for name in _SPLITS if split in (name, "all")]
    if len(parts) == 1:
        return parts[0]
    characters = np.concatenate([part.characters for part in parts])
    order = np.argsort(characters, kind="stable")
    return Omniglot(
        X=np.concatenate([part.X for part in parts])[order],
        alphabets=np.concatenate([part.alphabets for part in parts])[order],
        characters=characters[order],
        drawers=parts[0].drawers,
    )


def _load_split(root: str | os.PathLike[str] | None, split: str, cache: bool) -> Omniglot:
    folder, n_characters, official_hash = _SPLITS[split]
    if root is None:
        source = fetch(f"{_OFFICIAL}{folder}.zip", official_hash, "omniglot")
    else:
        source = find_source(root, folder)
    stored = _Cache(source) if cache else None
    packed = stored.read() if stored else None
    if packed is None:
        with open_files(source) as files:
            names, images = _decode(files, source, n_characters)
        packed = names, np.packbits(images.reshape(len(images), -1), axis=1)
        if stored:
            stored.write(*packed)
    names, bits = packed
    pixels = np.unpackbits(bits, axis=1, count=DRAWERS * SIDE * SIDE)
    pixels *= 255
    return Omniglot(
        X=pixels.reshape(-1, DRAWERS, SIDE, SIDE),
        alphabets=np.array([name.split("/")[0] for name in names]),
        characters=names,
        drawers=np.arange(1, DRAWERS + 1),
    )


def _decode(files: Files, source: Path, n_characters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted names of the characters, and their ink, bool (characters, 20, 105, 105)."""
    drawings: dict[str, list[str]] = {}
    for name in files.names():
        if name.endswith(".png"):
            drawings.setdefault(name.rsplit("/", 1)[0], []).append(name)
    names = sorted(drawings)
    counts = {len(own) for own in drawings.values()}
    if len(names) != n_characters or counts != {DRAWERS}:
        raise CorruptDatasetError(
            f"{source} must hold {n_characters} characters with {DRAWERS} drawings each; "
            f"it has {len(names)} with {sorted(counts)}."
        )
    paths = [path for name in names for path in sorted(drawings[name])]
    # Archives are read by one thread (a ZipFile has one position); decoding is what takes long.
    with ThreadPoolExecutor() as pool:
        decoded = pool.map(decode_ink, (files.read(path) for path in paths), paths)
        images = np.stack(list(decoded)).reshape(-1, DRAWERS, SIDE, SIDE)
    return np.array(names), images


def decode_ink(data: bytes, name: str) -> np.ndarray:
    """Return where a 105 × 105 PNG is dark, bool.

    Raises
    ------
    CorruptDatasetError
        If `data` is no such image; `name` is named.
    DatasetNotFoundError
        If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetNotFoundError(
            'reading PNG files needs Pillow: pip install "siamesekit[data]".'
        ) from error
    try:
        with Image.open(BytesIO(data)) as image:
            ink = ~np.asarray(image.convert("1"))
    except Exception as error:
        raise CorruptDatasetError(f"{name} is no whole image: {error}") from error
    if ink.shape != (SIDE, SIDE):
        raise CorruptDatasetError(f"{name} must be {SIDE}×{SIDE} pixels; it is {ink.shape}.")
    return ink


class _Cache:
    """Packed pixels of one source, beside it or in the user's cache."""

    def __init__(self, source: Path) -> None:
        state = source.stat()
        key = f"{source.resolve()} {state.st_size} {state.st_mtime_ns}"
        name = f"{source.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        self.paths = [source.parent / f".{name}", cache_folder() / "omniglot" / name]

    def read(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what was stored, or None where nothing (whole) is."""
        for path in self.paths:
            try:
                with np.load(path, allow_pickle=False) as stored:
                    names, bits = stored["names"], stored["bits"]
            except Exception:  # absent or damaged: it is made again
                continue
            if len(names) == len(bits) and bits.shape[1] == -(-DRAWERS * SIDE * SIDE // 8):
                return names, bits
        return None

    def write(self, names: np.ndarray, bits: np.ndarray) -> None:
        """Store in the first place that can be written; nowhere is no error."""
        for path in self.paths:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, names=names, bits=bits)
                os.replace(partial, path)
            except OSError:
                continue
            return
