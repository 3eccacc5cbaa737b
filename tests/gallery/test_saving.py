"""A gallery in a file: whole, exact, nobody's work lost, and no trace of who was forgotten."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamesekit import Gallery, SiameseClassifier
from siamesekit.errors import (
    GalleryChangedError,
    InvalidParameterError,
    ModelNotWrittenError,
    SavedModelError,
)
from siamesekit.heads import CosineHead

DIM = 6


def people(n: int = 4, seed: int = 0) -> Gallery:
    gallery = Gallery("cosine", "max")
    rng = np.random.default_rng(seed)
    gallery.enroll(rng.normal(size=(n, DIM)).astype(np.float32), [f"p{k % 3}" for k in range(n)])
    return gallery


def same(a: Gallery, b: Gallery) -> bool:
    parts = ("labels", "ids", "classes")
    alike = all(getattr(a, part).tolist() == getattr(b, part).tolist() for part in parts)
    return alike and torch.equal(a.vectors, b.vectors) and a.aggregate == b.aggregate


@pytest.mark.parametrize("head", ["cosine", "euclidean", "sqeuclidean", "l1", "cosine-concat"])
@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_what_is_loaded_answers_as_what_was_saved(
    head: str, aggregate: str, tmp_path: Path
) -> None:
    gallery = Gallery(head, aggregate)  # type: ignore[arg-type]
    gallery.head.build(DIM).eval()
    z = torch.randn(9, DIM)
    gallery.enroll(z, [3, 1, 2, 1, 3, 9, 9, 9, 1])
    gallery.forget([3])
    gallery.forget(ids=[8])
    gallery.save(tmp_path / "people")
    again = Gallery.load(tmp_path / "people")
    assert same(again, gallery)
    assert type(again.head) is type(gallery.head)
    assert torch.equal(again.class_scores(z), gallery.class_scores(z))
    assert again.enroll(z[:1], [5]).tolist() == [9]


@pytest.mark.parametrize(
    "labels",
    [
        ["ä", "\0b", "ä"],
        [True, False, True],
        [2**70, 1, 2],
        np.array([1, 2, 3], np.uint8),
        [0.5, 1e300, 2],
        [2**60, 2**60 + 1, 3],
    ],
)
def test_labels_come_back_as_they_were(labels: object, tmp_path: Path) -> None:
    gallery = Gallery()
    gallery.enroll(np.eye(3), labels)  # type: ignore[arg-type]
    gallery.save(tmp_path / "people")
    again = Gallery.load(tmp_path / "people").labels
    assert again.tolist() == gallery.labels.tolist()
    assert again.dtype.kind == gallery.labels.dtype.kind


def test_an_empty_gallery_is_saved_and_its_ids_go_on(tmp_path: Path) -> None:
    gallery = people()
    gallery.forget(["p0", "p1", "p2"])
    gallery.save(tmp_path / "people")
    again = Gallery.load(tmp_path / "people")
    assert len(again) == 0
    assert again.enroll(np.eye(2), ["a", "b"]).tolist() == [4, 5]


def test_the_second_of_two_that_save_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "people"
    people().save(path)
    one, two = Gallery.load(path), Gallery.load(path)
    one.enroll(np.eye(1, DIM), ["one"])
    two.enroll(np.eye(1, DIM), ["two"])
    one.save(path)
    one.save(path)  # its own is no other
    with pytest.raises(GalleryChangedError, match="changed since"):
        two.save(path)
    assert same(Gallery.load(path), one)
    assert "two" in two.classes
    with pytest.raises(GalleryChangedError, match="overwrite=True"):
        people(seed=1).save(path)  # it knows nothing of what stands there
    two.save(tmp_path / "elsewhere")
    two.save(path, overwrite=True)
    assert same(Gallery.load(path), two)
    os.unlink(path)
    one.save(path)  # nothing can be lost


# Forked where nothing has been computed yet, since threads do not survive it; one import for all.
FORKED = """
import os, signal, sys, time
import numpy as np
from siamesekit import Gallery
from siamesekit.errors import GalleryChangedError
path = sys.argv[1]

def fork(work):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(1)
    return child

"""
AT_ONCE = """
def save(name):
    gallery = Gallery.load(path)
    gallery.enroll(np.eye(1, 6), [name])
    ready[1].send(b"x")
    go[1].recv(1)
    try:
        gallery.save(path)
    except GalleryChangedError:
        os._exit(7)
    os._exit(0)

import socket
ready, go = socket.socketpair(), socket.socketpair()
children = [fork(lambda: save("one")), fork(lambda: save("two"))]
for _ in children:
    ready[0].recv(1)
go[0].send(b"xx")
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert sorted(codes) == [0, 7], codes
winner = ("one", "two")[codes.index(0)]
assert Gallery.load(path).classes.tolist() == sorted(["p0", "p1", "p2", winner])
"""
KILLED = """
vectors = np.full((400, 500), 7, np.float32)

def save_over_and_over():
    gallery = Gallery.load(path)
    if "new" in gallery.classes:
        gallery.forget("new")
    while True:
        gallery.enroll(vectors, ["new"] * 400)
        gallery.save(path)
        gallery.forget("new")
        gallery.save(path)

for moment in range(40):
    child = fork(save_over_and_over)
    time.sleep(0.001 + 0.0037 * moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    again = Gallery.load(path)
    assert len(again) in (3, 403), len(again)
    assert again.labels[:3].tolist() == ["a", "b", "c"]
"""


def run(script: str, path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FORKED + script, str(path)]
    subprocess.run(command, check=True, timeout=120, env=environment)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_of_two_processes_that_save_at_once_one_is_told(tmp_path: Path) -> None:
    people().save(tmp_path / "people")
    run(AT_ONCE, tmp_path / "people")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_who_is_killed_at_any_moment_leaves_the_old_or_the_new_whole(tmp_path: Path) -> None:
    old = Gallery()
    old.enroll(np.eye(3, 500), ["a", "b", "c"])
    old.save(tmp_path / "people")
    run(KILLED, tmp_path / "people")
    again = Gallery.load(tmp_path / "people")
    again.forget("a")
    again.save(tmp_path / "people")
    assert os.listdir(tmp_path) == ["people"]  # what killed saves left is gone


def traces(vector: np.ndarray) -> list[bytes]:
    """Return what a vector may be found by: its bytes, as they are and as they may be packed."""
    scaled = vector / np.linalg.norm(vector)
    found = []
    for form in (vector, scaled):
        found += [form.astype(kind).tobytes() for kind in (np.float64, np.float32, np.float16)]
        found.append(np.round(form / np.abs(form).max() * 127).astype(np.int8).tobytes())
    return found


def leaves_traces(folder: Path, vector: np.ndarray) -> bool:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    return any(trace in file.read_bytes() for file in files for trace in traces(vector))


def test_who_is_forgotten_is_in_no_file(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).normal(size=(40, 16)).astype(np.float32)
    path = tmp_path / "people"
    gallery = Gallery("cosine")
    gallery.enroll(vectors, [f"person{k // 2:02d}" for k in range(40)])
    gallery.save(path)
    assert leaves_traces(tmp_path, vectors[7])
    (tmp_path / f".people-{'0' * 16}.partial").write_bytes(path.read_bytes())  # of a killed save
    gallery.forget(ids=[7])
    gallery.forget(["person10"])
    gallery.save(path)
    for k in (7, 20, 21):
        assert not leaves_traces(tmp_path, vectors[k])
    assert leaves_traces(tmp_path, vectors[6])
    assert b"person10" not in path.read_bytes()
    assert b"person11" in path.read_bytes()


def test_who_is_forgotten_is_in_no_file_of_an_estimator(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 8)).astype(np.float32), np.repeat(np.arange(6), 10)
    clf = SiameseClassifier(max_epochs=1, random_state=0).fit(X, y)
    clf.enroll(X[:2] + 1, [77, 88])
    clf.save(tmp_path / "model")
    gone = clf.transform(X[:2] + 1)
    assert leaves_traces(tmp_path, gone[0])
    ids = clf.gallery_.ids
    clf.forget([77]).forget(ids=ids[-1])
    clf.save(tmp_path / "model")
    assert not leaves_traces(tmp_path, gone[0])
    assert not leaves_traces(tmp_path, gone[1])
    again = SiameseClassifier.load(tmp_path / "model")
    assert again.gallery_.ids.tolist() == clf.gallery_.ids.tolist()
    again.enroll(X[:1], [77])
    assert again.gallery_.ids[-1] == 62


def test_the_background_is_saved_too_and_forgets_too(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).normal(size=(40, 16)).astype(np.float32)
    gallery = Gallery("cosine")
    gallery.enroll(vectors[:4], ["a", "b", "c", "d"])
    gallery.set_background(vectors[4:], ["a", *(f"p{k}" for k in range(35))])
    gallery.save(tmp_path / "people")
    again = Gallery.load(tmp_path / "people")
    assert again.background is not None
    assert gallery.background is not None
    assert torch.equal(again.background[0], gallery.background[0])
    assert again.background[1].tolist() == gallery.background[1].tolist()
    assert again.threshold(0.1) == gallery.threshold(0.1)
    again.forget(["a"])
    again.save(tmp_path / "people")
    assert not leaves_traces(tmp_path, vectors[0])
    assert not leaves_traces(tmp_path, vectors[4])
    assert leaves_traces(tmp_path, vectors[5])


def test_a_file_is_as_private_as_the_umask_says_and_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        people().save(tmp_path / "closed")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o600
    people().save(tmp_path / "closed", overwrite=True)
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o600


def test_no_byte_can_change_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "people"
    people().save(path)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(SavedModelError, match="damaged"):
            Gallery.load(path)
        path.write_bytes(whole[:place])
        with pytest.raises(SavedModelError):
            Gallery.load(path)


def test_what_is_no_gallery_is_neither_read_nor_written_over(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "folder").mkdir()
    for name in ("letter", "folder"):
        with pytest.raises(InvalidParameterError, match="something else"):
            people().save(tmp_path / name, overwrite=True)
    for name in ("letter", "folder", "nowhere"):
        with pytest.raises(SavedModelError):
            Gallery.load(tmp_path / name)
    assert (tmp_path / "letter").read_text() == "dear"
    with pytest.raises(ModelNotWrittenError):
        people().save(tmp_path / "letter" / "people")
    for path in ("", 3, None, "a\0b"):
        with pytest.raises(InvalidParameterError, match="path must be"):
            people().save(path)  # type: ignore[arg-type]
        with pytest.raises(InvalidParameterError, match="path must be"):
            Gallery.load(path)  # type: ignore[arg-type]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    people().save(tmp_path / "people")
    (tmp_path / "link").symlink_to(tmp_path / "people")
    gallery = Gallery.load(tmp_path / "link")
    gallery.forget(["p0"])
    gallery.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(Gallery.load(tmp_path / "people"), gallery)
    gallery.save(tmp_path / "people")  # the same file by another name


class MyHead(CosineHead):
    """A head that the registry does not know."""


def test_a_head_without_a_name_is_asked_for(tmp_path: Path) -> None:
    gallery = Gallery(MyHead())
    gallery.enroll(np.eye(2), ["a", "b"])
    gallery.save(tmp_path / "people")
    with pytest.raises(SavedModelError, match="head="):
        Gallery.load(tmp_path / "people")
    assert same(Gallery.load(tmp_path / "people", head=MyHead()), gallery)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enroll"), st.integers(0, 4)),
        st.tuples(st.just("forget"), st.integers(0, 4)),
        st.tuples(st.just("forget id"), st.integers(0, 20)),
        st.tuples(st.just("save"), st.just(0)),
        st.tuples(st.just("load"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_any_sequence_with_saves_and_loads_is_as_a_dict(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("galleries") / "people"
    gallery, model, count = Gallery("euclidean"), dict[int, int](), 0
    gallery.save(path)
    saved: tuple[dict[int, int], int] = {}, 0
    for what, which in steps:
        if what == "enroll":
            gallery.enroll(np.full((1, 3), count, np.float32), [which])
            model[count], count = which, count + 1
        elif what == "forget" and which in model.values():
            gallery.forget([which])
            model = {key: label for key, label in model.items() if label != which}
        elif what == "forget id" and which in model:
            gallery.forget(ids=which)
            del model[which]
        elif what == "save":
            gallery.save(path)
            saved = dict(model), count
        elif what == "load":
            gallery = Gallery.load(path)
            model, count = dict(saved[0]), saved[1]
        assert dict(zip(gallery.ids.tolist(), gallery.labels.tolist(), strict=True)) == model
    if model:
        assert gallery.vectors[:, 0].tolist() == list(model)
