import os
import re
import zipfile
from pathlib import Path

import pytest

from siamesekit.data import _archive
from siamesekit.data._archive import find_source, open_files, source_digest
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError

FILES = {"A/one.txt": b"1", "A/two.txt": b"22", "B/one.txt": b"3" * 5000}


def make_zip(path: Path, prefix: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in FILES.items():
            archive.writestr(prefix + name, data)
    return path


def make_folder(path: Path, prefix: str = "") -> Path:
    for name, data in FILES.items():
        file = path / prefix / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [make_zip, make_folder])
@pytest.mark.parametrize("prefix", ["", "data/", "deep/data/"])
def test_folders_that_all_files_share_are_left_out(tmp_path: Path, make: type, prefix: str) -> None:
    with open_files(make(tmp_path / "source", prefix)) as files:
        assert files.names == ["A/one.txt", "A/two.txt", "B/one.txt"]
        assert {name: files.read(name) for name in files.names} == FILES


def test_what_an_operating_system_adds_is_passed_over(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "source", "data/")
    for clutter in (".DS_Store", "__MACOSX/data/A/._one.txt", "data/A/._one.txt"):
        (folder / clutter).parent.mkdir(parents=True, exist_ok=True)
        (folder / clutter).write_bytes(b"x")
    with open_files(folder) as files:
        assert files.names == sorted(FILES)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "source")
    with open_files(source) as files, pytest.raises(CorruptDatasetError, match=r"C/none\.txt"):
        files.read("C/none.txt")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_is_named(tmp_path: Path, compression: int) -> None:
    path = make_zip(tmp_path / "source.zip", compression=compression)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("B/one.txt")
        start = info.header_offset + 30 + len(info.filename)
    data = bytearray(path.read_bytes())
    data[start] ^= 0xFF
    path.write_bytes(data)
    with open_files(path) as files:
        assert files.read("A/one.txt") == b"1"
        with pytest.raises(CorruptDatasetError, match=r"source\.zip: B/one\.txt cannot be read"):
            files.read("B/one.txt")


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "source.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorruptDatasetError, match=r"source\.zip is no whole zip"), open_files(path):
        pass


def test_an_entry_beyond_its_bound_is_named(tmp_path: Path) -> None:
    path = tmp_path / "source.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.txt", b"1")
        archive.writestr("swells.txt", bytes(10**8))
    for source in (path, make_folder(tmp_path / "folder")):
        with open_files(source) as files:
            name = files.names[-1]
            with pytest.raises(CorruptDatasetError, match=rf"{name} cannot be read.*more than 100"):
                files.read(name, 100)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A/one.txt", "A/one.txt"], "A/one.txt is there twice"),
        (["A/one.txt", "A//one.txt"], "A//one.txt is there twice"),
        (["A/one.txt", "./A/one.txt"], "./A/one.txt is there twice"),
        (["A/one.txt", "/A/two.txt"], "/A/two.txt lies outside"),
        (["/A/one.txt"], "/A/one.txt lies outside"),
        (["A/one.txt", "A/../../two.txt"], "A/../../two.txt lies outside"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_paths_that_are_doubtful_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    path = tmp_path / "source.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"1")
    said = f"source.zip: {re.escape(message)}"
    with pytest.raises(CorruptDatasetError, match=said), open_files(path):
        pass


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "_MOST_ENTRIES", 2)
    for source in (make_zip(tmp_path / "source.zip"), make_folder(tmp_path / "folder")):
        with pytest.raises(CorruptDatasetError, match="2 files at most"), open_files(source):
            pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_without_bound_is_not_unpacked(tmp_path: Path, method: int) -> None:
    path = tmp_path / "source.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("A/one.txt", bytes(2 * 10**7))
    said = "one.txt cannot be read: it must be stored or deflated"
    with open_files(path) as files, pytest.raises(CorruptDatasetError, match=re.escape(said)):
        files.read("one.txt", 100)


def test_links_that_lead_to_one_another_are_not_walked_in_all_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_archive, "_MOST_FOLDERS", 100)
    folders = [tmp_path / "source" / name for name in "ABCDEF"]
    for folder in folders:
        folder.mkdir(parents=True)
        for other in folders:
            (folder / f"to{other.name}").symlink_to(other)
    said = "source must hold 100 folders at most"
    with pytest.raises(CorruptDatasetError, match=said), open_files(tmp_path / "source"):
        pass


def test_what_is_neither_file_nor_folder_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.zip")
    make_zip(tmp_path / "large.zip")
    monkeypatch.setattr(_archive, "_LARGEST_ARCHIVE", 100)
    for name in ("zero.zip", "pipe.zip", "large.zip", "none.zip"):
        said = f"{name} cannot be read"
        with pytest.raises(CorruptDatasetError, match=said), open_files(tmp_path / name):
            pass
        with pytest.raises(CorruptDatasetError, match=said):
            source_digest(tmp_path / name, ".txt", 10)


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "source")
    digests = [source_digest(source, ".txt", 10_000)]
    assert source_digest(make_folder(tmp_path / "same", "deep"), ".txt", 10_000) == digests[0]
    (source / "A" / "one.txt").write_bytes(b"9")
    digests.append(source_digest(source, ".txt", 10_000))
    (source / "A" / "one.txt").rename(source / "A" / "eins.txt")
    digests.append(source_digest(source, ".txt", 10_000))
    (source / "note.md").write_bytes(b"beside the point")
    assert len(set(digests)) == 3
    assert source_digest(source, ".txt", 10_000) == digests[-1]


def test_a_source_is_a_folder_or_a_zip_below_the_root_or_the_root_itself(tmp_path: Path) -> None:
    make_zip(tmp_path / "images.zip")
    assert find_source(tmp_path, "images", "there") == tmp_path / "images.zip"
    assert find_source(tmp_path / "images.zip", "images", "there") == tmp_path / "images.zip"
    make_folder(tmp_path / "images")
    assert find_source(str(tmp_path), "images", "there") == tmp_path / "images"
    assert find_source(tmp_path / "images", "images", "there") == tmp_path / "images"


def test_an_absent_source_is_an_error_that_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        find_source(tmp_path, "images", "get it there")
    message = str(caught.value)
    assert all(part in message for part in ("images.zip", "get it there", str(tmp_path)))
    with pytest.raises(DatasetNotFoundError, match="root must hold"):
        find_source(tmp_path / "none", "images", "there")
