"""Models go to a hub and come back; without a network, what was downloaded still loads.

The hub is a folder, as huggingface_hub keeps what it downloads; huggingface_hub itself is the real
one. What it would send is taken by a stand-in with the signatures of its `HfApi`.
"""

import fnmatch
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest

from siamesekit import SiameseClassifier, SiameseEmbedder, load
from siamesekit.errors import (
    HubError,
    InvalidParameterError,
    PluginImportError,
    SavedModelError,
)

hub = pytest.importorskip("huggingface_hub", reason="models come from a hub by huggingface_hub")

pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 6)
    return rng.normal(size=(6, 5))[y] + 0.3 * rng.normal(size=(36, 5)), y


@pytest.fixture(scope="module")
def fitted() -> SiameseClassifier:
    return SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(*data())


class Hub:
    """A hub in a folder: repositories of commits, and the cache of a machine that has them all."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.made: list[tuple[str, bool | None]] = []

    def root(self, repository: str) -> Path:
        return self.cache / f"models--{repository.replace('/', '--')}"

    def files(self, repository: str, branch: str | None) -> Path | None:
        ref = self.root(repository) / "refs" / (branch or "main")
        return self.root(repository) / "snapshots" / ref.read_text() if ref.is_file() else None

    def create_repo(self, repository: str, *, private: bool | None, exist_ok: bool) -> None:
        assert exist_ok
        self.made.append((repository, private))

    def create_branch(self, repository: str, *, branch: str, exist_ok: bool) -> None:
        assert exist_ok

    def file_exists(self, repository: str, filename: str, *, revision: str | None) -> bool:
        there = self.files(repository, revision)
        return there is not None and (there / filename).is_file()

    def hf_hub_download(self, repository: str, filename: str, *, revision: str | None) -> str:
        there = self.files(repository, revision)
        assert there is not None
        return str(there / filename)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        revision: str | None,
        commit_message: str,
        ignore_patterns: list[str] | None,
        delete_patterns: list[str],
    ) -> Any:
        before = self.files(repo_id, revision)
        files = {} if before is None else {f.name: f.read_bytes() for f in before.iterdir()}
        for name in list(files):
            if any(fnmatch.fnmatch(name, pattern) for pattern in delete_patterns):
                del files[name]
        for file in folder_path.iterdir():
            if file.name not in (ignore_patterns or ()):
                files[file.name] = file.read_bytes()
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        snapshot = self.root(repo_id) / "snapshots" / commit
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir(parents=True)
        for name, content in files.items():
            (snapshot / name).write_bytes(content)
        ref = self.root(repo_id) / "refs" / (revision or "main")
        ref.parent.mkdir(exist_ok=True)
        ref.write_text(commit)
        return SimpleNamespace(oid=commit, message=commit_message)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return a hub; this process has no network, but what it has downloaded."""
    own = Hub(tmp_path / "cache")
    # Every call has to fit the signature of the real one.
    api = create_autospec(hub.HfApi, instance=True)
    for name in ("create_repo", "create_branch", "file_exists", "hf_hub_download", "upload_folder"):
        getattr(api, name).side_effect = getattr(own, name)
    monkeypatch.setattr(hub, "HfApi", create_autospec(hub.HfApi, return_value=api))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(own.cache))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    return own


def test_a_model_comes_back_as_it_went(there: Hub, fitted: SiameseClassifier) -> None:
    X, _ = data()
    name = fitted.push_to_hub("owner/model", private=True)
    assert there.made == [("owner/model", True)]
    assert name == f"hf:owner/model@{there.files('owner/model', None).name}"  # type: ignore[union-attr]
    for written in (name, "hf:owner/model"):
        again = SiameseClassifier.from_pretrained(written, device="cpu")
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    folder = there.files("owner/model", None)
    assert folder is not None
    assert {f.name for f in folder.iterdir()} == {
        "README.md", "gallery.safetensors", "model.json", "weights.safetensors",
    }  # fmt: skip


def test_a_revision_stays_the_model_that_it_was(there: Hub, fitted: SiameseClassifier) -> None:
    first = fitted.push_to_hub("hf:owner/model")
    embedder = SiameseEmbedder("mlp", max_epochs=1, random_state=1).fit(*data())
    second = embedder.push_to_hub("owner/model")
    assert first != second
    # What is enrolled is not left behind by a model that has no gallery.
    folder = there.files("owner/model", None)
    assert folder is not None
    assert "gallery.safetensors" not in {f.name for f in folder.iterdir()}
    X, _ = data()
    for name, model in ((first, fitted), (second, embedder), ("hf:owner/model", embedder)):
        found = SiameseEmbedder.from_pretrained(name).transform(X)
        np.testing.assert_array_equal(found, model.transform(X))
    fitted.push_to_hub("owner/model@tried-out")
    found = SiameseEmbedder.from_pretrained("hf:owner/model@tried-out").transform(X)
    np.testing.assert_array_equal(found, fitted.transform(X))


def test_load_returns_what_was_pushed_as_what_it_was(there: Hub, fitted: SiameseClassifier) -> None:
    X, _ = data()
    name = fitted.push_to_hub("owner/model")
    embedder = SiameseEmbedder("mlp", max_epochs=1, random_state=1).fit(*data())
    embedder.push_to_hub("owner/model")
    first = load(name, device="cpu")
    assert type(first) is SiameseClassifier
    np.testing.assert_array_equal(first.predict_proba(X), fitted.predict_proba(X))
    newest = load("hf:owner/model")
    assert type(newest) is SiameseEmbedder
    np.testing.assert_array_equal(newest.transform(X), embedder.transform(X))


def test_what_load_would_look_for_on_a_hub_is_not_saved_here(fitted: SiameseClassifier) -> None:
    with pytest.raises(InvalidParameterError, match=r"^path must be a folder.*push_to_hub"):
        fitted.save("hf:owner/model")


def test_a_card_that_was_changed_there_stays(there: Hub, fitted: SiameseClassifier) -> None:
    fitted.push_to_hub("owner/model")
    folder = there.files("owner/model", None)
    assert folder is not None
    (folder / "README.md").write_text("licence: mine")
    with pytest.warns(UserWarning, match=r"README\.md of owner/model was written or changed"):
        name = fitted.push_to_hub("owner/model")
    commit = name.partition("@")[2]
    now = there.root("owner/model") / "snapshots" / commit / "README.md"
    assert now.read_text() == "licence: mine"


@pytest.mark.parametrize("read", [SiameseClassifier.from_pretrained, load], ids=["model", "any"])
@pytest.mark.parametrize("name", ["hf:owner/other", "hf:owner/other@v1"])
def test_what_is_not_here_and_cannot_be_reached_is_named(
    name: str, read: Callable[[str], object], there: Hub
) -> None:
    with pytest.raises(HubError, match=rf"{name} cannot be downloaded.*HF_HUB_OFFLINE"):
        read(name)


def test_what_is_no_model_is_refused(there: Hub, fitted: SiameseClassifier) -> None:
    fitted.push_to_hub("owner/model")
    folder = there.files("owner/model", None)
    assert folder is not None
    (folder / "model.json").write_bytes((folder / "model.json").read_bytes()[:-9])
    with pytest.raises(SavedModelError, match=r"changed|damaged"):
        SiameseClassifier.from_pretrained("hf:owner/model")
    (folder / "model.json").unlink()
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises((SavedModelError, HubError), match=r"model\.json|cannot be downloaded"):
        SiameseClassifier.from_pretrained("hf:owner/model")


def test_a_hub_that_refuses_is_named(
    there: Hub, fitted: SiameseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError("403 Forbidden\nrequest 17")

    monkeypatch.setattr(there, "create_repo", refuse)
    api = hub.HfApi()
    api.create_repo.side_effect = refuse
    with pytest.raises(HubError, match=r"owner/model cannot be written to \(PermissionError: 403"):
        fitted.push_to_hub("owner/model")


@pytest.mark.parametrize(
    "name", ["hf:", "hf:model", "hf:a/b/c", "hf:a/b@", "hf:../b c", "hf:a/b@x y", "hf:a/b@v\n"]
)
@pytest.mark.parametrize("call", ["from", "to", "load"])
def test_what_is_no_name_is_refused(
    name: str, call: str, there: Hub, fitted: SiameseClassifier
) -> None:
    calls: dict[str, Callable[[str], object]] = {
        "from": SiameseClassifier.from_pretrained,
        "to": fitted.push_to_hub,
        "load": load,
    }
    argument = "path" if call == "load" else "name"
    with pytest.raises(InvalidParameterError, match=f"^{argument} must be 'hf:owner/name'"):
        calls[call](name)


def test_without_the_package_the_extra_is_named(
    fitted: SiameseClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PluginImportError, match=r"siamesekit\[hub\]"):
        SiameseClassifier.from_pretrained("hf:owner/model")
    with pytest.raises(PluginImportError, match=r"siamesekit\[hub\]"):
        load("hf:owner/model")
    with pytest.raises(PluginImportError, match=r"siamesekit\[hub\]"):
        fitted.push_to_hub("owner/model")
