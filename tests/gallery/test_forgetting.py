"""What is forgotten is out of every answer at once, out of memory soon, and never in a file."""

import copy
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from siamesekit import SiameseClassifier
from siamesekit.gallery import Gallery
from siamesekit.heads import CosineHead, Head, L1Head, SqEuclideanHead, SquaredHead

D = 8
HEADS = [CosineHead, SqEuclideanHead, L1Head, SquaredHead]


def head_of(kind: type[Head]) -> Head:
    """Return a head in eval mode with weights of both signs."""
    head = kind().build(D).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return head


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
@pytest.mark.parametrize("kind", HEADS)
def test_coming_and_going_is_as_if_only_the_last_had_come(kind: type[Head], aggregate: str) -> None:
    rng = np.random.default_rng(0)
    made = Gallery(head_of(kind), aggregate)  # type: ignore[arg-type]
    queries = torch.from_numpy(rng.normal(size=(20, D)).astype(np.float32))
    rows: list[tuple[np.ndarray, str]] = []
    for step in range(150):
        n = int(rng.integers(1, 4))
        vectors = rng.normal(size=(n, D)).astype(np.float32)
        labels = [f"person {k}" for k in rng.integers(0, 25, n)]
        made.enroll(torch.from_numpy(vectors), labels)
        rows += list(zip(vectors, labels, strict=True))
        if step % 2:
            gone = rng.choice(made.classes, min(len(made.classes) - 1, 1 + step % 5), replace=False)
            made.forget(gone)
            rows = [row for row in rows if row[1] not in gone]
        if step % 7 == 0:
            afresh = Gallery(made.head, made.aggregate)
            afresh.enroll(torch.from_numpy(np.stack([v for v, _ in rows])), [c for _, c in rows])
            held = made.snapshot
            assert torch.equal(held.vectors, afresh.vectors)
            assert held.labels.tolist() == afresh.labels.tolist()
            assert held.classes.tolist() == afresh.classes.tolist()
            assert torch.equal(made.class_scores(queries), afresh.class_scores(queries))
            assert (made.best_classes(queries) == afresh.best_classes(queries)).all()
            some = held.classes[::2]
            assert (
                made.best_classes(queries, classes=some)
                == afresh.best_classes(queries, classes=some)
            ).all()
            assert made.positions_of(some).tolist() == list(range(0, len(held.classes), 2))


def test_snapshots_keep_what_is_forgotten_and_called_the_same_later() -> None:
    made, held = Gallery(CosineHead()), []
    z = torch.eye(4)
    for step in range(60):
        made.enroll(z[step % 4 : step % 4 + 1], ["the same"])
        made.enroll(z[:1], [f"other {step}"])
        held.append((made.snapshot, step))
        made.forget("the same")
    assert "the same" not in made.classes.tolist()
    for snapshot, step in held:
        own = snapshot.labels == "the same"
        assert torch.equal(snapshot.vectors[torch.from_numpy(own)], z[[step % 4]])
        assert snapshot.code_of("the same") is not None
        assert len(snapshot) == len(snapshot.labels) == step + 2


def test_forgetting_one_by_one_is_linear() -> None:
    n, took = 20_000, []
    made = Gallery(SqEuclideanHead())
    made.enroll(torch.randn(n, D), np.arange(n))
    names = np.random.default_rng(0).permutation(n)
    for part in np.split(names, 4):
        start = time.process_time()
        for name in part:
            made.forget(name)
        took.append(time.process_time() - start)
    assert len(made) == 0
    # Each a copy of all, as it would be otherwise, takes twenty times as long.
    assert sum(took) < 6
    made.enroll(torch.ones(1, 3), [True])
    assert made.classes.tolist() == [True]


def test_memory_lets_go_of_what_is_forgotten() -> None:
    made = Gallery(SqEuclideanHead())
    for k in range(400):
        made.enroll(torch.randn(1, D), [k])
    for k in range(390):
        made.forget(k)
        assert len(made.snapshot.all_rows) <= max(2, 1.4 * len(made))
    assert made.labels.tolist() == list(range(390, 400))


@pytest.mark.parametrize("how", ["save", "pickle", "copy"])
def test_nothing_kept_holds_a_forgotten_embedding(how: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, D)).astype(np.float32)
    model = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(x, np.arange(60) % 30)
    secret = model.gallery_.vectors[torch.from_numpy(model.gallery_.labels == 7)].clone()
    model.predict(x)
    model.forget(7)
    if how == "save":
        model.save(tmp_path / "model")
        kept = b"".join(p.read_bytes() for p in (tmp_path / "model").rglob("*") if p.is_file())
        assert (
            SiameseClassifier.load(tmp_path / "model").classes_.tolist() == model.classes_.tolist()
        )
    else:
        made = model.gallery_ if how == "pickle" else copy.copy(model.gallery_)
        kept = pickle.dumps(made) + made.snapshot.vectors.numpy().tobytes()
    assert model.gallery_.vectors[0].numpy().tobytes() in kept
    for row in secret:
        assert row.numpy().tobytes() not in kept


def test_weights_that_change_are_asked_anew() -> None:
    head = head_of(SquaredHead)
    made = Gallery(head)
    z = torch.randn(300, D, generator=torch.Generator().manual_seed(0))
    made.enroll(z, np.arange(300))
    made.best_classes(z)
    with torch.no_grad():
        head.get_parameter("weight").mul_(-1)
    assert (made.best_classes(z) == made.class_scores(z).argmax(1).numpy()).all()
