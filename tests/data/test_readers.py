"""Pictures as a reader makes items of them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from siamesekit import registry
from siamesekit.data import ImageReader, load_image_folder
from siamesekit.errors import CorruptDatasetError, InvalidParameterError

Image = pytest.importorskip("PIL.Image")

RAMP = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6) * 5


def save(path: Path, image: Any, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def test_a_picture_is_what_a_folder_of_it_holds(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    colours = np.stack([RAMP, RAMP.T.reshape(8, 6), 255 - RAMP], axis=2)
    path = save(tmp_path / "ann" / "a.png", Image.fromarray(colours))
    for ours, mode in (("L", "grey"), ("RGB", "rgb")):
        loaded = load_image_folder(tmp_path, mode=mode, size=(4, 3), invert=True).X[0]
        read = ImageReader(size=(4, 3), mode=ours, invert=True)(path)
        np.testing.assert_array_equal(read, loaded)
    assert ImageReader()(path).shape == (8, 6)


def test_it_is_turned_and_of_any_usual_kind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = save(tmp_path / "turned.png", Image.fromarray(RAMP), exif=exif)
    np.testing.assert_array_equal(ImageReader()(turned), np.rot90(RAMP, -1))
    wide = save(tmp_path / "wide.png", Image.fromarray(RAMP.astype(np.uint16) * 257))
    np.testing.assert_array_equal(ImageReader()(wide), RAMP)
    grey = Image.fromarray(np.full((8, 6), 90, np.uint8))
    for name, image in {
        "cmyk.jpg": grey.convert("CMYK"),
        "palette.png": grey.convert("P"),
        "alpha.png": grey.convert("LA"),
    }.items():
        read = ImageReader(mode="RGB")(save(tmp_path / name, image))
        assert read.shape == (3, 8, 6)
        assert np.abs(read.astype(int) - 90).max() <= 2, name


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    whole = save(tmp_path / "cut.jpg", Image.fromarray(np.zeros((64, 64), np.uint8)))
    Path(whole).write_bytes(Path(whole).read_bytes()[:200])
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    moving = save(tmp_path / "moving.png", frames[0], save_all=True, append_images=frames[1:])
    gif = save(tmp_path / "a.gif", frames[0])
    bomb = save(tmp_path / "bomb.png", Image.new("1", (40_000, 20)))
    for path in (whole, moving, gif, bomb, str(tmp_path / "absent.png"), str(tmp_path)):
        with pytest.raises(CorruptDatasetError, match=Path(path).name):
            ImageReader(size=4)(path)
    with pytest.raises(InvalidParameterError, match="path must be a path"):
        ImageReader()(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "grey"}, "mode must be one of 'L', 'RGB'"),
        ({"size": 0}, "size must be an integer"),
        ({"size": (1, 2, 3)}, "size must be None, a number"),
        ({"invert": None}, "invert must be True or False"),
    ],
)
def test_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        ImageReader(**arguments)
    reader = ImageReader(size=3)
    with pytest.raises(InvalidParameterError, match=message):
        reader.set_params(**arguments)
    assert reader.size == 3


def test_it_is_a_part_and_crosses_to_other_processes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(RAMP))
    reader = registry.create("readers", "image", size=4)
    reader(path)  # so that Pillow is in it
    for other in (pickle.loads(pickle.dumps(reader)), copy.deepcopy(reader), clone(reader)):
        np.testing.assert_array_equal(other(path), reader(path))
