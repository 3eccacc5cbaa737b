"""Enroll, score by class, forget."""

import numpy as np
import pytest
import torch

from siamesekit import registry
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.gallery import Gallery
from siamesekit.heads import EuclideanHead

VECTORS = torch.tensor([[0.0, 0.0], [2.0, 0.0], [9.0, 0.0]])
LABELS = np.array(["a", "a", "b"])
QUERY = torch.tensor([[1.0, 0.0], [8.0, 0.0]])


def gallery(aggregate: str = "prototype") -> Gallery:
    made = Gallery(EuclideanHead(), aggregate)  # type: ignore[arg-type]
    made.enroll(VECTORS, LABELS)
    return made


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("prototype", [[0.0, -8.0], [-7.0, -1.0]]),
        ("mean", [[-1.0, -8.0], [-7.0, -1.0]]),
        ("max", [[-1.0, -8.0], [-6.0, -1.0]]),
    ],
)
def test_class_scores(aggregate: str, expected: list[list[float]]) -> None:
    scores = gallery(aggregate).class_scores(QUERY)
    torch.testing.assert_close(scores, torch.tensor(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("aggregate", ["prototype", "mean", "max"])
def test_blocks_give_what_one_block_gives(aggregate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gallery(aggregate).class_scores(QUERY)
    monkeypatch.setattr("siamesekit.gallery._prepared._SCORES", 1)
    monkeypatch.setattr("siamesekit.gallery._prepared._QUERIES", 1)
    torch.testing.assert_close(gallery(aggregate).class_scores(QUERY), whole)


def test_enroll_adds_and_forget_removes() -> None:
    made = gallery()
    made.enroll(torch.ones(1, 2), np.array(["cc"]))
    assert made.classes.tolist() == ["a", "b", "cc"]
    made.forget(np.array(["a"]))
    assert made.classes.tolist() == ["b", "cc"]
    assert len(made) == 2


def test_an_unknown_class_is_named_and_nothing_is_forgotten() -> None:
    made = gallery()
    with pytest.raises(InvalidDataError, match=r"'bb' is not.*Enrolled: 'a', 'b'"):
        made.forget(np.array(["a", "bb"]))
    assert len(made) == 3


@pytest.mark.parametrize(
    ("vectors", "labels", "message"),
    [
        (torch.ones(2, 2), np.array(["a"]), "2 items were given 1"),
        (torch.ones(1, 3), np.array(["a"]), "must have 2 numbers.*got 3"),
        (torch.ones(1, 2), np.array([7]), "must hold strings.*got numbers"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    vectors: torch.Tensor, labels: np.ndarray, message: str
) -> None:
    made = gallery()
    with pytest.raises(InvalidDataError, match=message):
        made.enroll(vectors, labels)
    assert len(made) == 3


def test_an_unknown_aggregate_is_named() -> None:
    with pytest.raises(InvalidParameterError, match=r"aggregate.*Did you mean 'mean'"):
        Gallery(EuclideanHead(), "means")  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["euclidean", "sqeuclidean", "squared", "l1", "cosine-concat"])
@pytest.mark.parametrize("length", [1e10, 1e18])
def test_an_embedding_enormous_beside_the_others_is_refused(head: str, length: float) -> None:
    made = Gallery(registry.make("heads", head).build(4).eval())
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    made.enroll(z[:6], np.arange(6))
    before = made.snapshot
    with pytest.raises(InvalidDataError, match=r"million times as large; that at position 2 is"):
        made.enroll(torch.cat([z[6:8], length * z[8:]]), [6, 7, 8])
    assert made.snapshot is before
    # What a file holds is what was taken once.
    made.put_back(1e10 * z[8:], [8])
    assert 8 in made.classes


def test_what_is_small_or_alone_may_come_at_any_size() -> None:
    made = Gallery(EuclideanHead())
    made.enroll(torch.full((1, 2), 1e-12), ["a blank one"])
    made.enroll(torch.full((1, 2), 20.0), ["as it is"])
    made.enroll(torch.zeros(3, 2), ["zeros"] * 3)
    made.enroll(torch.full((2, 2), 7.0), ["as it is", "one more"])
    assert len(made) == 7
    directions = Gallery("cosine")
    directions.enroll(torch.eye(4), np.arange(4))
    directions.enroll(1e15 * torch.eye(4), np.arange(4))
    assert directions.best_classes(torch.eye(4)).tolist() == [0, 1, 2, 3]
