"""What is asked of each kind of part, by parts that do not keep it."""

import random
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siamesekit._types import Neighbours, Shape, Triplets, Tuples
from siamesekit.backbones import MLP
from siamesekit.data import ImageReader, RandomAffine
from siamesekit.errors import InvalidParameterError, PluginCheckError
from siamesekit.gallery.indexes import Index
from siamesekit.gallery.indexes.exact import ExactIndex
from siamesekit.heads import EuclideanHead
from siamesekit.losses import BCELoss, Loss
from siamesekit.losses.rows import RowLoss, Share
from siamesekit.miners import BatchHard
from siamesekit.samplers import RandomSampler
from siamesekit.testing import _findings, check_plugin
from siamesekit.training import Callback


def missing(kind: str, part: Any) -> str:
    with pytest.raises(PluginCheckError, match=rf"does not keep the contract of {kind}") as caught:
        check_plugin(kind, part)
    return str(caught.value)


# -- backbones and heads ----------------------------------------------------------------------


class Unfinished(MLP):
    def finish(self, embed: Any, labels: Tensor) -> Any:
        return embed(self)


class Single(MLP):
    """Its numbers are too large for half the digits."""

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z / torch.zeros(()) if torch.is_autocast_enabled("cpu") else z


def test_a_backbone_is_finished_and_stands_bfloat16() -> None:
    assert "finish must return an nn.Module; got Tensor" in missing("backbones", Unfinished)
    assert "finite under bfloat16" in missing("backbones", Single)


class Squeezed(MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class Collapsed(MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0


class NearlyAlike(MLP):
    """As a deep network that takes means over much noise."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 + super().forward(x) * 1e-4


class Outputs(MLP):
    def forward(self, x: Tensor) -> Any:
        return (super().forward(x),)


def test_a_backbone_embeds_one_item_and_different_ones_differently() -> None:
    text = missing("backbones", Squeezed)
    assert re.search(r"of one item too .*; got \(\d+,\) for b = 1", text)
    assert "different items" not in text
    text = missing("backbones", Collapsed)
    assert "different items must not all get the same embedding" in text
    assert "of one item" not in text
    check_plugin("backbones", NearlyAlike, export=False)
    text = missing("backbones", Outputs)
    assert "forward must return a Tensor; got tuple" in text
    assert "AttributeError" not in text


class Centring(EuclideanHead):
    """Scores less their mean over the call."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        scores = super().forward(a, b)
        return scores - scores.mean()


def test_a_score_knows_no_company() -> None:
    assert "must depend on its two items alone" in missing("heads", Centring)


class Doubling(EuclideanHead):
    """Goes through NumPy's float64."""

    def cross(self, a: Tensor, b: Tensor) -> Tensor:
        return super().cross(a, b) * torch.from_numpy(np.ones(1))


class Narrowing(EuclideanHead):
    def cross(self, a: Tensor, b: Tensor) -> Tensor:
        return super().cross(a.float(), b.float())


class Unguarded(EuclideanHead):
    """Squares in what type it is given, whose rounding can pass below 0 under the root."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if a.dtype != torch.bfloat16:
            return super().forward(a, b)
        return -((a * a).sum(1)[:, None] + (b * b).sum(1) - 2.1 * a @ b.T).sqrt()


class Rounding(EuclideanHead):
    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return super().pairs(a, b) * (2 if a.dtype == torch.bfloat16 else 1)


def test_scores_keep_their_type_and_stand_bfloat16() -> None:
    text = missing("heads", Doubling)
    assert "forward of float32 embeddings must be float32; got float64: make new tensors" in text
    text = missing("heads", Narrowing)
    assert "forward of float64 embeddings must be float64; got float32" in text
    text = missing("heads", Unguarded)
    assert "forward of bfloat16 embeddings, under autocast, must be finite: compute in" in text
    text = missing("heads", Rounding)
    assert "pairs of bfloat16 embeddings, under autocast, must be that of float32 to 10%" in text


class Aware(EuclideanHead):
    """Scores otherwise where processes train together."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        together = torch.distributed.is_initialized()
        return super().forward(a, b) * (2 if together else 1)


class Idle(MLP):
    """Leaves a weight out where processes train together; they wait for its gradient."""

    def layers(self, input_shape: Shape) -> nn.Module:
        self.scale = nn.Parameter(torch.ones(()))
        return super().layers(input_shape)

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z if torch.distributed.is_initialized() else z * self.scale


def test_a_part_trains_under_ddp_as_without() -> None:
    text = missing("heads", Aware)
    assert "under DistributedDataParallel with one process the gradient must be as without" in text
    assert "training under DistributedDataParallel raises RuntimeError" in missing(
        "backbones", Idle
    )
    assert not torch.distributed.is_initialized()


def test_where_processes_train_already_that_is_left_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.warns(UserWarning, match="left unchecked: training under DistributedDataParallel"):
        check_plugin("heads", EuclideanHead, export=False)


class Traced(EuclideanHead):
    """Compares otherwise where it is traced: what is written is not what is run."""

    def aligned(self, a: Tensor, b: Tensor) -> Tensor:
        scores = super().aligned(a, b)
        return scores * 2 if torch.compiler.is_compiling() else scores


def test_what_is_exported_answers_alike() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    assert "head Traced gives other numbers as ONNX" in missing("heads", Traced)


def test_without_onnx_the_export_is_left_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.warns(UserWarning, match="left unchecked: export needs onnx: pip install"):
        check_plugin("heads", EuclideanHead)


class Lengthening(EuclideanHead):
    of_any_length = True

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return super().forward(a, b) * a.shape[1]

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        return super().pairs(a, b) * a.shape[1]


class LengtheningInSilence(Lengthening):
    """Inherits what its class does not say itself."""


def test_a_head_that_says_it_is_of_any_length_is() -> None:
    assert "of_any_length = True says" in missing("heads", Lengthening)
    check_plugin("heads", LengtheningInSilence, export=False)


class SaysAnother(EuclideanHead):
    def export(self) -> tuple[str, dict[str, Tensor]]:
        return "sqeuclidean", {}


class SaysNone(EuclideanHead):
    def export(self) -> tuple[str, dict[str, Tensor]]:
        return "manhattan", {}


class SaysTooLittle(EuclideanHead):
    def export(self) -> tuple[str, dict[str, Tensor]]:
        return "l1", {}


def test_a_head_says_truly_by_what_name_it_is_read() -> None:
    assert "'sqeuclidean', which compares in another way" in missing("heads", SaysAnother)
    assert "'manhattan', and the reader knows cosine," in missing("heads", SaysNone)
    assert "'l1', which needs other weights" in missing("heads", SaysTooLittle)


# -- losses and miners ------------------------------------------------------------------------


class Kind(BCELoss):
    """Takes what is no number for nothing."""

    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        return super().forward(inputs.nan_to_num(), labels, tuples, start)


class WantsWhatNoHeadGives(BCELoss):
    wants = "similarity"  # type: ignore[assignment]


def test_a_loss_wants_what_heads_give() -> None:
    assert "wants must be 'logit', 'distance' or None" in missing("losses", WantsWhatNoHeadGives)


class Rowless(Loss):
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        same = labels[:, None] == labels
        return (inputs * ~same - inputs * same).sum() if tuples is None else 0 * inputs.sum()


class Endless(Kind):
    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        while bool(inputs.isnan().any()) and not released:
            pass
        return super().forward(inputs, labels, tuples, start)


released: list[bool] = []


def test_a_loss_charges_rows_and_ends_in_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "an item that is not a number must cost not-a-number; got" in missing("losses", Kind)
    assert "charging rows of a batch raises TypeError" in missing("losses", Rowless)
    monkeypatch.setattr(_findings, "_PATIENCE", 0.2)
    text = missing("losses", Endless)
    released.append(True)
    assert "an item that is not a number does not end within 0.2 s" in text


class Spoilt(BatchHard):
    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        if bool(inputs.isnan().any()):
            everywhere = torch.arange(len(labels))
            return Triplets(everywhere, everywhere, everywhere)
        return super().__call__(inputs, labels)


class Plain(Loss):
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Any = None, start: int = 0) -> Any:
        return float(inputs.mean())


class FromTheFirst(Loss):
    """Takes its rows for the first of the batch."""

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Any = None, start: int = 0) -> Tensor:
        return inputs[labels[: len(inputs), None] != labels].exp().mean()


def test_a_loss_is_a_tensor_and_knows_where_its_rows_stand() -> None:
    found = missing("losses", Plain)
    assert found.count("forward must return a Tensor; got float") == 1
    assert "AttributeError" not in found
    assert "row i of scores must be item start + i of the batch" in missing("losses", FromTheFirst)


class Means(RowLoss):
    """Returns the mean of its rows for their sum."""

    def charge_rows(self, scores: Tensor, labels: Tensor, tuples: Any, start: int) -> Share:
        if tuples is not None:
            raise InvalidParameterError("no miner")
        different = labels[start : start + len(scores), None] != labels
        return Share((scores.exp() * different).mean(), different.sum())


class Sigmoid(Loss):
    """In two steps what is done in one: of large scores the logarithm is that of 0."""

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Any = None, start: int = 0) -> Tensor:
        if tuples is not None:
            raise InvalidParameterError("no miner")
        same = labels[start : start + len(inputs), None] == labels
        target = same.to(torch.float64)
        chance = torch.sigmoid(inputs)
        if inputs.dtype == torch.bfloat16:
            chance = chance.round()
        return -(target * chance.log() + (1 - target) * (1 - chance).log()).mean()


def test_a_losss_shares_add_up_and_its_type_stays() -> None:
    assert "charge_rows must return sums, not means" in missing("losses", Means)
    text = missing("losses", Sigmoid)
    assert "the loss of float32 scores must be float32; got float64" in text
    assert "the loss of bfloat16 scores, under autocast, must be finite" in text


class Lists(BatchHard):
    def __call__(self, inputs: Tensor, labels: Tensor) -> Any:
        return Triplets([0], [1], [4])  # type: ignore[arg-type]


def test_positions_are_tensors() -> None:
    assert "positions must be Tensors; got list, list, list" in missing("miners", Lists)


def test_a_miner_chooses_rightly_where_scores_are_no_numbers() -> None:
    assert "from a batch with an item that is not a number: no item may be paired" in missing(
        "miners", Spoilt
    )


# -- indexes ----------------------------------------------------------------------------------


class Hoarding(ExactIndex):
    """Removes nothing, and finds the worst first."""

    kind = "hoarding"

    def _remove(self, ids: np.ndarray) -> None:
        pass

    def _search(self, queries: np.ndarray, k: int) -> Neighbours:
        ids, scores = super()._search(queries, k)
        return Neighbours(ids[:, ::-1], scores[:, ::-1])


def test_an_indexs_author_is_told_everything_at_once() -> None:
    assert issubclass(Hoarding, Index)
    text = missing("indexes", Hoarding)
    assert "len() must fall by the number of ids removed" in text
    assert "what is removed must not be found" in text
    assert "the nearest to a vector must be itself" in text
    assert "scores must not rise in a row" in text
    assert "it must have add, remove, search, save, load" in missing("indexes", tuple)


# -- augmentations and readers ----------------------------------------------------------------


class Shrinking:
    """In place, from torch's own generator, and smaller."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        batch += torch.rand(())
        return batch[:, :, 1:].double()


class Nothing:
    def __call__(self, batch: Tensor, generator: torch.Generator) -> None:
        pass


class Ranks(ExactIndex):
    """Gives the rank for the score."""

    def search(self, vectors: Any, k: int) -> Neighbours:
        ids, scores = super().search(vectors, k)
        return Neighbours(ids, np.zeros_like(scores) - np.arange(scores.shape[1]))


class Wide(ExactIndex):
    def search(self, vectors: Any, k: int) -> Neighbours:
        ids, scores = super().search(vectors, k)
        return Neighbours(ids, scores.astype(np.float64))  # type: ignore[arg-type]


class Uncounted(ExactIndex):
    def __len__(self) -> int:
        raise KeyError("n")


def test_scores_of_an_index_are_those_of_its_metric() -> None:
    assert "scores must be those of its metric, 'cosine'" in missing("indexes", Ranks)
    assert "scores must be of float32; got float64" in missing("indexes", Wide)
    assert "being checked raises KeyError: 'n'" in missing("indexes", Uncounted)


def test_an_augmentations_author_is_told_everything_at_once() -> None:
    check_plugin("augmentations", RandomAffine(rotation=5))
    text = missing("augmentations", Shrinking)
    assert "leave the batch that it is given as it is" in text
    assert "on the same device; got torch.float64 of shape (4, 1, 15, 16)" in text
    assert "draw from its generator alone" in text
    assert "must return a Tensor; got NoneType" in missing("augmentations", Nothing)


def read_array(path: str | Path) -> np.ndarray:
    return np.load(path)  # type: ignore[no-any-return]


class Careless:
    """Returns text, and for any path."""

    def __call__(self, path: Path) -> str:
        return path.name


def test_a_reader_reads_one_of_the_formats_and_misses_a_file() -> None:
    check_plugin("readers", read_array)
    text = missing("readers", Careless)
    assert "got <U9 of shape ()" in text
    assert "a file that is not there must be an OSError or a ValueError" in text
    assert "reading a path given as a string raises AttributeError" in text
    assert "it must read one of these: .png: " in missing("readers", len)


# -- what is given, and what is drawn -----------------------------------------------------------


class SeedsTorch(BatchHard):
    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        torch.manual_seed(0)
        return super().__call__(inputs, labels)


class DrawsFromNumpy(BCELoss):
    def forward(self, *args: Any, **more: Any) -> Tensor:
        np.random.rand()  # noqa: NPY002
        return super().forward(*args, **more)


class DrawsFromPython(EuclideanHead):
    def build(self, dim: int) -> Any:
        random.random()
        return super().build(dim)


@pytest.mark.parametrize(
    ("kind", "part", "whose"),
    [
        ("miners", SeedsTorch, "torch"),
        ("losses", DrawsFromNumpy, "numpy"),
        ("heads", DrawsFromPython, "random"),
    ],
)
def test_no_part_uses_a_global_generator(kind: str, part: Any, whose: str) -> None:
    torch.manual_seed(0)  # which the part sets once more
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    assert f"it moves that of {whose}" in missing(kind, part)
    after = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_generators_of_devices_are_not_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    check_plugin("miners", BatchHard)
    assert seeds == []


class Rescaling(EuclideanHead):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return super().forward(a.data.mul_(2), b)


class Filling(MLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.data.clamp_(min=0.5))


class Relabelling(BCELoss):
    def forward(self, inputs: Tensor, labels: Tensor, *args: Any, **more: Any) -> Tensor:
        value = super().forward(inputs, labels, *args, **more)
        labels += 1
        return value


class RelabellingMiner(BatchHard):
    def __call__(self, inputs: Tensor, labels: Tensor) -> Triplets:
        chosen = super().__call__(inputs, labels)
        labels.zero_()
        return chosen


class RelabellingSampler(RandomSampler):
    def batches(self, generator: torch.Generator) -> Any:
        yield from super().batches(generator)
        assert self.labels is not None
        self.labels += 1


@pytest.mark.parametrize(
    ("kind", "part", "what"),
    [
        ("heads", Rescaling, "the embeddings that it is given"),
        ("backbones", Filling, "the items that it is given"),
        ("losses", Relabelling, "its inputs and labels"),
        ("miners", RelabellingMiner, "its inputs and labels"),
        ("samplers", RelabellingSampler, "the labels"),
    ],
)
def test_every_part_leaves_what_it_is_given_as_it_is(kind: str, part: Any, what: str) -> None:
    assert f"must leave {what} as they are" in missing(kind, part)


# -- what would train in silence, and wrongly ---------------------------------------------------


class Unlabelled(Plain):
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Any = None, start: int = 0) -> Tensor:
        return nn.functional.softplus(inputs).mean()


class UpsideDown(BCELoss):
    def forward(self, inputs: Tensor, *args: Any, **more: Any) -> Tensor:
        return super().forward(-inputs, *args, **more)


def test_a_loss_goes_by_labels_and_by_likeness() -> None:
    assert "the labels must tell" in missing("losses", Unlabelled)
    text = missing("losses", UpsideDown)
    assert "higher scores mean more alike" in text
    assert "the labels must tell" not in text


class Drawing(RandomSampler):
    """Batches that `draw` makes of the labels and a generator."""

    draw: ClassVar[Any]

    def __len__(self) -> int:
        return 3

    def batches(self, generator: torch.Generator) -> Any:
        for _ in range(3):
            yield type(self).draw(self.labels, generator)


def drawing(draw: Any) -> type[Drawing]:
    return type("Drawn", (Drawing,), {"draw": staticmethod(draw)})


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda y, g: torch.randint(len(y), (99,), generator=g), "no item may be twice in a batch"),
        (lambda y, g: torch.randint(len(y), (9, 1), generator=g).expand(-1, 2), "with itself"),
        (lambda y, g: torch.randint(len(y), (1,), generator=g), "two items or more"),
        (lambda y, g: (y == torch.randint(30, (1,), generator=g)).argwhere()[:, 0], "two of diff"),
        (lambda y, g: torch.randperm(len(y), generator=g).tolist(), "must be Tensors; got list"),
    ],
)
def test_a_batch_can_be_compared(draw: Any, message: str) -> None:
    assert message in missing("samplers", drawing(draw))


def shuffled(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch[torch.randperm(len(batch), generator=generator)]


def mixed(batch: Tensor, generator: torch.Generator) -> Tensor:
    return (batch + batch.flip(0)) / 2


def elsewhere(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch.to("meta")


def test_an_item_is_changed_in_its_place_and_by_itself() -> None:
    for change in (shuffled, mixed):
        text = missing("augmentations", change)
        assert "each item must stay in its place" in text
        assert "equal generators" not in text
    assert "on the same device; got torch.float32 of shape (4, 1, 16, 16) on meta" in missing(
        "augmentations", elsewhere
    )


def of_pixels(make: Any) -> Any:
    return lambda path: make(ImageReader()(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda pixels: pixels[None, None], r"got uint8 of shape \(1, 1, 12, 10\)"),
        (lambda pixels: pixels[:0], r"got uint8 of shape \(0, 10\)"),
        (lambda pixels: np.where(pixels > 100, np.nan, 0), "must hold finite numbers"),
    ],
)
def test_a_reader_gives_items_that_can_be_taken(make: Any, message: str) -> None:
    text = missing("readers", of_pixels(make))
    assert re.search(message, text)
    assert "the same twice" not in text


class AnswersOne(Callback):
    def on_epoch(self, record: Any) -> Any:
        return 1


def test_a_callback_answers_as_training_takes_it() -> None:
    assert "on_epoch must return True, False or None; got 1" in missing("callbacks", AnswersOne)
