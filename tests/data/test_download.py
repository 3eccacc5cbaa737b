import sys
from pathlib import Path

import pytest

from siamesekit.data.download import cache_folder, fetch
from siamesekit.errors import DatasetNotFoundError


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/siamesekit"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache/siamesekit"),
        ("linux", {"XDG_CACHE_HOME": "/var/tmp/x"}, "/var/tmp/x/siamesekit"),
        ("linux", {"XDG_CACHE_HOME": "/x", "SIAMESEKIT_CACHE": "/named"}, "/named"),
        ("linux", {"SIAMESEKIT_CACHE": "~/named"}, "home/named"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "home/Library/Caches/siamesekit"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/siamesekit"),
    ],
)
def test_caches_lie_where_the_platform_keeps_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    variables: dict[str, str],
    expected: str,
) -> None:
    for name in ("SIAMESEKIT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (variables | {"HOME": str(tmp_path / "home")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / expected


def test_without_a_home_it_says_what_names_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SIAMESEKIT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DatasetNotFoundError, match="SIAMESEKIT_CACHE"):
        fetch("somewhere/data.zip", "md5:0", "data")
