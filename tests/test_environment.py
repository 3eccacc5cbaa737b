"""Figures are written with what they were made on."""

import json
from pathlib import Path

import pytest
import torch

from siamesekit import environment as module
from siamesekit.environment import affinity, commit, environment, hardware


def test_machine_and_versions_are_named() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["hardware"] == hardware()
    assert found["affinity"] == affinity()
    assert str(found["hardware"]).partition(" ")[2].strip()


HASH = "0123456789abcdef0123456789abcdef01234567"


def commit_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(module, "_ROOT", root)
    commit.cache_clear()
    found = commit()
    commit.cache_clear()
    return found


def test_the_commit_is_read_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_of(tmp_path, monkeypatch) is None
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text(f"{HASH}\n")
    assert commit_of(tmp_path, monkeypatch) == HASH
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit_of(tmp_path, monkeypatch) is None
    (git / "packed-refs").write_text(f"# pack-refs\n{HASH} refs/heads/main\n")
    assert commit_of(tmp_path, monkeypatch) == HASH
    (git / "refs/heads/main").write_text(f"{HASH[::-1]}\n")
    assert commit_of(tmp_path, monkeypatch) == HASH[::-1]


def test_the_commit_of_a_worktree_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, own, work = tmp_path / "git", tmp_path / "git/worktrees/w", tmp_path / "work"
    (shared / "refs/heads").mkdir(parents=True)
    own.mkdir(parents=True)
    work.mkdir()
    (work / ".git").write_text(f"gitdir: {own}\n")
    (own / "HEAD").write_text("ref: refs/heads/part\n")
    (own / "commondir").write_text("../..\n")
    (shared / "refs/heads/part").write_text(f"{HASH}\n")
    assert commit_of(work, monkeypatch) == HASH
