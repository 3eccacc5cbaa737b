"""What a reader must do."""

import struct
import tempfile
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from siamesekit.testing._findings import Findings

__all__ = ["BASE", "check"]

BASE: Any = Callable

# A stroke on uneven paper: a picture to a reader of pictures, and a drawing to one of drawings.
_PIXELS = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10) // 12
_PIXELS[3:9, 4:6] = 200


def check(part: Any, found: Findings) -> None:
    """Read a small image or sound, in the first of some formats that the reader knows.

    Parameters
    ----------
    part : callable
        From a path to an item.
    found : Findings
        Takes what is missing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        refused = []
        for path in _files(folder):
            try:
                item = np.asarray(part(path))
            except Exception as error:
                refused.append(f"{path.suffix}: {type(error).__name__}: {error}")
                continue
            _check_item(part, path, item, found)
            break
        else:
            found.expect(False, f"it must read one of these: {'; '.join(refused)}")
        absent = folder / "absent.png"
        try:
            part(absent)
        except (OSError, ValueError):
            pass
        except Exception as error:
            found.expect(False, f"of a file that is not there it raises {type(error).__name__}")
        else:
            found.expect(False, "a file that is not there must be an OSError or a ValueError")


def _check_item(part: Any, path: Path, item: np.ndarray, found: Findings) -> None:
    is_numbers = item.dtype.kind in "buif"
    found.expect(
        is_numbers and 1 <= item.ndim <= 3 and item.size,
        "an item must be an array of numbers, of shape (f,), (h, w), (h, w, c) or (c, h, w); "
        f"got {item.dtype} of shape {item.shape}",
    )
    found.expect(not is_numbers or np.isfinite(item).all(), "an item must hold finite numbers")
    found.expect(_is_alike(part(path), item), "a file must read the same twice")
    with found.attempt("reading a path given as a string"):
        found.expect(_is_alike(part(str(path)), item), "a path and its string must read the same")


def _is_alike(read: Any, item: np.ndarray) -> bool:
    return np.array_equal(np.asarray(read), item, equal_nan=item.dtype.kind == "f")


def _files(folder: Path) -> list[Path]:
    """Write the same picture in some formats, and a sound."""
    height, width = _PIXELS.shape
    png, pgm, npy = (folder / f"image.{suffix}" for suffix in ("png", "pgm", "npy"))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in _PIXELS)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    pgm.write_bytes(f"P5 {width} {height} 255\n".encode() + _PIXELS.tobytes())
    np.save(npy, _PIXELS)
    sound = folder / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes((np.sin(np.arange(8_000)) * 10_000).astype("<i2").tobytes())
    return [png, pgm, npy, sound]


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)
