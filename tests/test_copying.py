"""Copies of networks that `copy.deepcopy` refuses, and states with buffers of another size."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit._copying import copied, let_go_of_graphs, load_state
from siamesekit.backbones import WhitenedNet

X = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
Y = np.arange(24) % 3


class Keeping(nn.Module):
    """Keeps what it computes, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 4)
        self.last: Tensor | None = None
        self.by_name: dict[str, Any] = {"n": 3}
        self.all: list[Tensor] = []
        self.pair: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x)
        if self.training:
            self.last, self.by_name["out"], self.all, self.pair = out, out, [out], (out, out)
        return out


class Table(nn.Module):
    """Has a buffer as large as its latest batch."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 4)
        self.register_buffer("table", None)

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None or len(self.table) != len(x):
            self.table = torch.linspace(0, 1, 6).repeat(len(x), 1)
        out: Tensor = self.out(x + self.table)
        return out


def kept() -> nn.Module:
    network = Keeping()
    network(torch.ones(2, 6))
    return network


def weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 4)))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(4))


def script() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = torch.jit.script(nn.Sequential(nn.Linear(6, 4)))
    return network


@pytest.mark.parametrize("make", [kept, weight_norm, lazy, script, Table])
@pytest.mark.parametrize("averaging", [None, 0.5])
def test_such_networks_train_and_are_copied(
    make: Callable[[], nn.Module], averaging: float | None
) -> None:
    network = make()
    clf = SiameseClassifier(
        network, averaging=averaging, validation=0.4, max_epochs=2, random_state=0, augment=None
    )
    labels = np.arange(24) % 6
    vectors = clf.fit(X, labels).transform(X)
    assert np.isfinite(vectors).all()
    assert np.array_equal(copy.deepcopy(clf).transform(X), vectors)
    again = clone(clf)
    assert again.backbone is not network
    assert np.array_equal(again.fit(X, labels).transform(X), vectors)
    plain = SiameseClassifier(network, max_epochs=1, random_state=0, augment=None)
    assert np.isfinite(cross_val_score(plain, X, Y, cv=2, error_score="raise")).all()


@pytest.mark.parametrize("make", [kept, weight_norm, lazy])
def test_wrapped_networks_are_copied_too(make: Callable[[], nn.Module]) -> None:
    wrapped = WhitenedNet(make())
    assert copied(wrapped).backbone is not wrapped.backbone


def test_a_copy_of_a_script_has_weights_of_its_own() -> None:
    network = script()
    next(network.parameters()).requires_grad_(False)
    new = copied(network)
    for own, other in zip(new.parameters(), network.parameters(), strict=True):
        assert own.is_leaf
        assert own.requires_grad == other.requires_grad
        assert own.data_ptr() != other.data_ptr()
        assert torch.equal(own, other)


def test_graphs_are_let_go_of_and_values_stay() -> None:
    network = Keeping()
    out = network(torch.ones(2, 6))
    let_go_of_graphs(network)
    for value in (network.last, network.by_name["out"], *network.all, *network.pair):
        assert value is not None
        assert value.is_leaf
        assert torch.equal(value, out)
    assert network.by_name["n"] == 3
    assert copy.deepcopy(network).out.weight.requires_grad


def test_buffers_of_another_size_are_loaded_and_weights_are_not() -> None:
    network, other = Table(), Table()
    network(torch.ones(2, 6))
    other(torch.ones(5, 6))
    assert load_state(network, other.state_dict())
    assert torch.equal(network.table, other.table)
    assert network.table is not other.table
    assert not load_state(network, other.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_state(nn.Linear(2, 2), nn.Linear(3, 2).state_dict())


def test_tables_sized_by_a_batch_go_through_checkpoints_and_files(tmp_path: Any) -> None:
    params = {"averaging": 0.5, "random_state": 0, "augment": None}
    network = Table()
    whole = SiameseClassifier(network, max_epochs=2, **params).fit(X, Y)
    for epochs in (1, 2):
        parts = SiameseClassifier(
            network, max_epochs=epochs, checkpoint=tmp_path / "runs", **params
        ).fit(X, Y)
    assert np.array_equal(parts.transform(X), whole.transform(X))
    whole.transform(X[:7])
    whole.save(tmp_path / "model")
    loaded = SiameseClassifier.load(tmp_path / "model", backbone=Table())
    assert np.array_equal(loaded.transform(X), whole.transform(X))
