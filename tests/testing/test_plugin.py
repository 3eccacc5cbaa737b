"""Every built-in part keeps its contract, and a part that does not is told what is missing."""

import random
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._params import Part
from siamesekit._types import Pairs, Shape, Triplets, Tuples
from siamesekit.backbones import MLP, Backbone
from siamesekit.errors import (
    InvalidDataError,
    InvalidParameterError,
    PluginCheckError,
    PluginError,
    UnknownPartError,
)
from siamesekit.heads import EuclideanHead, Head
from siamesekit.losses import CrossBatchMemory, Loss
from siamesekit.miners import BatchHard, Miner
from siamesekit.samplers import RandomSampler, Sampler
from siamesekit.testing import check_plugin

PARTS = [
    (kind, name)
    for kind in registry.KINDS
    for name in registry.names(kind, plugins=False)
    # It needs a server, which tests/gallery has.
    if name != "pgvector"
]
# Indexes that need a package of that name.
OPTIONAL = {
    "usearch": "usearch",
    "faiss": "faiss",
    "qdrant": "qdrant_edge",
}


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_built_in_part_passes(kind: str, name: str) -> None:
    if kind == "indexes" and name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    before = torch.get_rng_state()
    # tests/estimators exports them all.
    check_plugin(kind, name, export=False)
    assert torch.equal(torch.get_rng_state(), before)


def missing(kind: str, part: Any) -> str:
    with pytest.raises(PluginCheckError, match=rf"does not keep the contract of {kind}") as caught:
        check_plugin(kind, part)
    assert isinstance(caught.value, PluginError)
    return str(caught.value)


def test_classes_and_instances_are_taken_and_instances_left_as_they_are() -> None:
    check_plugin("heads", EuclideanHead, export=False)
    backbone = MLP(units=5, hidden=())
    check_plugin("backbones", backbone, export=False)
    assert backbone.network is None
    built = MLP(units=5).build((3,))
    before = {name: value.clone() for name, value in built.state_dict().items()}
    check_plugin("backbones", built)
    assert all(torch.equal(before[name], value) for name, value in built.state_dict().items())


def test_parameters_that_are_parts_are_no_fault() -> None:
    pytest.importorskip("pytorch_metric_learning")
    miner = registry.create("miners", "pml:MultiSimilarityMiner")
    check_plugin("losses", CrossBatchMemory(registry.create("losses", "pml:NTXentLoss"), 20, miner))


def test_what_is_no_part_of_a_kind_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"kind must be one of.*Did you mean 'losses'"):
        check_plugin("loses", "triplet")
    with pytest.raises(UnknownPartError, match="Did you mean 'triplet'"):
        check_plugin("losses", "tripplet")
    assert "it must be a siamesekit.losses.base.Loss" in missing("losses", BatchHard)


class NeedsAnArgument(Miner):
    def __init__(self, margin: float) -> None:
        self.margin = margin

    def __call__(self, inputs: Tensor, labels: Tensor) -> Pairs:
        return Pairs.empty()


def test_a_part_is_made_without_arguments() -> None:
    assert "making it with its default parameters raises TypeError" in missing(
        "miners", NeedsAnArgument
    )
    check_plugin("miners", NeedsAnArgument(0.5))


class Grows(BatchHard):
    """Does not keep its argument as it was given."""

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = margin + 1


class Forgets(BatchHard):
    """Does not keep its argument."""

    def __init__(self, margin: float = 1.0) -> None:
        self.kept = margin


class CannotBeSet(BatchHard):
    def set_params(self, **params: Any) -> "CannotBeSet":
        raise RuntimeError("no")


class Hollow(BatchHard):
    def __sklearn_clone__(self) -> "Part":  # type: ignore[override]
        return RandomSampler()


def test_parameters_must_go_round() -> None:
    assert "keep every argument, unchanged" in missing("miners", Grows)
    assert "get_params raises AttributeError" in missing("miners", Forgets)
    assert "set_params raises RuntimeError: no" in missing("miners", CannotBeSet)
    assert "clone must keep its parameters" in missing("miners", Hollow)


class BadBackbone(Backbone):
    """Centres each batch, even in evaluation; returns a picture; and its scale never trains."""

    def layers(self, input_shape: Shape) -> nn.Module:
        self.scale = nn.Parameter(torch.ones(()))
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.Dropout(0.5))

    def train(self, mode: bool = True) -> "BadBackbone":
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return (z - z.mean(0))[:, :, None]


class ForVideos(Backbone):
    def layers(self, input_shape: Shape) -> nn.Module:
        if len(input_shape) != 4:
            raise InvalidDataError("videos only")
        return nn.Flatten()


class Rebuilt(MLP):
    def build(self, input_shape: Shape) -> "Rebuilt":
        self.network = self.layers(input_shape)
        return self


class Detached(MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


def test_a_backbones_author_is_told_everything_at_once() -> None:
    text = missing("backbones", BadBackbone)
    assert "no finite gradient reaches its weights scale" in text
    assert (
        "of float32, as the items are, of shape (b, d); got torch.float32 of shape (6, 4, 1)"
        in text
    )
    assert "must give the same embeddings twice" in text
    assert "must depend on its own item alone" in text
    assert "what finish returns must return embeddings of shape (b, d)" in text
    assert text.count("\n- ") == 5
    assert "build must take items of one of the shapes" in missing("backbones", ForVideos)
    assert "keep the weights that are there already" in missing("backbones", Rebuilt)
    assert "no finite gradient reaches its weights network" in missing("backbones", Detached)


class BadHead(Head):
    """A distance where a score is due, its root without a guard, and no word on what it gives."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a[:, None] - b[None]).square().sum(-1).sqrt() + a.sum(1)[:, None]

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().sum(1, keepdim=True)


class Distance(EuclideanHead):
    def cross(self, a: Tensor, b: Tensor) -> Tensor:
        return -super().cross(a, b)

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:
        return -super().aligned(a, b)


class Unlearned(EuclideanHead):
    gives = "logit"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))


def test_a_heads_author_is_told_everything_at_once() -> None:
    text = missing("heads", BadHead)
    assert 'gives = "logit" or gives = "distance"' in text
    assert "pairs must return scores of shape (n,); got (5, 1)" in text
    assert "must equal the diagonal" in text
    assert "head(a, b) must equal head(b, a).T" in text
    assert "gradient of forward must reach both embeddings and be finite" in text
    assert "scores lower with itself than with another" in missing("heads", Distance)
    assert "no finite gradient of pairs reaches its weights weight" in missing("heads", Unlearned)


class BadLoss(Loss):
    """One number an item, which spoils its inputs; a mean over nothing where nothing is chosen."""

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        if tuples is not None:
            return inputs[tuples[0], tuples[1]].mean()
        with torch.no_grad():
            inputs[0, 0] += 1
        return inputs.sum(1)


class Constant(Loss):
    takes = "distances"  # type: ignore[assignment]

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        return torch.zeros(())


class Infinite(Loss):
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        if tuples is not None:
            raise InvalidParameterError("no miner")
        return (inputs - inputs).sqrt().sum() - inputs.log().sum()


class Flat(Loss):
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        return 0 * inputs.sum()


def test_a_losss_author_is_told_everything_at_once() -> None:
    text = missing("losses", BadLoss)
    assert "must return a float scalar; got torch.float32 of shape (16,)" in text
    assert "must leave its inputs and labels as they are" in text
    assert "an empty choice of pairs must give a 0" in text
    assert "an empty choice of triplets must give a 0" in text
    text = missing("losses", Constant)
    assert "takes must be 'scores' or 'embeddings'; got 'distances'" in text
    assert "must be differentiable" in text
    assert "an empty choice of pairs must give a 0 that can be differentiated" in text
    text = missing("losses", Infinite)
    assert "loss of a random batch must be finite" in text
    assert "gradient must reach the inputs and be finite" in text
    assert "choice" not in text
    assert "must not be all zero" in missing("losses", Flat)


class Choosing(Miner):
    """Returns what its class says."""

    takes: ClassVar[Literal["scores", "embeddings"]] = "embeddings"
    chosen: ClassVar[Any]

    def __call__(self, inputs: Tensor, labels: Tensor) -> Any:
        return self.chosen


def index(*values: float, dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ((index(0), index(1)), "must return Pairs or Triplets; got tuple"),
        (Pairs(index(0, 1), index(1)), "must be vectors of one length"),
        (Pairs(index(0), index(1, dtype=torch.int32)), "int64; got torch.int64, torch.int32"),
        (Pairs(index(0), index(16)), "from a batch: positions must lie in the batch"),
        (Pairs(index(3), index(3)), "no item may be paired with itself"),
        (Triplets(index(0), index(4), index(8)), "a positive must be of its anchor's class"),
        (Triplets(index(0), index(1), index(2)), "a negative must be of another class"),
        # Right in the first batch, wrong in that of one class.
        (
            Triplets(index(0), index(1), index(4)),
            "from a batch of one class: a negative must be of another class",
        ),
    ],
)
def test_a_miners_author_is_told_what_is_wrong(chosen: Any, message: str) -> None:
    assert message in missing("miners", type("Chooses", (Choosing,), {"chosen": chosen}))


class NeedsTwoClasses(BatchHard):
    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        assert len(labels.unique()) > 1, "one class"
        inputs += 1
        return super().__call__(inputs, labels)


def test_a_miner_stands_one_class_and_leaves_its_inputs() -> None:
    text = missing("miners", NeedsTwoClasses)
    assert "choosing from a batch of one class raises AssertionError: one class" in text
    assert "must leave its inputs and labels as they are" in text


class BadSampler(Sampler):
    """Draws from every global generator, gives floats, and says too few batches."""

    def check(self) -> None:
        pass

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        yield torch.rand(4) + random.random() + np.random.rand()  # noqa: NPY002
        yield torch.rand(4)

    def __len__(self) -> int:
        return 1


class InOrder(Sampler):
    def check(self) -> None:
        pass

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        assert self.labels is not None
        yield torch.arange(len(self.labels) + 1)

    def __len__(self) -> int:
        return 1


def test_a_samplers_author_is_told_everything_at_once() -> None:
    text = missing("samplers", BadSampler)
    assert "leave the global generators of torch, numpy and random alone" in text
    assert "len() must be the number of batches" in text
    assert "batches must be of int64" in text
    assert "equal seeds must give equal batches" in text
    text = missing("samplers", InOrder)
    assert "positions in the training set" in text
    assert "set_epoch must change" in text
    assert "another seed must change" in text
