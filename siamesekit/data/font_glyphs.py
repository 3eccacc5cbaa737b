"""Real characters of many scripts, from the fonts that matplotlib installs."""

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from siamesekit._checks import check_integer, check_number
from siamesekit._random import RandomState, generator_from
from siamesekit.data.augmentation import RandomAffine
from siamesekit.data.images import ImageSet
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

_COVERED = 0.8
_FEWEST_FACES = 4
_CANVAS = 84
_EM = 44
_ALIKE = 0.93


def load_font_glyphs(
    size: int = 28, distortion: float = 1.0, random_state: RandomState = 0
) -> ImageSet:
    """Render the characters of 15 scripts, each in 4 to 16 faces, as if drawn by hand.

    A face plays the drawer, a script the alphabet. Every image is warped by a map of its own
    (affine, and a smooth random displacement), so that comparing pixels does not do.

    Parameters
    ----------
    size : int
        Side of the images, in pixels.
    distortion : float
        Strength of the warp: 0 leaves the glyphs as printed, 1 is like hasty handwriting.
    random_state : int or Generator
        Of the warp.

    Returns
    -------
    ImageSet
        ``X`` (n, size, size) with ink 255; ``y`` the character's Unicode name; ``groups`` its
        script; ``drawers`` the face. All characters of a script come in the same faces; those
        that look like an earlier one of their script (``c`` beside ``C``) are left out.

    Raises
    ------
    DatasetNotFoundError
        If matplotlib, which brings the fonts, is not installed.
    InvalidParameterError
        If a parameter is out of range.
    """
    check_integer("size", size, low=8)
    check_number("distortion", distortion, low=0.0, high=2.0)
    glyphs, names, scripts, faces = _printed()
    generator = generator_from(random_state)
    images = []
    for block in torch.from_numpy(glyphs).split(1024):  # type: ignore[no-untyped-call]
        warped = _warp(block[:, None].float() / 255, distortion, generator)
        small = F.interpolate(warped, size=(size, size), mode="area")[:, 0]
        images.append(small.mul(255).round().clamp(0, 255).to(torch.uint8))
    return ImageSet(torch.cat(images).numpy(), names.copy(), scripts.copy(), faces.copy())


@lru_cache(maxsize=1)
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
        assert len(covering) >= _FEWEST_FACES, f"{script}: {covering}"
        shared = [code for code in known if all(code in fonts.codes(face) for face in covering)]
        for code in _distinct(shared, fonts):
            for face in covering:
                glyphs.append(fonts.draw(face, code))
                names.append(unicodedata.name(chr(code)))
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


def _distinct(codes: list[int], fonts: _Fonts) -> list[int]:
    """Return the codes whose shape, whatever its size, is unlike those before."""
    kept: list[int] = []
    shapes: list[Tensor] = []
    for code in codes:
        shape = _shape(fonts.draw(_FACES[0], code))
        if shape is not None and all(float(shape @ other) < _ALIKE for other in shapes):
            kept.append(code)
            shapes.append(shape)
    return kept


def _shape(glyph: np.ndarray) -> Tensor | None:
    """Return a glyph's ink stretched to 20 × 20, of unit length; None where there is no ink."""
    rows, columns = np.flatnonzero(glyph.any(1)), np.flatnonzero(glyph.any(0))
    if len(rows) == 0:
        return None
    ink = glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = F.interpolate(torch.from_numpy(ink)[None, None].float(), size=(20, 20), mode="area")
    return F.normalize(small.flatten(), dim=0)


def _warp(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return images (b, 1, h, w) under a random affine map and a smooth displacement each."""
    affine = RandomAffine(
        rotation=12 * strength,
        shear=0.2 * strength,
        scale=(1 - 0.2 * strength / 2, 1 + 0.2 * strength / 2),
        translate=0.05 * strength,
    )
    maps = affine.matrices(len(x), generator)
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    knots = 0.06 * strength * torch.randn(len(x), 2, 5, 5, generator=generator)
    bend = F.interpolate(knots, size=x.shape[2:], mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bilinear", align_corners=False)
