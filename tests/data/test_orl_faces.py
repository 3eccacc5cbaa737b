from pathlib import Path

import numpy as np
import pytest

from siamesekit.data import load_orl_faces
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidParameterError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder of made-up faces: photograph m of person n has the grey value 10 n / 2 + m."""
    for n in range(1, 41):
        for m in range(1, 11):
            path = tmp_path / "att_faces" / f"s{n}" / f"{m}.pgm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"P5\n92 112\n255\n" + bytes([5 * n + m]) * (92 * 112))
    return tmp_path


def test_people_come_in_the_order_of_their_numbers(root: Path) -> None:
    data = load_orl_faces(root)
    assert data.X.shape == (400, 112, 92)
    assert data.X.dtype == np.uint8
    assert data.y[::10].tolist() == [f"s{n}" for n in range(1, 41)]
    assert data.X[:, 0, 0].tolist() == [5 * n + m for n in range(1, 41) for m in range(1, 11)]


PIXELS = b" " * (92 * 112)  # white space, which is not to be taken for that of the header


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"P5\n92 112\n255\n" + bytes(50),
        b"P5\n112 92\n255\n" + bytes(92 * 112),
        b"P5\n92 112\n255\n" + PIXELS[:-1],
        b"P5\n92 112\n255\n" + PIXELS + b"\n",
        b"P2\n92 112\n255\n" + PIXELS,
        b"P5\n92 112\n65535\n" + PIXELS,
        b"P5\n92 112\n255\n" + bytes(10**6),
    ],
)
def test_a_damaged_photograph_is_named(root: Path, bad: bytes) -> None:
    (root / "att_faces/s17/3.pgm").write_bytes(bad)
    with pytest.raises(CorruptDatasetError, match=r"att_faces: s17/3\.pgm"):
        load_orl_faces(root)


def test_pixels_may_look_like_white_space(root: Path) -> None:
    (root / "att_faces/s1/1.pgm").write_bytes(b"P5\n92 112\n255\n" + PIXELS)
    assert (load_orl_faces(root).X[0] == 32).all()


@pytest.mark.parametrize("bad", [5, [], b"", True, ""])
def test_a_root_that_is_no_path_is_refused(bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="root must be a path"):
        load_orl_faces(bad)  # type: ignore[arg-type]


def test_a_missing_photograph_is_named(root: Path) -> None:
    (root / "att_faces/s40/10.pgm").unlink()
    with pytest.raises(CorruptDatasetError, match=r"it has no s40/10\.pgm"):
        load_orl_faces(root)


def test_without_a_root_it_is_said_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"root must be given.*att_faces\.zip"):
        load_orl_faces()
    with pytest.raises(DatasetNotFoundError, match=r"att_faces\.zip or the folder"):
        load_orl_faces(tmp_path)


def test_the_real_faces_differ_less_within_a_person(data_root: Path) -> None:
    data = load_orl_faces(data_root / "orl_faces")
    X = data.X.reshape(400, -1).astype(np.float32)
    nearest = ((X[:, None, ::97] - X[None, :, ::97]) ** 2).sum(2)
    np.fill_diagonal(nearest, np.inf)
    assert (data.y[nearest.argmin(1)] == data.y).mean() > 0.9
