import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from siamesekit import SiameseClassifier
from siamesekit.data import DrawingReader
from siamesekit.errors import CorruptDatasetError, InvalidDataError, InvalidParameterError
from siamesekit.testing import check_plugin

BASE = np.zeros((100, 100), np.uint8)
BASE[20:80, 30:36] = 255
BASE[74:80, 30:70] = 255  # an L, 60 high and 40 wide


def read(drawing: Any) -> np.ndarray:
    return DrawingReader().read(drawing).image


def near(drawing: Any, other: np.ndarray = BASE) -> bool:
    """Whether two drawings are read alike, but for rounding and half a pixel."""
    difference = np.abs(read(drawing).astype(float) - read(other))
    return bool(difference.mean() < 6)


def test_it_keeps_the_contract_of_a_reader() -> None:
    found = DrawingReader().read(BASE)
    assert found.paper == "dark"
    assert found.box == (20, 30, 60, 40)
    assert not found.as_is
    assert not found.transparent
    assert found.image.dtype == np.uint8
    assert found.image.max() == 255
    rows = np.flatnonzero((found.image > 127).any(1))
    assert len(rows) / 28 == pytest.approx(0.66, abs=0.04)
    assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(14, abs=1)


def test_polarity_place_size_and_kind_of_number_do_not_matter() -> None:
    moved = np.zeros((240, 150), np.uint8)
    moved[130:230, 40:140] = BASE
    alike: list[Any] = [
        255 - BASE,
        moved,
        np.kron(BASE, np.ones((4, 4), np.uint8)),
        BASE[10:90, 20:80],
        BASE > 0,
        BASE / 255,
        BASE.astype(np.float32),
        BASE.astype(np.uint16) * 257,
        BASE.astype(np.int64),
        BASE.tolist(),
        torch.from_numpy(BASE),
        torch.from_numpy(BASE).bfloat16(),
        Image.fromarray(BASE),
        (BASE * 0.3).astype(np.uint8),
        BASE[:, :, None],
        BASE[None],
        np.repeat(BASE[:, :, None], 3, axis=2),
        np.repeat(BASE[None], 3, axis=0),
    ]
    for k, drawing in enumerate(alike):
        assert near(drawing), k
    assert not near(BASE.T[:, ::-1])


@pytest.mark.parametrize("colour", [(200, 0, 0), (0, 0, 0), (255, 255, 0), (120, 130, 140)])
def test_ink_of_any_colour_on_white(colour: tuple[int, int, int]) -> None:
    paper = np.full((100, 100, 3), 255, np.uint8)
    paper[BASE > 0] = colour
    found = DrawingReader().read(paper)
    assert found.paper == "bright"
    assert near(paper)


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_paper(ink: int, channels: int) -> None:
    layers = np.full((100, 100, channels), ink, np.uint8)
    layers[:, :, -1] = BASE
    assert DrawingReader().read(layers).transparent
    assert near(layers)


def test_an_opaque_alpha_channel_says_nothing() -> None:
    layers = np.repeat((255 - BASE)[:, :, None], 4, axis=2)
    layers[:, :, 3] = 255
    assert not DrawingReader().read(layers).transparent
    assert near(layers)


def test_rough_paper_is_paper() -> None:
    rough = np.random.default_rng(0).normal(240, 5, BASE.shape).clip(0, 255)
    rough[BASE > 0] = 20
    assert near(rough.astype(np.uint8))


def test_what_was_read_is_taken_as_it_is() -> None:
    image = read(BASE)
    again = DrawingReader().read(image)
    assert again.as_is
    assert np.array_equal(again.image, image)
    assert not DrawingReader().read(255 - image).as_is


def test_a_dot_stays_a_dot() -> None:
    dot = np.zeros((105, 105), np.uint8)
    dot[50:53, 20:23] = 255
    assert 0 < (read(dot) > 127).mean() < 0.1


@pytest.mark.parametrize(
    ("drawing", "word"),
    [
        (np.zeros((50, 50), np.uint8), "blank"),
        (np.full((50, 50), 255, np.uint8), "blank"),
        (np.full((50, 50, 4), 0, np.uint8), "blank"),
        (np.full((28, 28), 255, np.uint8), "blank"),
        (np.ones((1, 1), np.uint8), "pixels a side"),
        (np.zeros((5000, 4), np.uint8), "pixels a side"),
        (np.zeros(50), "shape"),
        (np.zeros((50, 50, 7)), "shape"),
        (np.full((50, 50), np.nan), "NaN"),
        (np.linspace(-1, 1, 2500).reshape(50, 50), "numbers from 0"),
        (np.linspace(0, 300, 2500).reshape(50, 50), "numbers from 0"),
        (np.full((50, 50), "a"), "numbers"),
        (np.random.default_rng(0).random((60, 60)), "blank|no drawing"),
        (np.random.default_rng(0).random((90, 90)) > 0.97, "pieces"),
    ],
)
def test_what_is_no_drawing_is_named(drawing: np.ndarray, word: str) -> None:
    with pytest.raises(InvalidDataError, match=word):
        DrawingReader().read(drawing)


def test_ink_over_all_is_named() -> None:
    picture = np.zeros((60, 60), np.uint8)
    picture[5:55, 3:57] = 255
    with pytest.raises(InvalidDataError, match="is ink"):
        DrawingReader().read(picture)


@pytest.mark.parametrize("params", [{"side": 4}, {"side": 28.0}, {"fill": 0.0}, {"fill": 2}])
def test_a_bad_argument_is_named(params: dict) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(params))):
        DrawingReader(**params)


def test_files(tmp_path: Path) -> None:
    reader = DrawingReader()
    colours = np.zeros((100, 100, 4), np.uint8)
    colours[:, :, 3] = BASE
    for name, pixels in {"a.png": BASE, "b.png": 255 - BASE, "c.png": colours}.items():
        Image.fromarray(pixels).save(tmp_path / name)
        assert near(reader(tmp_path / name))
    assert np.array_equal(pickle.loads(pickle.dumps(reader))(tmp_path / "a.png"), read(BASE))
    Image.fromarray(BASE * 0).save(tmp_path / "blank.png")
    with pytest.raises(CorruptDatasetError, match=r"blank\.png.*blank"):
        reader(tmp_path / "blank.png")
    with pytest.raises(CorruptDatasetError, match="absent"):
        reader(tmp_path / "absent.png")


def test_it_is_a_reader_by_name() -> None:
    check_plugin("readers", "drawing")


class TestBox:
    def box(self) -> SiameseClassifier:
        return SiameseClassifier.from_pretrained("omniglot-28", device="cpu")

    def test_it_takes_drawings_of_any_kind(self, tmp_path: Path) -> None:
        other = np.ascontiguousarray(BASE.T[:, ::-1])
        box = self.box().enroll([BASE, 255 - np.pad(other, 30)], ["L", "other"])
        assert box.predict(np.stack([255 - BASE, other])).tolist() == ["L", "other"]
        Image.fromarray(255 - BASE).save(tmp_path / "a.png")
        assert box.predict([str(tmp_path / "a.png")]).tolist() == ["L"]
        np.testing.assert_allclose(
            box.transform([tmp_path / "a.png"]), box.transform(255 - BASE[None]), atol=1e-6
        )

    def test_images_of_its_size_stay_as_they_are(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
        images = np.stack([read(BASE), np.roll(read(BASE), 3, axis=1), noise])
        whole = self.box()
        plain = self.box().set_params(reader="image")
        assert np.array_equal(whole.transform(images), plain.transform(images))
        white = 255 - images[:1]
        assert np.array_equal(whole.transform(white), plain.transform(read(white[0])[None]))

    def test_an_item_that_is_no_drawing_is_named_and_nothing_is_enrolled(self) -> None:
        box = self.box()
        with pytest.raises(InvalidDataError, match=r"X\[1\] is blank"):
            box.enroll(np.stack([BASE, BASE * 0]), [0, 1])
        with pytest.raises(InvalidDataError, match=r"X\[None\]"):
            box.transform(np.zeros((50, 60, 3), np.uint8))
        assert len(box.classes_) == 0
