"""Items that are read when needed are those in memory, whoever reads them."""

import gc
import pickle
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from siamesekit._random import drawing_from
from siamesekit.errors import CorruptDatasetError, InvalidDataError
from siamesekit.heads import CosineHead
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler
from siamesekit.training import Items, Plan, TrainingLine, embed_items, streaming, train
from siamesekit.training.fingerprint import digest
from siamesekit.training.items import TensorItems, blocks_of
from siamesekit.training.sources import DatasetSource, FileSource
from siamesekit.training.streaming import Streamed, join

N = 20
X = np.random.default_rng(0).integers(0, 256, (N, 5, 4), dtype=np.uint8)


def read_array(path: str) -> np.ndarray:
    return np.load(path)  # type: ignore[no-any-return]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for k, item in enumerate(X):
        np.save(tmp_path / f"{k}.npy", item)
    return [str(tmp_path / f"{k}.npy") for k in range(N)]


class Drawing(Dataset[Any]):
    """Items with noise from each of the global generators."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, position: int) -> tuple[Tensor, str]:
        noise = torch.rand(2) + torch.tensor([np.random.rand(), random.random()])  # noqa: NPY002
        return noise + position, f"c{position % 4}"


class OnlyTorch(Drawing):
    def __getitem__(self, position: int) -> tuple[Tensor, str]:
        return torch.rand(2) + position, f"c{position % 4}"


def batches(items: Items, seed: int = 0) -> list[Tensor]:
    indexes = [torch.tensor([3, 1, 3]), torch.tensor([[0, 19], [7, 7]]), torch.arange(N)]
    found = list(items.batches(iter(indexes), seed))
    assert all(given is own for given, (own, _) in zip(indexes, found, strict=True))
    return [batch for _, batch in found]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_batches_are_those_of_a_tensor(paths: list[str], n_workers: int) -> None:
    own = TensorItems(torch.from_numpy(X)[:, None])
    streamed = Streamed(FileSource(paths, read_array, "X"), n_workers)
    assert streamed.shape == own.shape
    assert len(streamed) == N
    for a, b in zip(batches(own), batches(streamed), strict=True):
        assert torch.equal(a, b)
    some = streamed[np.arange(N) % 2 == 0][torch.tensor([1, 4])]
    assert torch.equal(torch.cat(list(blocks_of(some, 1))), own.tensor[[2, 8]])
    assert digest(streamed) == digest(Streamed(FileSource(paths, read_array, "A"), 0))
    assert digest(streamed) != digest(some)


def test_embeddings_are_those_of_a_tensor_to_the_last_bit(paths: list[str]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3))
    device = torch.device("cpu")
    own = embed_items(network, torch.from_numpy(X)[:, None], device, torch.float32)
    streamed = Streamed(FileSource(paths, read_array, "X"), 0)
    assert torch.equal(embed_items(network, streamed, device, torch.float32), own)


def test_what_draws_is_seeded_by_item_and_epoch_whoever_reads() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    by_torch = [Streamed(DatasetSource(OnlyTorch(), "X"), n) for n in (0, 1, 2)]
    first = batches(by_torch[0], seed=5)
    for items in by_torch:
        for a, b in zip(first, batches(items, seed=5), strict=True):
            assert torch.equal(a, b)
        assert not torch.equal(first[2], batches(items, seed=6)[2])
    by_all = [batches(Streamed(DatasetSource(OnlyTorch(), "X"), n), seed=5) for n in (1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(*by_all, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_generators_of_workers_are_seeded_by_item() -> None:
    one, two = (batches(Streamed(DatasetSource(Drawing(), "X"), n), seed=5) for n in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_labels_come_with_items() -> None:
    items = Streamed(DatasetSource(OnlyTorch(), "X"), 0)
    assert items.labelled
    assert items[np.array([5, 0])].labels() == ["c1", "c0"]
    assert items.look_through().labels == [f"c{k % 4}" for k in range(N)]
    both = TensorDataset(torch.from_numpy(X), torch.arange(N))
    assert Streamed(DatasetSource(Subset(both, [7, 2]), "X")).labels() == [7, 2]
    alone = TensorDataset(torch.from_numpy(X))
    assert not Streamed(DatasetSource(ConcatDataset([alone, alone]), "X")).labelled


def test_one_behind_the_other(paths: list[str]) -> None:
    a, b = (Streamed(FileSource(p, read_array, "A"), 0) for p in (paths[:3], paths[2:]))
    both = join(a, b)
    assert torch.equal(torch.cat(list(blocks_of(both, 4)))[2:4, 0], torch.from_numpy(X[[2, 2]]))
    assert both.keys()[2] == both.keys()[3] != both.keys()[4]


def test_what_workers_are_sent_can_be_pickled(paths: list[str]) -> None:
    for source in (FileSource(paths, read_array, "X"), DatasetSource(Drawing(), "X")):
        copied = pickle.loads(pickle.dumps(source))
        assert copied.name(2) == source.name(2)
        assert len(copied) == N


@pytest.mark.parametrize("n_workers", [0, 2])
def test_what_cannot_be_read_is_named(paths: list[str], tmp_path: Path, n_workers: int) -> None:
    def opened() -> Streamed:
        return Streamed(FileSource(paths, read_array, "X"), n_workers)

    good = Path(paths[9]).read_bytes()
    for wrong, error, message in (
        (np.zeros((4, 5), np.uint8), InvalidDataError, r"shape of X\[0\].*\(5, 4\); got \(4, 5\)"),
        (np.zeros((5, 4), np.float32), InvalidDataError, r"is of float32, the item before it"),
        (None, CorruptDatasetError, r"cannot be read by reader=<function read_array"),
    ):
        Path(paths[9]).write_bytes(b"") if wrong is None else np.save(paths[9], wrong)
        with pytest.raises(error, match=r"X\[9\] \('.*9\.npy'\).*" + message):
            batches(opened())
        with pytest.raises(error, match=r"X\[9\]"):
            opened().look_through()
    Path(paths[9]).write_bytes(good)
    batches(opened())


class Refusing(Dataset[Any]):
    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, position: int) -> Any:
        return self.entries[position]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield torch.zeros(2)


class Uncounted(Dataset[Any]):
    def __getitem__(self, position: int) -> Tensor:
        return torch.zeros(2)


A = torch.zeros(1, 4, 4)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Endless(), "must be a map-style data set.*IterableDataset Endless"),
        (Uncounted(), "with __len__; that of Uncounted raises TypeError"),
        (Refusing([]), "at least one item; got an empty data set"),
        (Refusing([A, A[:, :3]]), r"X\[1\] must have the shape of X\[0\], \(1, 4, 4\); got"),
        (Refusing([A, A.double()]), r"X\[1\] is of float64"),
        (Refusing([(A, 1), A]), r"X\[1\] is an item alone, X\[0\] an item and its label"),
        (Refusing([A, (A, 1)]), r"X\[1\] is an item and its label, X\[0\] an item alone"),
        (Refusing([(A, [1, 2])]), r"X\[0\] must come with a label that is a number or a text"),
        (Refusing([(A, None)]), r"X\[0\] must come with a label"),
        (Refusing([{"pixels": A}]), r"tuples \(item, label\); X\[0\] is {"),
        (Refusing([(A, 1, 2)]), r"X\[0\] is \(tensor"),
        (Refusing([A, A / 0]), r"X\[1\] contains NaN, infinity"),
        (Refusing([torch.full((2,), 1e60, dtype=torch.float64)]), r"X\[0\] contains NaN, infinity"),
        (Refusing([torch.zeros(())]), "must have shape"),
        (Refusing([np.array(["a"])]), "must hold numbers"),
    ],
)
def test_what_a_data_set_cannot_be_is_named(dataset: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        Streamed(DatasetSource(dataset, "X")).look_through()


class Counting(Dataset[Any]):
    """Items of a thousand bytes; of each that is read a file tells."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder = folder
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, position: int) -> np.ndarray:
        (self.folder / str(position)).touch()
        return np.full(1000, position % 256, dtype=np.uint8)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_workers_are_about_one_batch_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_workers: int
) -> None:
    monkeypatch.setattr(streaming, "_PIECE", 3000)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    items = Streamed(DatasetSource(Counting(tmp_path, 400), "X"), n_workers)
    for k, (index, batch) in enumerate(items.batches(torch.split(order, 20)), start=1):
        assert torch.equal(batch[:, 0], index.to(torch.uint8))
        if k == 5:
            time.sleep(0.3)  # in which workers without a bound would read on
            # Besides what came: a batch, a piece of 3 items a worker, and the first item.
            assert len(list(tmp_path.iterdir())) <= 5 * 20 + (20 + 3 * (n_workers + 1) + 1)
    assert len(list(tmp_path.iterdir())) == 400


def test_what_crosses_from_a_worker_is_small_whatever_the_batch(
    paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crossed = []
    checked = Streamed._checked

    def counted(self: Streamed, found: Any, place: np.ndarray) -> Tensor:
        crossed.append((found.items.dtype, found.items.nbytes))
        return checked(self, found, place)

    monkeypatch.setattr(Streamed, "_checked", counted)
    monkeypatch.setattr(streaming, "_PIECE", 3 * X[0].nbytes)
    items = Streamed(FileSource(paths, read_array, "X"), 2)
    (_, whole), _ = items.batches([torch.arange(N), torch.tensor([4])])
    assert torch.equal(whole[:, 0], torch.from_numpy(X))
    assert crossed == [(np.dtype(np.uint8), n * X[0].nbytes) for n in [3] * 6 + [2, 1]]


def batches_in_memory(shape: torch.Size) -> int:
    found = [kept for kept in gc.get_objects() if type(kept) is Tensor]
    floats = [kept for kept in found if kept.shape == shape and kept.is_floating_point()]
    return len({kept.untyped_storage().data_ptr() for kept in floats})


def test_one_batch_of_floats_is_in_memory_and_none_after_training(paths: list[str]) -> None:
    labels, shape = torch.arange(N) % 4, torch.Size([8, 1, 5, 4])
    with drawing_from(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3))
    line = TrainingLine(network, CosineHead(), EpisodicLoss())
    sampler = EpisodeSampler(way=4, n_batches=3).bind(labels, seed=0)
    before: list[int] = []
    after: list[int] = []

    def augment(batch: Tensor, generator: torch.Generator) -> Tensor:
        before.append(batches_in_memory(shape))  # the next one is made, and the last one gone
        return batch

    def validate(line: TrainingLine) -> float:
        after.append(batches_in_memory(shape))
        return 0.0

    items = Streamed(FileSource(paths, read_array, "X"), 0)
    plan = Plan(max_epochs=2, optimizer="sgd", learning_rate=1e-3)
    train(line, items, labels, sampler, plan, augment=augment, validate=validate)
    assert before == [1] * 6
    assert after == [0, 0]


class Exiting(Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, position: int) -> Tensor:
        from torch.utils.data import get_worker_info

        if get_worker_info() is not None:
            import os

            os._exit(1)
        return torch.zeros(2)


def test_a_worker_that_dies_is_told_of() -> None:
    items = Streamed(DatasetSource(Exiting(), "X"), n_workers=2)
    with pytest.raises(InvalidDataError, match=r"n_workers=2 processes.*n_workers=0 reads them"):
        batches(items)
