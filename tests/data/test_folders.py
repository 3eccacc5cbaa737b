"""A user's own pictures: read as they are wanted, and what cannot be read is named."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from siamesekit.data import load_image_folder, load_pairs_csv, resize
from siamesekit.errors import (
    CorruptDatasetError,
    DatasetNotFoundError,
    InvalidDataError,
    InvalidParameterError,
)

Image: Any = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
GREY = {
    name: RNG.integers(0, 256, (8, 6), dtype=np.uint8)
    for name in ("bob/2.png", "bob/10.png", "ann/b.png", "ann/a.png")
}


def write(path: Path, pixels: npt.NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for name, pixels in GREY.items():
        write(folder / name, pixels)
    return folder


def test_pictures_come_in_the_order_of_their_names(root: Path) -> None:
    (root / ".hidden").mkdir()
    (root / "ann" / ".DS_Store").write_bytes(b"x")
    (root / "ann" / "Thumbs.db").write_bytes(b"x")
    (root / "README.txt").write_text("who they are")
    images = load_image_folder(str(root))
    assert images.paths is not None
    assert images.paths.tolist() == ["ann/a.png", "ann/b.png", "bob/10.png", "bob/2.png"]
    assert images.y.tolist() == ["ann", "ann", "bob", "bob"]
    np.testing.assert_array_equal(images.X, np.stack([GREY[name] for name in images.paths]))
    chosen = images.subset(images.y == "bob")
    assert chosen.paths is not None
    assert chosen.paths.tolist() == ["bob/10.png", "bob/2.png"]


def test_colour_grey_size_and_ink(root: Path) -> None:
    assert load_image_folder(root, mode="rgb").X.shape == (4, 3, 8, 6)
    plain = load_image_folder(root).X
    np.testing.assert_array_equal(load_image_folder(root, invert=True).X, 255 - plain)
    np.testing.assert_array_equal(load_image_folder(root, size=(4, 3)).X, resize(plain, (4, 3)))
    assert load_image_folder(root, size=5).X.shape == (4, 5, 5)
    write(root / "ann" / "c.png", np.zeros((9, 6), np.uint8))
    with pytest.raises(
        CorruptDatasetError, match=r"c\.png must be of the size of .*a\.png.*8 × 6.*9 × 6.*size="
    ):
        load_image_folder(root)
    assert load_image_folder(root, size=8).X.shape == (5, 8, 8)


def colours() -> npt.NDArray[np.uint8]:
    return RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "TIFF", "webp"])
def test_formats_that_lose_nothing_read_the_same(suffix: str, tmp_path: Path) -> None:
    pixels = colours()
    options = {"lossless": True} if suffix == "webp" else {}
    write(tmp_path / "ann" / f"1.{suffix}", pixels, **options)
    read = load_image_folder(tmp_path, mode="rgb").X
    np.testing.assert_array_equal(read[0], np.moveaxis(pixels, 2, 0))


def test_a_photograph_stands_upright_as_its_exif_says(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[274] = 6  # turn a quarter clockwise
    write(tmp_path / "ann" / "1.jpg", pixels, exif=exif, quality=95)
    read = load_image_folder(tmp_path).X[0]
    assert read.shape == (16, 8)
    assert read[:8].mean() > 250
    assert read[8:].mean() < 5


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 48).astype(np.uint16).reshape(8, 6)
    write(tmp_path / "ann" / "1.png", wide)
    expected = np.round(wide / 257).astype(np.uint8)
    np.testing.assert_array_equal(load_image_folder(tmp_path).X[0], expected)
    assert load_image_folder(tmp_path, mode="rgb").X.shape == (1, 3, 8, 6)


def test_what_is_transparent_is_paper(tmp_path: Path) -> None:
    pixels = np.zeros((8, 6, 4), np.uint8)
    pixels[2, 2, 3] = 255
    write(tmp_path / "ann" / "1.png", pixels)
    image = Image.new("P", (6, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((2, 2), 1)
    image.save(tmp_path / "ann" / "2.png", transparency=0)
    ink, palette = load_image_folder(tmp_path, invert=True).X
    assert ink[2, 2] == 255
    assert (ink > 0).sum() == (palette > 0).sum() == 1


def _nested(root: Path) -> None:
    write(root / "ann" / "2020" / "1.png", GREY["ann/a.png"])


def _empty(root: Path) -> None:
    (root / "eve").mkdir()


def _text(root: Path) -> None:
    (root / "ann" / "notes.txt").write_text("x")


def _loose(root: Path) -> None:
    write(root / "1.png", GREY["ann/a.png"])


def _cut(root: Path) -> None:
    path = root / "ann" / "a.png"
    path.write_bytes(path.read_bytes()[:-30])


def _no_picture(root: Path) -> None:
    (root / "ann" / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")


def _floats(root: Path) -> None:
    write(root / "ann" / "c.tif", np.zeros((8, 6), np.float32))


def _thirty_two_bits(root: Path) -> None:
    write(root / "ann" / "c.tif", np.full((8, 6), 70_000, np.int32))


def _several(root: Path) -> None:
    frames = [Image.new("L", (6, 8)) for _ in range(2)]
    frames[0].save(root / "ann" / "c.tif", save_all=True, append_images=frames[1:])


def _wide(root: Path) -> None:
    write(root / "ann" / "c.png", np.zeros((1, 4097), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_nested, "ann must hold pictures only.*holds the folder '2020'"),
        (_empty, "there is none in 'eve'"),
        (_text, r"ann must hold pictures only.*it holds 'notes\.txt'"),
        (_loose, r"pictures in folders, one a class.*holds '1\.png' itself"),
        (_cut, r"a\.png is no whole picture"),
        (_no_picture, r"a\.png is no whole picture"),
        (_floats, r"c\.tif must hold numbers of 8 or 16 bits.*floats"),
        (_thirty_two_bits, r"c\.tif must hold numbers of 8 or 16 bits"),
        (_several, r"c\.tif must hold one picture; it holds 2"),
        (_wide, r"c\.png must have 4,096 pixels a side at most; it has 1 × 4,097"),
    ],
)
def test_what_cannot_be_read_is_named(spoil: Any, message: str, root: Path) -> None:
    spoil(root)
    with pytest.raises(CorruptDatasetError, match=message):
        load_image_folder(root, size=8)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="absent: there is nothing"):
        load_image_folder(tmp_path / "absent")
    with pytest.raises(DatasetNotFoundError, match="holds none"):
        load_image_folder(tmp_path)
    path = write(tmp_path / "1.png", GREY["ann/a.png"])
    with pytest.raises(DatasetNotFoundError, match="it is a file"):
        load_image_folder(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "gray"}, "mode must be one of 'grey', 'rgb'.*Did you mean 'grey'"),
        ({"size": 0}, "size must be an integer"),
        ({"size": (8,)}, r"size must be None, a number of pixels or a pair \(h, w\)"),
        ({"size": (8, 5000)}, "size must be an integer"),
        ({"invert": 1}, "invert must be True or False"),
        ({"root": 5}, "root must be a path"),
    ],
)
def test_arguments_are_named(arguments: dict[str, Any], message: str, root: Path) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        load_image_folder(**({"root": root} | arguments))


def table(root: Path, text: str, encoding: str = "utf-8") -> Path:
    path = root / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_pairs_are_read_from_a_table_and_each_file_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from siamesekit.data._pictures import Pictures

    read: list[str] = []
    real = Pictures.read
    monkeypatch.setattr(
        Pictures, "read", lambda self, path: read.append(path.name) or real(self, path)
    )
    path = table(
        root,
        "Same, note, b, a\r\n"
        "1,twins,ann/b.png,ann/a.png\r\n"
        'FALSE,"a, b",bob/2.png,ann/a.png\r\n'
        "\r\n"
        "0,,./ann/b.png,bob/2.png\r\n",
        "utf-8-sig",
    )
    pairs = load_pairs_csv(path)
    assert sorted(read) == ["2.png", "a.png", "b.png"]
    assert pairs.paths.tolist() == ["ann/a.png", "ann/b.png", "bob/2.png"]
    assert pairs.same.tolist() == [True, False, False]
    np.testing.assert_array_equal(pairs.A[2], GREY["bob/2.png"])
    np.testing.assert_array_equal(pairs.B[0], GREY["ann/b.png"])
    assert len(pairs) == 3
    beside = load_pairs_csv(path, root, mode="rgb", size=4, invert=True)
    assert beside.A.shape == (3, 3, 4, 4)


HEAD = "a,b,same\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns a, b and same.*a, b, same not so"),
        ("a;b;same\n", "with commas between them"),
        ("a,b,a\n", "a, same not so"),
        (HEAD, "must hold a pair or more"),
        (HEAD + "ann/a.png,ann/b.png\n", "line 2: there must be 3 cells.*got 2"),
        (HEAD + "ann/a.png,ann/b.png,yes\n", "line 2: same must be 1 or 0.*'yes'"),
        (HEAD + "ann/a.png,,1\n", "line 2: b must not be empty"),
        (
            HEAD + "ann/a.png,ann/b.png,1\nann/a.png,ann/c.png,1\n",
            r"line 3: there is no file .*c\.",
        ),
        (HEAD + "ann/a.png,./ann/a.png,1\n", "line 2: .*compared with itself"),
        (
            HEAD + "ann/a.png,ann/b.png,1\nann/b.png,ann/a.png,0\n",
            "line 3: same contradicts line 2",
        ),
        (HEAD + '"ann/a.png,ann/b.png,1\n', "line 2: "),
    ],
)
def test_lines_that_cannot_be_used_are_named(text: str, message: str, root: Path) -> None:
    with pytest.raises(CorruptDatasetError, match=message):
        load_pairs_csv(table(root, text))


def test_a_table_that_cannot_be_read_is_named(root: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent\.csv: there is nothing"):
        load_pairs_csv(root / "absent.csv")
    with pytest.raises(CorruptDatasetError, match="cannot be read"):
        load_pairs_csv(table(root, "a,b,same\né,é,1\n", "latin-1"))
    with pytest.raises(CorruptDatasetError, match="cannot be read"):
        load_pairs_csv(root)


def test_pairs_of_other_shapes_are_refused(root: Path) -> None:
    pairs = load_pairs_csv(table(root, HEAD + "ann/a.png,ann/b.png,1\n"))
    with pytest.raises(InvalidDataError, match="first, second and same"):
        type(pairs)(pairs.X, pairs.first + 5, pairs.second, pairs.same, pairs.paths)


def test_two_levels_deep_the_upper_folders_are_groups(tmp_path: Path) -> None:
    for name in ("greek/alpha/1.png", "greek/beta/1.png", "latin/alpha/1.png"):
        write(tmp_path / name, GREY["ann/a.png"])
    images = load_image_folder(tmp_path)
    assert images.y.tolist() == ["greek/alpha", "greek/beta", "latin/alpha"]
    assert images.groups is not None
    assert images.groups.tolist() == ["greek", "greek", "latin"]
    write(tmp_path / "latin" / "2.png", GREY["ann/a.png"])
    with pytest.raises(CorruptDatasetError, match=r"greek must hold pictures only.*folder 'alpha'"):
        load_image_folder(tmp_path)


def test_paths_alone_are_listed_and_nothing_is_read(root: Path) -> None:
    (root / "ann" / "a.png").write_bytes(b"no picture")
    paths, y, groups = load_image_folder(root, as_paths=True)
    assert paths.tolist()[:2] == [str(root / "ann/a.png"), str(root / "ann/b.png")]
    assert y.tolist() == ["ann", "ann", "bob", "bob"]
    assert groups is None
    with pytest.raises(InvalidParameterError, match="mode, size and invert must be given to an"):
        load_image_folder(root, as_paths=True, size=8)  # type: ignore[call-overload]
    with pytest.raises(InvalidParameterError, match="as_paths must be True or False"):
        load_image_folder(root, as_paths=1)  # type: ignore[call-overload]
