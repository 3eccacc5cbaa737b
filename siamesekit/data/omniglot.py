"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people."""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np

from siamesekit._checks import check_choice, check_flag
from siamesekit.data._archive import Files, find_source, open_files, source_digest
from siamesekit.data._pixel_cache import PixelCache
from siamesekit.data._png import LARGEST_DRAWING, decode_ink
from siamesekit.data.download import fetch
from siamesekit.data.images import ImageSet
from siamesekit.errors import CorruptDatasetError

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


@dataclass(frozen=True, eq=False)
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
        Keep the pixels, packed to a bit each (27 MB), in the user's cache folder, so that the next
        load is fast. The environment variable ``SIAMESEKIT_CACHE`` names another folder; where
        none can be written, nothing is kept. The data folder is left as it is.

    Returns
    -------
    Omniglot

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.
    DatasetNotFoundError
        If the files are not there.
    CorruptDatasetError
        If the archive is damaged or incomplete; it and the file in it are named. A checksum is
        asked of downloads only, so repacked archives of the same images are welcome.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
       probabilistic program induction", Science 350, 2015.
    """
    check_choice("split", split, ("background", "evaluation", "all"))
    check_flag("cache", cache)
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
    address = f"{_OFFICIAL}{folder}.zip"
    if root is None:
        source = fetch(address, official_hash, "omniglot")
    else:
        source = find_source(root, folder, address)
    stored = None
    if cache:
        digest = source_digest(source, ".png", LARGEST_DRAWING)
        stored = PixelCache(folder, digest, n_characters, row_bytes=-(-DRAWERS * SIDE * SIDE // 8))
    packed = stored.read() if stored else None
    if packed is None:
        with open_files(source) as files:
            packed = _decode(files, n_characters)
        if stored:
            stored.write(*packed)
    names, rows = packed
    pixels = np.unpackbits(rows, axis=1, count=DRAWERS * SIDE * SIDE)
    pixels *= 255
    return Omniglot(
        X=pixels.reshape(-1, DRAWERS, SIDE, SIDE),
        alphabets=np.array([name.split("/")[0] for name in names]),
        characters=names,
        drawers=np.arange(1, DRAWERS + 1),
    )


def _decode(files: Files, n_characters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted names of the characters, and their drawings packed, a row each."""
    drawings: dict[str, list[str]] = {}
    for path in files.names:
        if path.endswith(".png"):
            drawings.setdefault(path.rpartition("/")[0], []).append(path)
    wanted = {f"{n:02d}" for n in range(1, DRAWERS + 1)}
    for name, own in drawings.items():
        # 0042_07.png: the seventh person's drawing of character 42.
        numbers = [path.removesuffix(".png").rpartition("_")[2] for path in own]
        if name.count("/") != 1 or len(own) != DRAWERS or set(numbers) != wanted:
            astray = ", ".join(sorted(wanted ^ set(numbers))) or "none"
            raise CorruptDatasetError(
                f"{files.source} must hold ALPHABET/CHARACTER/NUMBER_01.png to _{DRAWERS}.png; "
                f"{name!r} has {len(own)} drawings (missing or unknown: {astray})."
            )
    if len(drawings) != n_characters:
        raise CorruptDatasetError(
            f"{files.source} must hold {n_characters} characters; it has {len(drawings)}."
        )
    names = sorted(drawings)
    # One thread: 32,000 tiny files keep the interpreter busy, not the decoder.
    rows = [_packed(files, drawings[name]) for name in names]
    return np.array(names), np.stack(rows)


def _packed(files: Files, paths: list[str]) -> np.ndarray:
    """Return the drawings of one character, a bit a pixel, shape (bytes,)."""
    return np.packbits([drawing(files, path) for path in paths])


def drawing(files: Files, path: str) -> np.ndarray:
    """Return where a drawing is inked, bool, shape (105, 105).

    Raises
    ------
    CorruptDatasetError
        If it is damaged or no such image; it is named.
    """
    data = files.read(path, LARGEST_DRAWING)
    return decode_ink(data, SIDE, f"{files.source}: {path}")
