import gzip
import hashlib
import os
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from siamesekit.data import load_mnist, mnist
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidParameterError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (7, 28, 28), dtype=np.uint8), np.arange(7, dtype=np.uint8)


@pytest.fixture
def root(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> Path:
    """Folder with seven digits, the images gzipped and the labels not."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(digits[0])))
    (folder / LABELS).write_bytes(idx(digits[1]))
    return folder


def test_gzipped_files_and_plain_ones_are_read(
    root: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    data = load_mnist(root)
    np.testing.assert_array_equal(data.X, digits[0])
    assert data.y.dtype == np.int64
    assert data.y.tolist() == list(range(7))
    data.X[0] = 0  # a user's own copy


def test_a_truncated_or_damaged_file_is_named(root: Path) -> None:
    packed = root / f"{IMAGES}.gz"
    whole = packed.read_bytes()
    plain = gzip.decompress(whole)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for bad in (
        whole[:-20],
        b"",
        bytes(damaged),
        b"not gzip",
        gzip.compress(plain[:-1]),
        gzip.compress(plain + b"x"),
        gzip.compress(plain[:6]),
        gzip.compress(idx(np.zeros(7, np.uint8))),
        gzip.compress(b"\0\0\x0d\3" + plain[4:]),
    ):
        packed.write_bytes(bad)
        with pytest.raises(CorruptDatasetError, match=IMAGES):
            load_mnist(root)


def test_images_and_labels_must_be_equally_many(root: Path) -> None:
    (root / LABELS).write_bytes(idx(np.arange(6, dtype=np.uint8)))
    with pytest.raises(CorruptDatasetError, match="7 images were found beside 6 labels"):
        load_mnist(root)


@pytest.mark.parametrize(
    "shape",
    [
        (0, 28, 28),
        (0, 0, 0),
        (7, 0, 28),
        (7, 5, 5),
        (7, 28, 29),
        (2**31, 2**31, 4),
        (70_001, 28, 28),
    ],
)
def test_sizes_that_no_digits_have_are_refused_before_anything_is_read(
    root: Path, shape: tuple[int, ...]
) -> None:
    (root / f"{IMAGES}.gz").unlink()
    (root / IMAGES).write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape) + bytes(64))
    with pytest.raises(CorruptDatasetError, match=rf"{IMAGES} must hold 1 to 70,000 items"):
        load_mnist(root)


def test_labels_are_digits(root: Path) -> None:
    (root / LABELS).write_bytes(idx(np.array([0, 1, 2, 200, 4, 5, 6], np.uint8)))
    with pytest.raises(CorruptDatasetError, match="labels must be 0 to 9; item 3 has 200"):
        load_mnist(root)


def test_no_more_is_read_than_the_header_says(
    root: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    with gzip.open(root / f"{IMAGES}.gz", "wb", compresslevel=1) as file:
        file.write(idx(digits[0]))
        for _ in range(40):
            file.write(bytes(10**6))
    tracemalloc.start()
    with pytest.raises(CorruptDatasetError, match="says it has 7 items, but it is longer"):
        load_mnist(root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 10**6


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_larger_than_all_digits_is_not_read(root: Path, suffix: str) -> None:
    (root / f"{IMAGES}.gz").unlink()
    # Of a gzip file it is a name that does not end, read a character at a time.
    with open(root / f"{IMAGES}{suffix}", "wb") as file:
        file.write(b"\x1f\x8b\x08\x08" + b"a" * 1000)
        file.truncate(10**8)
    with pytest.raises(CorruptDatasetError, match=f"{IMAGES}.*cannot be read.*more than"):
        load_mnist(root)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_is_no_file_is_refused_at_once(root: Path, suffix: str) -> None:
    (root / f"{IMAGES}.gz").unlink()
    path = root / f"{IMAGES}{suffix}"
    for make in (
        lambda p: p.symlink_to("/dev/zero"),
        os.mkfifo,
        lambda p: (p.mkdir(), (p / "kept").touch()),
    ):
        make(path)
        with pytest.raises(CorruptDatasetError, match=f"{IMAGES}.*cannot be read"):
            load_mnist(root)
        if not path.is_dir():
            path.unlink()


@pytest.mark.parametrize("bad", [5, [], b"", True, ""])
def test_arguments_that_cannot_be_are_refused(root: Path, bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="root must be a path"):
        load_mnist(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="verify must be True or False"):
        load_mnist(root, verify=[bad])  # type: ignore[arg-type]


def test_files_of_as_many_items_as_the_published_ones_are_those(
    root: Path, digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum = hashlib.sha256(idx(digits[0])).hexdigest()
    monkeypatch.setitem(mnist._PUBLISHED, IMAGES, (7, checksum))
    load_mnist(root)
    other = digits[0].copy()
    other[3, 14, 14] ^= 1
    (root / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(other)))
    with pytest.raises(CorruptDatasetError, match="not the same"):
        load_mnist(root)
    np.testing.assert_array_equal(load_mnist(root, verify=False).X, other)


def test_a_missing_file_says_what_to_put_where(root: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"t10k-images-idx3-ubyte\.gz.*https"):
        load_mnist(root, "test")
    with pytest.raises(InvalidParameterError, match="split must be one of 'train', 'test'"):
        load_mnist(root, "valid")  # type: ignore[arg-type]


class TestDownload:
    """Against a server on this machine."""

    @pytest.fixture
    def server(self, root: Path) -> Iterator[str]:
        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

        httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()
        httpd.server_close()

    @pytest.fixture(autouse=True)
    def mirror(
        self,
        root: Path,
        server: str,
        cache_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
        digits: tuple[np.ndarray, np.ndarray],
    ) -> None:
        (root / f"{LABELS}.gz").write_bytes(gzip.compress(idx(digits[1])))
        monkeypatch.setattr(mnist, "_MIRROR", server)
        for name in (IMAGES, LABELS):
            digest = hashlib.md5((root / f"{name}.gz").read_bytes()).hexdigest()
            monkeypatch.setitem(mnist._MD5, name, digest)

    def test_files_are_fetched_once(
        self, root: Path, cache_dir: Path, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        np.testing.assert_array_equal(load_mnist().X, digits[0])
        stored = sorted(path.name for path in (cache_dir / "mnist").iterdir())
        assert stored == [f"{IMAGES}.gz", f"{LABELS}.gz"]
        for name in stored:
            (root / name).unlink()
        np.testing.assert_array_equal(load_mnist().X, digits[0])

    def test_another_file_than_the_expected_one_is_refused(self, root: Path) -> None:
        (root / f"{IMAGES}.gz").write_bytes(b"something else")
        with pytest.raises(CorruptDatasetError, match=f"{IMAGES}.*another file"):
            load_mnist()

    def test_an_absent_file_says_to_get_it_by_hand(self, root: Path) -> None:
        (root / f"{LABELS}.gz").unlink()
        with pytest.raises(DatasetNotFoundError, match=f"{LABELS}.*as root"):
            load_mnist()

    def test_without_pooch_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pooch", None)
        with pytest.raises(DatasetNotFoundError, match=r"siamesekit\[data\]"):
            load_mnist()


def test_the_real_files_are_whole(data_root: Path) -> None:
    train, test = load_mnist(data_root / "mnist"), load_mnist(data_root / "mnist", "test")
    assert (train.X.shape, test.X.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert train.y[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.X.mean() == pytest.approx(33.318, abs=1e-3)
