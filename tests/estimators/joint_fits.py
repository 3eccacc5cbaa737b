"""A script for torchrun, or for one process: fits classifiers, and writes what came of it.

torchrun --nproc-per-node 2 joint_fits.py FOLDER
"""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from siamesekit import SiameseClassifier, SiameseVerifier
from siamesekit.training import Callback, Record, TimeLimit, joined, leads

RANK = int(os.environ.get("RANK", "0"))


class Counting(nn.Module):
    """Says how many items it embedded; the last of a batch may fill it up."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4))
        self.embedded = 0

    def forward(self, x: Tensor) -> Tensor:
        self.embedded += len(x.unique_consecutive(dim=0))
        out: Tensor = self.net(x)
        return out


# Of one name in the script and where it is imported: a checkpoint knows its network by it.
Counting.__module__ = "joint_fits"


def data() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 8)
    X = draws.normal(size=(12, 6))[y] + 0.5 * draws.normal(size=(96, 6))
    return X.astype(np.float32), y


def network(seed: int = 0) -> Counting:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Counting()


def classifier(**options: Any) -> SiameseClassifier:
    return SiameseClassifier(
        **{
            "backbone": network(), "optimizer": "sgd", "learning_rate": 0.05, "max_epochs": 2,
            "schedule": "constant", "validation": 0.3, "random_state": 0, **options,
        }
    )  # fmt: skip


def outcome(model: SiameseClassifier) -> dict[str, Any]:
    X, _ = data()
    return {
        "vectors": model.transform(X),
        "classes": model.predict(X),
        "history": dict(model.history_),
        "calibration": model.calibration_,
        "weights": {k: v.clone() for k, v in model.backbone_.state_dict().items()},
    }


def plain(folder: Path) -> Any:
    model = classifier().fit(*data())
    model.save(folder / "model")
    return outcome(model)


def unlike_networks(folder: Path) -> Any:
    return outcome(classifier(backbone=network(RANK), random_state=None).fit(*data()))


def verifier(folder: Path) -> Any:
    X, y = data()
    pairs = np.random.default_rng(1).integers(0, len(y), (60, 2))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    same[:10] = True
    pairs[:10, 1] = pairs[:10, 0] ^ 1
    model = SiameseVerifier(
        backbone=network(), optimizer="sgd", learning_rate=0.05, max_epochs=2, random_state=0,
        schedule="constant",
    ).fit(X[pairs[:, 0]], X[pairs[:, 1]], same)  # fmt: skip
    return model.transform(X)


def transform_shared(folder: Path) -> Any:
    X, y = data()
    model = classifier(max_epochs=0).fit(X, y)
    before = model.backbone_.embedded
    with joined():
        vectors = model.transform(X)
        model.enroll(X[:5] + 1, np.repeat(99, 5))
    shared = model.backbone_.embedded - before
    return vectors, model.transform(X), shared, model.predict(X[:5] + 1)


def resumed(folder: Path) -> Any:
    """Go on from what one process wrote, and leave something to go on from."""
    X, y = data()
    classifier(checkpoint=folder / "joint.ckpt").fit(X, y)
    return outcome(classifier(checkpoint=folder / "alone.ckpt", max_epochs=4).fit(X, y))


def read_item(path: str) -> np.ndarray:
    item: np.ndarray = np.load(path)
    return item


class Labelled(Dataset[Any]):
    """The items, each with its label."""

    def __init__(self) -> None:
        self.X, self.y = data()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, position: int) -> tuple[np.ndarray, int]:
        return self.X[position], int(self.y[position])


def each_alone(**options: Any) -> SiameseClassifier:
    """Return a classifier whose network embeds each item on its own, in chunks."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    return classifier(backbone=backbone, chunk_size=5, loss="triplet", miner="semihard", **options)


def streamed(folder: Path) -> Any:
    """Fit on paths that workers read, in chunks, and export: every process to one folder."""
    X, y = data()
    (folder / "items").mkdir(exist_ok=True)
    paths = [str(folder / "items" / f"{k}.npy") for k in range(len(y))]
    with joined():  # of several processes one writes, and the others wait
        if leads():
            for path, item in zip(paths, X, strict=True):
                np.save(path, item)
    model = each_alone(reader=read_item, n_workers=1, checkpoint=folder / "streamed.ckpt")
    model.fit(paths, y).export(folder / "served")
    return outcome(model)


def of_a_data_set(folder: Path) -> Any:
    return outcome(each_alone(head="l1").set_params(loss="bce", miner=None).fit(Labelled()))


def norm_in_chunks(folder: Path) -> Any:
    return _said(lambda: classifier(chunk_size=5).fit(*data()))


def _said(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def other_data(folder: Path) -> Any:
    X, y = data()
    return _said(lambda: classifier().fit(X + RANK, y))


def other_size(folder: Path) -> Any:
    X, y = data()
    return _said(lambda: classifier().fit(X[RANK * 8 :], y[RANK * 8 :]))


def other_rate(folder: Path) -> Any:
    return _said(lambda: classifier(learning_rate=0.05 + RANK).fit(*data()))


def other_epochs(folder: Path) -> Any:
    return _said(lambda: classifier(max_epochs=2 + RANK).fit(*data()))


def other_network(folder: Path) -> Any:
    backbone = network() if RANK == 0 else nn.Linear(6, 3)
    return _said(lambda: classifier(backbone=backbone).fit(*data()))


def one_refuses(folder: Path) -> Any:
    X, y = data()
    return _said(lambda: classifier().fit(X * (np.nan if RANK == 1 else 1), y))


def callback_raises(folder: Path) -> Any:
    def stop(line: Any, history: Any) -> None:
        if RANK == 1:
            raise KeyError("enough")

    return _said(lambda: classifier(callbacks=[stop]).fit(*data()))


class Told(Callback):
    """Notes what it is told, in this process."""

    heard: ClassVar[list[int]] = []

    def on_epoch(self, record: Record) -> None:
        self.heard.append(record.epoch)


class EndsInOne(Callback):
    """Would end training in the second process, or in the first after two epochs."""

    def on_epoch(self, record: Record) -> bool:
        return RANK == 1 or record.epoch == 2


def ended_by_one(folder: Path) -> Any:
    model = classifier(
        max_epochs=4, callbacks=[Told(), EndsInOne(), TimeLimit(3600 if RANK == 0 else 1e-9)]
    ).fit(*data())
    return outcome(model), Told.heard


def callback_of_the_first_fails(folder: Path) -> Any:
    class Fails(Callback):
        def on_start(self, record: Record) -> None:
            raise KeyError(f"process {RANK}")

    return _said(lambda: classifier(callbacks=[Fails()]).fit(*data()))


def own_norm(folder: Path) -> Any:
    class Odd(nn.BatchNorm1d):
        pass

    return _said(lambda: classifier(backbone=nn.Sequential(nn.Linear(6, 4), Odd(4))).fit(*data()))


def other_items_to_embed(folder: Path) -> Any:
    X, y = data()
    model = classifier(max_epochs=0).fit(X, y)

    def embed() -> None:
        with joined():
            model.transform(X + RANK)

    return _said(embed)


def not_a_checkpoint(folder: Path) -> Any:
    path = folder / "broken.ckpt"
    if RANK == 0:
        path.write_bytes(b"no")
    return _said(lambda: classifier(checkpoint=path).fit(*data()))


def after_all(folder: Path) -> Any:
    """Whatever went wrong before, the processes train together again."""
    return outcome(classifier().fit(*data()))


SCENARIOS = [
    plain, unlike_networks, verifier, transform_shared, resumed, other_data, other_size, other_rate,
    other_epochs, other_network, one_refuses, callback_raises, ended_by_one,
    callback_of_the_first_fails, own_norm, other_items_to_embed,
    not_a_checkpoint, streamed, of_a_data_set, norm_in_chunks, after_all,
]  # fmt: skip


def main(folder: Path) -> None:
    found = {}
    for scenario in SCENARIOS:
        found[scenario.__name__] = scenario(folder)
    torch.save(found, folder / f"{RANK}.pt")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
