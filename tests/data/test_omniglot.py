import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamesekit.data import LAKE_ALPHABETS, Omniglot, load_omniglot, load_omniglot_runs, omniglot
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidParameterError

CHARACTERS = ("Beta/character01", "Alpha/character01", "Alpha/character02")


def png(ink: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(~ink).save(file, "PNG")
    return file.getvalue()


def image(kind: str) -> bytes:
    """Return another image of 105 × 105 pixels."""
    grey = np.random.default_rng(1).integers(0, 256, (105, 105), dtype=np.uint8)
    picture = {
        "16 bit": lambda: Image.fromarray((grey > 128).astype(np.uint16) * 65535),
        "alpha": lambda: Image.fromarray(np.stack([grey // 128 * 255] * 4, 2)),
    }.get(kind, lambda: Image.fromarray(grey))()
    if kind == "two sizes":  # of which Pillow goes by the second
        data, other = png(np.ones((105, 105), bool)), png(np.ones((50, 50), bool))
        header = slice(8, 8 + 25)
        return data[: header.stop] + other[header] + data[header.stop :]
    file = io.BytesIO()
    picture.save(file, kind if kind in ("JPEG", "GIF", "BMP", "EPS") else "PNG")
    return file.getvalue()


@pytest.fixture
def ink() -> np.ndarray:
    """Made-up drawings, bool (3, 20, 105, 105), in sorted order of the characters."""
    return np.random.default_rng(0).random((3, 20, 105, 105)) < 0.1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, ink: np.ndarray) -> dict[str, bytes]:
    """Files of an Omniglot of three characters in place of 964."""
    monkeypatch.setitem(omniglot._SPLITS, "background", ("images_background", 3, "md5:none"))
    return {
        f"{name}/{number:04d}_{drawer + 1:02d}.png": png(ink[k, drawer])
        for k, name in enumerate(sorted(CHARACTERS))
        for drawer in range(20)
        for number in (7 + k,)
    }


def write_zip(root: Path, files: dict[str, bytes], prefix: str = "images_background/") -> Path:
    path = root / "images_background.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in reversed(files):
            archive.writestr(prefix + name, files[name])
    return path


def write_folder(root: Path, files: dict[str, bytes], prefix: str = "images_background/") -> Path:
    for name, data in files.items():
        path = root / prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "images_background"


def test_images_come_in_sorted_order_with_ink_bright(
    tmp_path: Path, small: dict[str, bytes], ink: np.ndarray
) -> None:
    write_zip(tmp_path, small)
    data = load_omniglot(tmp_path, cache=False)
    assert data.characters.tolist() == sorted(CHARACTERS)
    assert data.alphabets.tolist() == ["Alpha", "Alpha", "Beta"]
    assert data.drawers.tolist() == list(range(1, 21))
    assert data.X.dtype == np.uint8
    np.testing.assert_array_equal(data.X, ink * np.uint8(255))


def test_every_image_knows_its_character_alphabet_and_drawer(
    tmp_path: Path, small: dict[str, bytes]
) -> None:
    write_zip(tmp_path, small)
    data = load_omniglot(tmp_path, cache=False)
    flat = data.flat()
    assert len(flat) == 60
    np.testing.assert_array_equal(flat.X[43], data.X[2, 3])
    assert flat.groups is not None
    assert flat.drawers is not None
    assert (flat.y[43], flat.groups[43], flat.drawers[43]) == ("Beta/character01", "Beta", 4)


@pytest.mark.parametrize("write", [write_zip, write_folder])
@pytest.mark.parametrize("prefix", ["images_background/", "images_background/images_background/"])
def test_zips_and_folders_read_alike_however_they_were_packed(
    tmp_path: Path,
    small: dict[str, bytes],
    ink: np.ndarray,
    write: Callable[..., Path],
    prefix: str,
) -> None:
    write(tmp_path, small, prefix)
    data = load_omniglot(tmp_path, cache=False)
    assert data.alphabets.tolist() == ["Alpha", "Alpha", "Beta"]
    np.testing.assert_array_equal(data.X != 0, ink)


class TestCache:
    def test_it_lies_in_the_users_cache_and_gives_the_same(
        self,
        tmp_path: Path,
        small: dict[str, bytes],
        cache_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        root = tmp_path / "data"
        root.mkdir()
        write_zip(root, small)
        first = load_omniglot(root)
        assert [path.name for path in root.iterdir()] == ["images_background.zip"]
        assert len(stored_in(cache_dir)) == 1
        # The archive is not unpacked any more, wherever it lies.
        monkeypatch.setattr(omniglot, "_decode", None)
        root.rename(tmp_path / "moved")
        second = load_omniglot(tmp_path / "moved")
        np.testing.assert_array_equal(first.X, second.X)
        np.testing.assert_array_equal(first.characters, second.characters)
        with pytest.raises(TypeError):
            load_omniglot(tmp_path / "moved", cache=False)

    def test_its_mode_is_what_the_umask_leaves(
        self, tmp_path: Path, small: dict[str, bytes], cache_dir: Path
    ) -> None:
        write_zip(tmp_path, small)
        before = os.umask(0o077)
        try:
            load_omniglot(tmp_path)
        finally:
            os.umask(before)
        (stored,) = stored_in(cache_dir)
        assert stored.stat().st_mode & 0o777 == 0o600
        assert stored.parent.stat().st_mode & 0o777 == 0o700

    def test_a_damaged_one_is_made_again(
        self, tmp_path: Path, small: dict[str, bytes], ink: np.ndarray, cache_dir: Path
    ) -> None:
        write_zip(tmp_path, small)
        load_omniglot(tmp_path)
        (stored,) = stored_in(cache_dir)
        whole = stored.read_bytes()
        for damaged in (whole[:1000], b"", bytes(len(whole)), _flipped(whole, len(whole) // 2)):
            stored.write_bytes(damaged)
            np.testing.assert_array_equal(load_omniglot(tmp_path).X != 0, ink)
            assert stored.read_bytes() == whole
        assert stored_in(cache_dir) == [stored]

    @pytest.mark.parametrize("edit", ["fewer", "none", "reversed", "inverted", "renamed", "bomb"])
    def test_an_edited_one_is_made_again(
        self,
        tmp_path: Path,
        small: dict[str, bytes],
        ink: np.ndarray,
        cache_dir: Path,
        edit: str,
    ) -> None:
        write_zip(tmp_path, small)
        right = load_omniglot(tmp_path)
        (stored,) = stored_in(cache_dir)
        with np.load(stored) as file:
            arrays = dict(file)
        names, rows = arrays["names"], arrays["rows"]
        arrays |= {
            "fewer": {"names": names[:2], "rows": rows[:2]},
            "none": {"names": names[:0], "rows": rows[:0]},
            "reversed": {"names": names[::-1]},
            "inverted": {"rows": ~rows},
            "renamed": {"names": np.array(["A/a", "A/b", "A/c"])},
            "bomb": {"rows": np.zeros((3, 10**7), np.uint8)},
        }[edit]
        (np.savez_compressed if edit == "bomb" else np.savez)(stored, **arrays)
        for _ in range(2):
            data = load_omniglot(tmp_path)
            assert data.characters.tolist() == right.characters.tolist()
            np.testing.assert_array_equal(data.X != 0, ink)

    def test_one_of_another_source_is_not_taken(
        self, tmp_path: Path, small: dict[str, bytes], ink: np.ndarray, cache_dir: Path
    ) -> None:
        write_zip(tmp_path, small)
        load_omniglot(tmp_path)
        (ours,) = stored_in(cache_dir)
        write_zip(tmp_path, small | {"Alpha/character02/0008_03.png": png(~ink[1, 2])})
        load_omniglot(tmp_path)
        (theirs,) = set(stored_in(cache_dir)) - {ours}
        theirs.write_bytes(ours.read_bytes())
        np.testing.assert_array_equal(load_omniglot(tmp_path).X[1, 2] != 0, ~ink[1, 2])

    def test_a_changed_source_is_read_afresh(
        self, tmp_path: Path, small: dict[str, bytes], ink: np.ndarray, cache_dir: Path
    ) -> None:
        folder = write_folder(tmp_path, small)
        load_omniglot(tmp_path)
        path = folder / "Alpha/character02/0008_03.png"
        state = path.stat()
        path.write_bytes(png(~ink[1, 2]))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        np.testing.assert_array_equal(load_omniglot(tmp_path).X[1, 2] != 0, ~ink[1, 2])

    def test_nowhere_to_write_is_no_error(
        self, tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_zip(tmp_path, small)
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("SIAMESEKIT_CACHE", str(tmp_path / "file"))
        assert len(load_omniglot(tmp_path).X) == 3
        monkeypatch.delenv("SIAMESEKIT_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", _no_home)
        assert len(load_omniglot(tmp_path).X) == 3

    @pytest.mark.parametrize("cache", ["yes", 1, None, "", 0.0])
    def test_it_is_asked_for_or_not(self, tmp_path: Path, cache: object) -> None:
        with pytest.raises(InvalidParameterError, match="cache must be True or False"):
            load_omniglot(tmp_path, cache=cache)  # type: ignore[arg-type]


class TestDamage:
    def test_a_missing_drawing_is_named_by_its_character(
        self, tmp_path: Path, small: dict[str, bytes]
    ) -> None:
        del small["Alpha/character02/0008_20.png"]
        write_zip(tmp_path, small)
        with pytest.raises(
            CorruptDatasetError, match=r"images_background\.zip.*character02.*unknown: 20"
        ):
            load_omniglot(tmp_path, cache=False)

    def test_a_drawing_too_many_is_named_by_its_character(
        self, tmp_path: Path, small: dict[str, bytes]
    ) -> None:
        small["Beta/character01/0009_21.png"] = b""
        write_zip(tmp_path, small)
        with pytest.raises(CorruptDatasetError, match="Beta/character01"):
            load_omniglot(tmp_path, cache=False)

    def test_a_missing_character_is_counted(self, tmp_path: Path, small: dict[str, bytes]) -> None:
        kept = {name: data for name, data in small.items() if "Alpha/character02" not in name}
        write_zip(tmp_path, kept)
        with pytest.raises(CorruptDatasetError, match="3 characters; it has 2"):
            load_omniglot(tmp_path, cache=False)

    def test_a_file_that_is_no_image_of_105_pixels_is_named(
        self, tmp_path: Path, small: dict[str, bytes]
    ) -> None:
        name = "Alpha/character02/0008_05.png"
        for bad in (b"", small[name][:60], png(np.zeros((100, 105), bool))):
            write_zip(tmp_path, small | {name: bad})
            with pytest.raises(CorruptDatasetError, match=r"images_background\.zip: Alpha.*_05"):
                load_omniglot(tmp_path, cache=False)

    def test_no_cache_is_left_of_a_damaged_archive(
        self, tmp_path: Path, small: dict[str, bytes], cache_dir: Path
    ) -> None:
        small["Alpha/character02/0008_05.png"] = b""
        write_zip(tmp_path, small)
        with pytest.raises(CorruptDatasetError):
            load_omniglot(tmp_path)
        assert not cache_dir.exists()

    @pytest.mark.parametrize(
        "kind", ["JPEG", "GIF", "BMP", "16 bit", "alpha", "grey", "EPS", "two sizes"]
    )
    def test_what_is_no_png_in_black_and_white_is_named(
        self, tmp_path: Path, small: dict[str, bytes], kind: str
    ) -> None:
        name = "Alpha/character02/0008_05.png"
        write_zip(tmp_path, small | {name: image(kind)})
        with pytest.raises(CorruptDatasetError, match=r"images_background\.zip: Alpha.*_05\.png"):
            load_omniglot(tmp_path, cache=False)

    @pytest.mark.parametrize("mode", ["L", "P", "RGB"])
    def test_black_and_white_may_be_stored_in_other_ways(
        self, tmp_path: Path, small: dict[str, bytes], ink: np.ndarray, mode: str
    ) -> None:
        file = io.BytesIO()
        Image.fromarray(~ink[1, 4]).convert(mode).save(file, "PNG")
        write_zip(tmp_path, small | {"Alpha/character02/0008_05.png": file.getvalue()})
        np.testing.assert_array_equal(load_omniglot(tmp_path, cache=False).X != 0, ink)

    def test_the_size_is_compared_before_anything_is_decoded(
        self, tmp_path: Path, small: dict[str, bytes]
    ) -> None:
        name = "Alpha/character02/0008_05.png"
        # Nine million pixels in a few thousand bytes.
        write_zip(tmp_path, small | {name: png(np.zeros((3000, 3000), bool))})
        with pytest.raises(CorruptDatasetError, match=r"_05.*3000×3000"):
            load_omniglot(tmp_path, cache=False)

    def test_a_bit_flipped_anywhere_in_a_drawing_is_named(
        self, tmp_path: Path, small: dict[str, bytes], cache_dir: Path
    ) -> None:
        name = "Alpha/character02/0008_05.png"
        folder = write_folder(tmp_path, small)
        for position in range(0, len(small[name]), 40):
            (folder / name).write_bytes(_flipped(small[name], position))
            with pytest.raises(CorruptDatasetError, match=r"images_background: Alpha.*_05\.png"):
                load_omniglot(tmp_path)

    def test_a_drawing_that_swells_or_never_ends_is_named(
        self, tmp_path: Path, small: dict[str, bytes], cache_dir: Path
    ) -> None:
        name = "Alpha/character02/0008_05.png"
        folder = write_folder(tmp_path, small)
        (folder / name).unlink()
        for make in (
            lambda path: path.symlink_to("/dev/zero"),
            lambda path: path.symlink_to("nowhere"),
            lambda path: path.symlink_to(path.name),
            os.mkfifo,
        ):
            make(folder / name)
            for cache in (True, False):
                with pytest.raises(CorruptDatasetError, match=r"_05\.png cannot be read"):
                    load_omniglot(tmp_path, cache=cache)
            (folder / name).unlink()

    def test_links_to_folders_are_followed_but_not_in_circles(
        self, tmp_path: Path, small: dict[str, bytes], ink: np.ndarray, cache_dir: Path
    ) -> None:
        folder = write_folder(tmp_path, small)
        (folder / "Alpha").rename(tmp_path / "elsewhere")
        (folder / "Alpha").symlink_to(tmp_path / "elsewhere")
        (folder / "circle").symlink_to(folder)
        (folder / "nowhere").symlink_to("none")
        (folder / "itself").symlink_to("itself")
        for cache in (True, False):
            data = load_omniglot(tmp_path, cache=cache)
            np.testing.assert_array_equal(data.X != 0, ink)


@pytest.mark.parametrize("root", [5, [], b"", True, "", "a\0b"])
def test_a_root_that_is_no_path_is_refused(root: object) -> None:
    for load in (load_omniglot, load_omniglot_runs):
        with pytest.raises(InvalidParameterError, match="root must be a path"):
            load(root)  # type: ignore[arg-type]


def test_a_missing_archive_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"brendenlake.*images_background\.zip"):
        load_omniglot(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"brendenlake.*all_runs\.zip"):
        load_omniglot_runs(tmp_path)
    with pytest.raises(InvalidParameterError, match="split must be one of"):
        load_omniglot(tmp_path, "train")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evaluation(data_root: Path) -> Omniglot:
    return load_omniglot(data_root / "omniglot", "evaluation", cache=False)


class TestRealData:
    def test_the_evaluation_set_is_whole(self, evaluation: Omniglot) -> None:
        assert evaluation.X.shape == (659, 20, 105, 105)
        assert set(np.unique(evaluation.X[::50])) == {0, 255}
        # Ink is the lesser part of every drawing.
        assert (evaluation.X != 0).mean((2, 3)).max() < 0.5
        assert evaluation.characters.tolist() == sorted(evaluation.characters)
        names, counts = np.unique(evaluation.alphabets, return_counts=True)
        sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
        assert len(sizes) == 20
        assert (sizes["Angelic"], sizes["Malayalam"], sizes["ULOG"]) == (20, 47, 26)
        assert set(LAKE_ALPHABETS) <= set(sizes)

    def test_lakes_runs_show_images_of_the_evaluation_set_with_true_answers(
        self, data_root: Path, evaluation: Omniglot
    ) -> None:
        runs = load_omniglot_runs(data_root / "omniglot")
        assert [run.alphabet for run in runs] == [a for a in LAKE_ALPHABETS for _ in range(2)]
        where = {
            image.tobytes(): (name, drawer)
            for name, drawings in zip(evaluation.characters, evaluation.X, strict=True)
            for drawer, image in enumerate(drawings)
        }
        for run in runs:
            assert run.support.shape == run.query.shape == (20, 105, 105)
            support = [where[image.tobytes()] for image in run.support]
            query = [where[image.tobytes()] for image in run.query]
            assert [name for name, _ in query] == [support[k][0] for k in run.answers]
            assert {name.split("/")[0] for name, _ in support} == {run.alphabet}
            assert len({name for name, _ in support}) == 20
            # One drawer gives the supports, another the queries.
            assert len({d for _, d in support}) == len({d for _, d in query}) == 1
            assert support[0][1] != query[0][1]

    def test_the_cosine_nearest_neighbour_of_the_runs_is_the_published_one(
        self, data_root: Path
    ) -> None:
        correct = 0
        for run in load_omniglot_runs(data_root / "omniglot"):
            a, b = (X.reshape(20, -1) / 255.0 for X in (run.query, run.support))
            unit_a, unit_b = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))
            correct += int(((unit_a @ unit_b.T).argmax(1) == run.answers).sum())
        assert correct == 87  # of 400: 21.75 %, Koch's 1-NN row

    def test_a_run_without_its_labels_or_with_a_wrong_one_is_named(
        self, data_root: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "all_runs"
        with zipfile.ZipFile(data_root / "omniglot" / "all_runs.zip") as archive:
            archive.extractall(folder)
        assert len(load_omniglot_runs(tmp_path)) == 20
        labels = next(path for path in folder.rglob("run07/class_labels.txt"))
        text = labels.read_text()
        for wrong in (
            text.replace("class05", "class21"),
            text.replace("/test/item03", "/training/class03"),
            "",
            " \n" * 100,
            "\n".join(text.splitlines()[:19]),
        ):
            labels.write_text(wrong)
            with pytest.raises(CorruptDatasetError, match=r"run07/class_labels\.txt must name"):
                load_omniglot_runs(tmp_path)
        for wrong in (text.replace(" ", ""), text.replace("\n", " and more\n")):
            labels.write_text(wrong)
            with pytest.raises(CorruptDatasetError, match=r"class_labels\.txt must have two paths"):
                load_omniglot_runs(tmp_path)
        labels.write_text(text + " \n\n")
        assert len(load_omniglot_runs(tmp_path)) == 20
        with labels.open("wb") as file:
            file.truncate(300_000_000)  # as many zeros, which take no room on the disk
        with pytest.raises(
            CorruptDatasetError, match=r"class_labels\.txt cannot be read.*more than"
        ):
            load_omniglot_runs(tmp_path)
        labels.unlink()
        with pytest.raises(CorruptDatasetError, match=r"it has no run07/class_labels\.txt"):
            load_omniglot_runs(tmp_path)
        labels.write_text(text)
        next(folder.rglob("run20/test/item20.png")).unlink()
        with pytest.raises(CorruptDatasetError, match=r"it has no run20/test/item20\.png"):
            load_omniglot_runs(tmp_path)


def stored_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]
