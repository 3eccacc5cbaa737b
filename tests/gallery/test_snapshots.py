"""A gallery in many hands: threads, copies, refused calls, and what enrolling costs."""

import copy
import pickle
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from siamesekit.errors import InvalidDataError
from siamesekit.gallery import Gallery
from siamesekit.heads import CosineHead, EuclideanHead

SECONDS = 1.0


def people(n: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return directions far apart, and a name for each."""
    return torch.eye(n), np.array([f"person{k:02d}" for k in range(n)])


def in_threads(work: list[Callable[[], None]], seconds: float) -> list[BaseException]:
    """Call each over and over in a thread of its own; return what they raised."""
    raised: list[BaseException] = []
    end = time.monotonic() + seconds

    def again(call: Callable[[], None]) -> None:
        try:
            while time.monotonic() < end and not raised:
                call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=again, args=(call,)) for call in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_readers_beside_writers_see_names_and_scores_of_one_moment(aggregate: str) -> None:
    vectors, names = people(20)
    gallery = Gallery(CosineHead(), aggregate)  # type: ignore[arg-type]
    gallery.enroll(vectors[:16].repeat(2, 1), np.tile(names[:16], 2))

    def read() -> None:
        assert (gallery.best_classes(vectors[:16]) == names[:16]).all()
        assert (
            gallery.best_classes(vectors[:4], classes=names[[9, 0, 1, 2, 3]]) == names[:4]
        ).all()
        assert (gallery.worth(vectors[:16], names[:16]) == 1).all()
        held = gallery.snapshot
        assert len(held.vectors) == len(held.labels) == len(held)
        assert set(held.labels) == set(held.classes)
        copied = pickle.loads(pickle.dumps(gallery))
        assert (copied.best_classes(vectors[:16]) == names[:16]).all()

    def write(k: int, name: str) -> Callable[[], None]:
        def come_and_go() -> None:
            gallery.enroll(vectors[k : k + 1], [name])
            gallery.enroll(vectors[k : k + 1], [name])
            gallery.forget([name])

        return come_and_go

    # Names that sort first, last and in the middle: columns move under who reads.
    writers = [write(17, "a"), write(18, "z"), write(19, "person07b")]
    assert in_threads([read] * 8 + writers, SECONDS) == []
    assert gallery.classes.tolist() == names[:16].tolist()
    assert len(gallery) == 32


@pytest.mark.parametrize(
    ("vectors", "labels"),
    [
        (torch.ones(2, 4), np.array([[1], [2]])),
        (torch.ones(2, 4), None),
        (torch.ones(2, 4), [1, "a"]),
        (torch.ones(2, 4), np.array([True, False])),
        (torch.ones(2, 4), [np.nan, 1.0]),
        (torch.ones(2, 4), [1]),
        (torch.ones(4), [1, 1, 1, 1]),
        (torch.ones(2, 4, 1), [1, 2]),
        (torch.ones(2, 4, dtype=torch.int64), [1, 2]),
        (torch.ones(2, 4, dtype=torch.complex64), [1, 2]),
        (torch.full((2, 4), torch.nan), [1, 2]),
        (torch.full((2, 4), 3e38), [1, 2]),
        ([[1.0, 2.0, 3.0, 4.0]], [1]),
        (None, [1]),
    ],
)
@pytest.mark.parametrize("filled", [False, True])
def test_a_refused_call_leaves_everything_as_it_was(
    vectors: object, labels: object, filled: bool
) -> None:
    if not filled and isinstance(labels, np.ndarray) and labels.dtype == bool:
        pytest.skip("the first labels may be of any kind")
    gallery, z = Gallery(EuclideanHead()), torch.randn(8, 4)
    if filled:
        gallery.enroll(z[:5], np.array([0, 0, 1, 1, 2]))
    before = gallery.snapshot
    with pytest.raises(InvalidDataError):
        gallery.enroll(vectors, labels)  # type: ignore[arg-type]
    assert gallery.snapshot is before
    gallery.enroll(z[5:], [7, 8, 7])
    assert len(gallery) == 5 * filled + 3
    assert gallery.class_scores(z).shape == (8, 3 * filled + 2)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_copy_shares_nothing_that_changes(how: Callable[[Gallery], Gallery]) -> None:
    vectors, names = people(8)
    one = Gallery(CosineHead())
    for k in range(5):  # leaves room behind the last one
        one.enroll(vectors[k : k + 1], names[k : k + 1])
    two = how(one)
    one.enroll(vectors[5:6], names[5:6])
    two.enroll(vectors[6:7], names[6:7])
    two.enroll(vectors[7:], names[7:])
    assert one.classes.tolist() == names[:6].tolist()
    assert two.classes.tolist() == [*names[:5], *names[6:]]
    assert (one.best_classes(vectors[:6]) == names[:6]).all()
    assert (two.best_classes(vectors[6:]) == names[6:]).all()
    two.forget(names[:5])
    assert len(one) == 6


def test_an_earlier_snapshot_never_changes() -> None:
    vectors, names = people(40)
    gallery, held = Gallery(CosineHead()), []
    for k in range(40):
        gallery.enroll(vectors[k : k + 1], [names[k % 7]])
        held.append(gallery.snapshot)
    gallery.forget(names[:3])
    for n, snapshot in enumerate(held, start=1):
        assert torch.equal(snapshot.vectors, vectors[:n])
        assert snapshot.labels.tolist() == [names[k % 7] for k in range(n)]
        assert snapshot.classes.tolist() == names[: min(n, 7)].tolist()


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_one_by_one_with_questions_between_is_as_all_at_once(aggregate: str) -> None:
    rng = np.random.default_rng(0)
    z = torch.from_numpy(rng.normal(size=(120, 6)).astype(np.float32))
    labels = rng.integers(0, 30, 120)
    slowly, at_once = (Gallery(CosineHead(), aggregate) for _ in range(2))  # type: ignore[arg-type]
    at_once.enroll(z, labels)
    for k in range(120):
        slowly.enroll(z[k : k + 1], labels[k : k + 1])
        if k % 3 == 0:
            slowly.class_scores(z[:2])
    gone = [3, 4]
    for gallery in (slowly, at_once):
        gallery.forget(gone)
        gallery.enroll(z[:1], [3])
    assert torch.equal(slowly.vectors, at_once.vectors)
    assert torch.equal(slowly.class_scores(z), at_once.class_scores(z))


def test_memory_is_taken_anew_only_when_what_is_there_has_doubled() -> None:
    gallery, places = Gallery(CosineHead()), set()
    row = torch.ones(1, 3)
    for k in range(1000):
        gallery.enroll(row, [k])
        places.add(gallery.vectors.data_ptr())
    assert len(places) < 20


def test_what_is_made_in_inference_mode_can_be_added_to_outside_of_it() -> None:
    gallery = Gallery(CosineHead())
    with torch.inference_mode():
        gallery.enroll(torch.eye(3)[:1], ["a"])
        gallery.enroll(torch.eye(3)[1:2], ["b"])
    gallery.enroll(torch.eye(3)[2:], ["c"])
    with torch.inference_mode():
        gallery.enroll(torch.eye(3), ["a", "b", "c"])
    assert gallery.best_classes(torch.eye(3)).tolist() == ["a", "b", "c"]


def test_labels_of_any_length_stay_what_they_were() -> None:
    z = torch.eye(8)
    numbers, strings = Gallery("cosine"), Gallery("cosine")
    given: list[object] = [3, 300, -5, 2**40, 2**63 + 5, 2**70, np.uint8(9), 1]
    for k, label in enumerate(given):
        numbers.enroll(z[k : k + 1], [label])
        if k % 2:
            numbers.forget([given[k - 1]])
    assert numbers.best_classes(z[1::2]).tolist() == given[1::2]
    words = ["a", "abcdefgh", "a\0", "", "ab", "Ünï", "x" * 70, "b"]
    for k, label in enumerate(words):
        strings.enroll(z[k : k + 1], [label])
    assert strings.best_classes(z).tolist() == words
    strings.forget(words[:4])
    assert strings.best_classes(z[4:]).tolist() == words[4:]
