import os
import stat
from pathlib import Path

import pytest

from siamesekit._checks import check_path
from siamesekit._files import open_regular, read_bounded, write_whole
from siamesekit.errors import InvalidParameterError


class TestReading:
    def test_a_file_is_read_up_to_its_bound(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"12345")
        assert read_bounded(path, 5) == b"12345"
        with pytest.raises(OSError, match="more than 4 bytes"):
            read_bounded(path, 4)

    def test_what_is_no_regular_file_is_refused_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "zero").symlink_to("/dev/zero")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "loop").symlink_to("loop")
        for name in ("zero", "pipe", "loop", "none", "."):
            with pytest.raises(OSError):  # noqa: PT011
                open_regular(tmp_path / name)


class TestWriting:
    @pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
    def test_the_mode_is_what_the_umask_leaves(self, tmp_path: Path, umask: int, mode: int) -> None:
        before = os.umask(umask)
        try:
            write_whole(tmp_path / "file", b"new")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "file"
        write_whole(path, b"old")

        def full(_: int) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            write_whole(path, b"new")
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_a_path_is_text_or_a_path_object(tmp_path: Path) -> None:
    assert check_path("root", str(tmp_path)) == check_path("root", tmp_path) == tmp_path

    class Raw:
        def __fspath__(self) -> bytes:
            return b"raw"

    for bad in (5, 1.5, [], b"", b"raw", True, None, "", "a\0b", Raw()):
        with pytest.raises(InvalidParameterError, match="root must be a path"):
            check_path("root", bad)
