"""Real characters of many scripts, from the fonts that matplotlib installs."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_integer, check_number
from siamesekit._random import RandomState, generator_from
from siamesekit.data import ImageSet, RandomAffine
from siamesekit.errors import DatasetNotFoundError

__all__ = ["load_font_glyphs"]

_FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
)

# Unicode blocks of which several faces have most letters.
_SCRIPTS = {
    "Latin": (0x0041, 0x007B),
    "Latin-1": (0x00C0, 0x0100),
    "Latin Extended-A": (0x0100, 0x0180),
    "Latin Extended-B": (0x0180, 0x0250),
    "IPA": (0x0250, 0x02B0),
    "Greek": (0x0370, 0x0400),
    "Cyrillic": (0x0400, 0x0460),
    "Cyrillic Extended": (0x0460, 0x0530),
    "Armenian": (0x0531, 0x0590),
    "Hebrew": (0x05D0, 0x05EB),
    "Arabic": (0x0621, 0x064B),
    "Lao": (0x0E81, 0x0EE0),
    "Georgian": (0x10A0, 0x1100),
    "Arrows": (0x2190, 0x2200),
    "Mathematical": (0x2200, 0x2300),
}

# A face takes part in a script of which it has this share of the characters.
_COVERED = 0.8
# It is no drawer of its own if it prints more than this share just like another face.
_COPIED = 0.1
_FEWEST_FACES = 4
_CANVAS = 84
_EM = 60
# Cosine from which two shapes, each stretched to one size, count as one character.
_ALIKE = 0.93
_SHAPE_SIDE = 20


def load_font_glyphs(
    size: int = 28, distortion: float = 1.0, random_state: RandomState = 0
) -> ImageSet:
    """Render the characters of 15 scripts, each in 4 to 16 faces, as if drawn by hand.

    A face plays the drawer, a script the alphabet. Every image is warped by a map of its own
    (affine, and a smooth random displacement), so that comparing pixels does not do: the cosine
    nearest neighbour solves about 30 % of 20-way tasks within a script, as it does 22 % on
    Omniglot.

    Parameters
    ----------
    size : int
        Side of the images, in pixels, 8 to 105. The glyphs are printed at 84.
    distortion : float
        Strength of the warp: 0 leaves the glyphs as printed, 1 is like hasty handwriting.
    random_state : int, numpy RandomState or Generator, torch.Generator or None
        Of the warp.

    Returns
    -------
    ImageSet
        ``X`` (n, size, size) with ink 255; ``y`` the character's Unicode name; ``groups`` its
        script; ``drawers`` the face. All characters of a script come in the same faces. Left out
        are characters that look like an earlier one of their script (``c`` beside ``C``), and in a
        script the faces that print it like another (bold arrows that are not bold).

    Raises
    ------
    DatasetNotFoundError
        If matplotlib, which brings the fonts, is not installed, or came without them.
    InvalidParameterError
        If a parameter is out of range.
    """
    check_integer("size", size, low=8, high=105)
    check_number("distortion", distortion, low=0.0, high=2.0)
    generator = generator_from(random_state)
    glyphs, names, scripts, faces = _printed()
    images = []
    for start in range(0, len(glyphs), 512):
        block = torch.from_numpy(glyphs[start : start + 512])
        warped = _warp(block[:, None].float() / 255, size, distortion, generator)
        images.append(warped[:, 0].mul(255).round().clamp(0, 255).to(torch.uint8))
    return ImageSet(torch.cat(images).numpy(), names, scripts, faces)


def _printed() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return printed glyphs (n, 84, 84) with their characters, scripts and faces."""
    fonts = _Fonts()
    glyphs, names, scripts, faces = [], [], [], []
    for script, (first, last) in _SCRIPTS.items():
        letters = [code for code in range(first, last) if _is_sign(code)]
        known = [code for code in letters if code in fonts.codes(_FACES[0])]
        covering = [
            face
            for face in _FACES
            if sum(code in fonts.codes(face) for code in known) >= _COVERED * len(known)
        ]
        shared = [code for code in known if all(code in fonts.codes(face) for face in covering)]
        drawn = {face: np.stack([fonts.draw(face, code) for code in shared]) for face in covering}
        drawers = _originals(drawn)
        if len(drawers) < _FEWEST_FACES:
            continue  # an installation with other fonts than these
        for k in _distinct(drawn[drawers[0]]):
            for face in drawers:
                glyphs.append(drawn[face][k])
                names.append(unicodedata.name(chr(shared[k])))
                scripts.append(script)
                faces.append(face)
    return np.stack(glyphs), np.array(names), np.array(scripts), np.array(faces)


class _Fonts:
    """The font files, opened once each."""

    def __init__(self) -> None:
        try:
            import matplotlib
            from matplotlib.ft2font import FT2Font
            from PIL import ImageFont
        except ImportError as error:
            raise DatasetNotFoundError(
                'the glyphs come with matplotlib: pip install "siamesekit[plot]".'
            ) from error
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        paths = {face: str(folder / f"{face}.ttf") for face in _FACES}
        missing = [face for face, path in paths.items() if not Path(path).is_file()]
        if missing:
            raise DatasetNotFoundError(
                f"matplotlib's own fonts are not all in {folder} ({missing[0]}.ttf is missing): "
                "some distributions leave them out; install matplotlib with pip."
            )
        self._codes = {face: frozenset(FT2Font(p).get_charmap()) for face, p in paths.items()}
        self._fonts: dict[str, Any] = {
            face: ImageFont.truetype(p, _EM) for face, p in paths.items()
        }

    def codes(self, face: str) -> frozenset[int]:
        """Return the code points that a face has."""
        return self._codes[face]

    def draw(self, face: str, code: int) -> np.ndarray:
        """Return a printed character in the middle of the canvas, uint8 (84, 84)."""
        mask = self._fonts[face].getmask(chr(code), mode="L")
        width, height = mask.size
        ink = np.array(mask, dtype=np.uint8).reshape(height, width)
        ink = ink[:_CANVAS, :_CANVAS]
        canvas = np.zeros((_CANVAS, _CANVAS), dtype=np.uint8)
        top, left = (_CANVAS - ink.shape[0]) // 2, (_CANVAS - ink.shape[1]) // 2
        canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        return canvas


def _is_sign(code: int) -> bool:
    """Return whether a code point is a letter or symbol that stands by itself."""
    return unicodedata.category(chr(code)) in ("Lu", "Ll", "Lo", "Lt", "Sm", "So")


def _originals(drawn: dict[str, np.ndarray]) -> list[str]:
    """Return the faces, in order, that print at most a few glyphs like a face before them."""
    kept: list[str] = []
    for face, glyphs in drawn.items():
        copied = [(glyphs == drawn[other]).all((1, 2)).mean() for other in kept]
        if max(copied, default=0.0) <= _COPIED:
            kept.append(face)
    return kept


def _distinct(glyphs: np.ndarray) -> list[int]:
    """Return the positions of glyphs whose shape, whatever its size, is unlike those before."""
    kept: list[int] = []
    shapes = torch.zeros(0, _SHAPE_SIDE**2)
    for position, glyph in enumerate(glyphs):
        shape = _shape(glyph)
        if shape is not None and bool((shapes @ shape < _ALIKE).all()):
            kept.append(position)
            shapes = torch.cat([shapes, shape[None]])
    return kept


def _shape(glyph: np.ndarray) -> Tensor | None:
    """Return a glyph's ink stretched to a square, of unit length; None where there is no ink."""
    rows, columns = np.flatnonzero(glyph.any(1)), np.flatnonzero(glyph.any(0))
    if len(rows) == 0:
        return None
    ink = glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    square = (_SHAPE_SIDE, _SHAPE_SIDE)
    small = F.interpolate(torch.from_numpy(ink)[None, None].float(), size=square, mode="area")
    return F.normalize(small.flatten(), dim=0)


def _warp(x: Tensor, size: int, strength: float, generator: torch.Generator) -> Tensor:
    """Return images (b, 1, size, size) of glyphs under an affine map and a bend each."""
    affine = RandomAffine(
        rotation=12 * strength,
        shear=0.2 * strength,
        scale=(1 - 0.1 * strength, 1 + 0.1 * strength),
        translate=0.05 * strength,
    )
    # Where pixels are large, each is the mean of four samples.
    fine = 2 * size if 2 * size <= _CANVAS else size
    grid = F.affine_grid(
        affine.matrices(len(x), generator), [len(x), 1, fine, fine], align_corners=False
    )
    knots = 0.06 * strength * torch.randn(len(x), 2, 5, 5, generator=generator)
    bend = F.interpolate(knots, size=(fine, fine), mode="bicubic", align_corners=True)
    warped = F.grid_sample(x, grid + bend.permute(0, 2, 3, 1), align_corners=False)
    return F.interpolate(warped, size=(size, size), mode="area") if fine > size else warped
