"""Fixtures that tests of several folders share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data sets (its README says what is in it); skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("SIAMESEKIT_DATA", beside))
    if not (root / "omniglot").is_dir():
        pytest.skip(f"no data sets in {root}; SIAMESEKIT_DATA names their folder")
    return root


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folder that takes the place of the user's cache for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIAMESEKIT_CACHE", str(folder))
    return folder
