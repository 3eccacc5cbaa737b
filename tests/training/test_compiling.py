"""Networks compiled for as long as they are trained."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from siamesekit import SiameseClassifier
from siamesekit.errors import InvalidParameterError

# Dynamo speaks of its own parts, once a process.
pytestmark = pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), 6)
    return rng.normal(size=(5, 8))[y] + rng.normal(scale=0.3, size=(30, 8)), y


class Wide(nn.Module):
    """Draws in training."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(8, 4)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.line(x)).relu()


def fitted(X: np.ndarray, y: np.ndarray, **more: object) -> SiameseClassifier:
    torch._dynamo.reset()
    return SiameseClassifier(
        backbone=more.pop("backbone", "mnist-mlp"),
        head=more.pop("head", "cosine"),
        optimizer="sgd",
        max_epochs=2,
        random_state=0,
        device="cpu",
        **more,
    ).fit(X, y)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Graphs that were compiled; run as they are, for want of time."""
    found: list[object] = []
    compile = nn.Module.compile

    def backend(graph: object, inputs: object) -> object:
        found.append(graph)
        return graph

    monkeypatch.setattr(nn.Module, "compile", lambda self: compile(self, backend=backend))
    return found


@pytest.mark.parametrize("head", ["cosine", "l1"])
@pytest.mark.parametrize("more", [{}, {"chunk_size": 7}, {"averaging": 0.9, "validation": 0.4}])
def test_training_is_the_same(
    vectors, graphs: list[object], head: str, more: dict[str, object]
) -> None:
    loss = "bce" if head == "l1" else "episodic"
    plain = fitted(*vectors, head=head, loss=loss, **more)
    assert not graphs
    other = fitted(*vectors, head=head, loss=loss, compile=True, **more)
    assert graphs
    for (name, own), (its, value) in zip(
        plain.backbone_.state_dict().items(), other.backbone_.state_dict().items(), strict=True
    ):
        assert name == its
        torch.testing.assert_close(value, own, rtol=1e-4, atol=1e-5)
    # What is fitted is plain: it is copied and pickled as any other.
    X, _ = vectors
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(other)).transform(X), other.transform(X)
    )
    n = len(graphs)
    other.transform(X)
    assert len(graphs) == n


def test_foreign_networks_draw_from_the_seed(vectors, graphs: list[object]) -> None:
    network = Wide()
    state = torch.get_rng_state()
    one, two, plain = (
        fitted(*vectors, backbone=network, compile=compile) for compile in (True, True, False)
    )
    assert torch.equal(state, torch.get_rng_state())
    X, _ = vectors
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    np.testing.assert_allclose(plain.transform(X), two.transform(X), rtol=1e-4, atol=1e-5)


def test_where_it_cannot_be_training_goes_on_without(
    vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile = nn.Module.compile

    def backend(graph: object, inputs: object) -> object:
        raise OSError("no compiler here")

    plain = fitted(*vectors)
    monkeypatch.setattr(nn.Module, "compile", lambda self: compile(self, backend=backend))
    with pytest.warns(UserWarning, match="cannot be compiled here .*no compiler here"):
        other = fitted(*vectors, compile=True)
    X, _ = vectors
    np.testing.assert_array_equal(plain.transform(X), other.transform(X))


def test_no_flag_is_named(vectors) -> None:
    with pytest.raises(InvalidParameterError, match="compile must be"):
        fitted(*vectors, compile="yes")
