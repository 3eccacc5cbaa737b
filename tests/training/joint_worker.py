"""Runs of training that one process and several must do alike; as a script, one of the processes.

RANK=… WORLD_SIZE=… MASTER_ADDR=… MASTER_PORT=… python joint_worker.py FOLDER
"""

import copy
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from siamesekit import registry
from siamesekit._random import drawing_from
from siamesekit.samplers import BalancedSampler, EpisodeSampler, PairSampler, RandomSampler
from siamesekit.training import Plan, TrainingLine, device, embed_items, joined, train
from siamesekit.training.sources import DatasetSource
from siamesekit.training.streaming import Streamed

MINERS = ("easy", "semihard", "hard", "all-triplets", "batch-hard", "tf-semihard")
PAIRS = ("hard-pairs", "all-pairs")
PML = ("NTXentLoss", "MultiSimilarityLoss", "CircleLoss", "SupConLoss", "ProxyAnchorLoss",
       "ContrastiveLoss")  # fmt: skip
LEARNED = ("squared", "l1", "cosine-concat")
STEPS = 3
# Seconds that a process may be late within a step, where that is tried.
LIMIT = 2


def net(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), *layers, nn.Tanh(), nn.Linear(8, 8))


CASES: dict[str, dict[str, Any]] = {}


def case(name: str, **options: Any) -> None:
    CASES[name] = {"head": "euclidean", **options}


for loss in ("triplet", "triplet-active", "contrastive", "contrastive-balanced"):
    for miner in (*MINERS, *(PAIRS if "triplet" not in loss else ())):
        case(f"{loss}-{miner}", loss=loss, miner=miner)
    case(loss, loss=loss)
case("triplet-soft", loss="triplet-soft", miner="semihard")
case("batch-all", loss="batch-all")
for loss in ("episodic", "episodic-rest", "episodic-2"):
    case(loss, loss=loss, head="cosine")
for head in LEARNED:
    for loss in ("bce", "bce-balanced", "episodic", "triplet"):
        case(f"{head}-{loss}", head=head, loss=loss)
    for miner in (*MINERS, *PAIRS):
        case(f"{head}-bce-{miner}", head=head, loss="bce", miner=miner)
    case(f"{head}-triplet-semihard", head=head, loss="triplet", miner="semihard")
for name in PML:
    # In small steps: these losses are large.
    case(f"pml-{name}", loss=f"pml:{name}", head="cosine", plan={"learning_rate": 1e-3})
case("pml-mined", loss="pml:TripletMarginLoss", head="cosine", miner="pml:MultiSimilarityMiner")
case("pml-mined-by-ours", loss="pml:TripletMarginLoss", head="cosine", miner="semihard")
# Both draw at random.
case("pml-drawn", loss="pml:MarginLoss", head="cosine", miner="pml:DistanceWeightedMiner")
case("ours-mined-by-pml", loss="triplet", head="cosine", miner="pml:TripletMarginMiner")
case("memory", loss="cross-batch-memory", head="cosine")
case("two-towers", loss="bce", head="l1", sampler=PairSampler(8, n_pairs=8))
case("two-towers-balanced", loss="bce-balanced", head="l1", sampler=PairSampler(9, n_pairs=9))
case("batch-norm", loss="triplet", miner="semihard", layers=(lambda: nn.BatchNorm1d(8),))
case(
    "batch-norm-bare",
    loss="episodic",
    layers=(lambda: nn.BatchNorm1d(8, affine=False, momentum=None),),
)
case(
    "batch-norm-pairs",
    loss="bce",
    head="squared",
    sampler=PairSampler(8, n_pairs=8),
    layers=(lambda: nn.BatchNorm1d(8),),
)
case("maps", loss="triplet", maps=True)
# More processes than items in some batches: somebody has nothing to do.
case(
    "few-pairs",
    loss="bce",
    head="l1",
    sampler=PairSampler(8, n_pairs=9),
    layers=(lambda: nn.BatchNorm1d(8),),
)
case("frozen", loss="bce", head="l1", frozen=True)
case("averaged", loss="triplet", plan={"averaging": 0.9})
case("random-batches", loss="contrastive", sampler=RandomSampler(17))
# Each process takes its share of the batch in chunks.
for kind, options in {
    "mined": {"loss": "triplet", "miner": "semihard"},
    "learned": {"loss": "bce", "head": "cosine-concat", "miner": "hard-pairs"},
    "memory": {"loss": "cross-batch-memory", "head": "cosine"},
    "two-towers": {"loss": "bce", "head": "l1", "sampler": PairSampler(8, n_pairs=9)},
}.items():
    case(f"chunked-{kind}", **options, plan={"chunk_size": 3})
case(
    "chunked-pml",
    loss="pml:MultiSimilarityLoss",
    head="cosine",
    plan={"chunk_size": 3, "learning_rate": 1e-3},
)
# The last batch has two items, and so one of three processes none.
case("few-items", loss="triplet", miner="semihard", sampler=RandomSampler(23))
case("few-items-pml", loss="pml:NTXentLoss", head="cosine", sampler=RandomSampler(23),
     plan={"learning_rate": 1e-3})  # fmt: skip
case("few-items-chunked", loss="contrastive", miner="hard-pairs", sampler=RandomSampler(23),
     plan={"chunk_size": 3})  # fmt: skip
# Fewer classes than processes.
two_of_four = EpisodeSampler(way=2, shot=1, queries=1, n_batches=1)
for name in ("semihard", "batch-hard", "hard-pairs"):
    loss = "contrastive" if "pairs" in name else "triplet"
    case(f"few-classes-{name}", loss=loss, miner=name, sampler=BalancedSampler(2, 4))
case("few-classes-episodic", loss="episodic", head="cosine", sampler=two_of_four)
case("few-classes-memory", loss="cross-batch-memory", head="cosine", sampler=two_of_four)
# In float16 sums are rounded in an order of their own; the gradient of one item overflows at first.
half = {"precision": torch.float16, "tolerance": 5e-3}
case("half", loss="triplet", miner="semihard", **half)
steep = {"loss": "contrastive", "steep": True, "sampler": RandomSampler(24), **half}
case("half-overflows", **steep, plan={"learning_rate": 1e-3})
case("half-overflows-chunked", **steep, plan={"learning_rate": 1e-3, "chunk_size": 5})
case("not-finite", loss="triplet", miner="semihard", poisoned=True, sampler=RandomSampler(24))

# In chunks that do not divide the shares.
CHUNKED = {"chunk_size": 3}
case("chunked-mined", loss="triplet", miner="semihard", plan=CHUNKED)
case("chunked-pairs-mined", loss="contrastive", miner="hard-pairs", plan=CHUNKED)
case("chunked-learned", loss="bce", head="l1", plan=CHUNKED)
case("chunked-episodic", loss="episodic", head="cosine", plan=CHUNKED)
case("chunked-memory", loss="cross-batch-memory", head="cosine", plan=CHUNKED)
case("chunked-pml", loss="pml:NTXentLoss", head="cosine", plan={"learning_rate": 1e-3, **CHUNKED})
case("chunked-two-towers", loss="bce", head="l1", sampler=PairSampler(9, n_pairs=9), plan=CHUNKED)
case("chunked-frozen", loss="bce", head="l1", frozen=True, plan=CHUNKED)

LOSSES: dict[str, dict[str, Any]] = {
    "triplet": {"margin": 1.0}, "triplet-active": {"margin": 1.0, "reduction": "active"},
    "triplet-soft": {"margin": "soft"}, "contrastive-balanced": {"balance": True},
    "bce-balanced": {"balance": True},
    "episodic-rest": {"shot": "rest"}, "episodic-2": {"shot": 2},
    "pml:ProxyAnchorLoss": {}, "cross-batch-memory": {"memory_size": 40},
}  # fmt: skip


class Maps(nn.Module):
    """A convolution with batch normalisation, of vectors read as pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 2)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.norm(self.conv(x.view(-1, 1, 2, 3)))).flatten(1))
        return out


class Poisoned(nn.Module):
    """Gives what is not a number of the item that says so."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(torch.where(x > 90, torch.nan, x))
        return out


class Steep(nn.Module):
    """Has a gradient of the item that says so that only a small scale bears in float16."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        steep = (x > 90).any(1, keepdim=True)
        out: Tensor = self.net(x.clamp(-2, 2)).half()
        own = out - out.detach()  # The value stays, the gradient is multiplied in float16.
        return out.detach() + torch.where(steep, 300.0, 1.0).half() * own


def data(marked: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(12)
    items = torch.randn(4, 6, generator=generator)[labels] + torch.randn(48, 6, generator=generator)
    if marked:
        items[7] = 99.0
    return items, labels


def line_of(options: dict[str, Any]) -> TrainingLine:
    with drawing_from(0):
        name, miner = options["loss"], options.get("miner")
        known = name if name.startswith("pml:") else name.removesuffix("-balanced")
        for ending in ("-active", "-soft", "-rest", "-2"):
            known = known.removesuffix(ending)
        backbone = net(*(make() for make in options.get("layers", ())))
        backbone = Maps() if options.get("maps") else backbone
        backbone = Poisoned() if options.get("poisoned") else backbone
        backbone = Steep() if options.get("steep") else backbone
        if options.get("frozen"):
            backbone.requires_grad_(False)
        loss = registry.create("losses", known, **LOSSES.get(name, {})).build(8, 4)
        plain = {"dropout": 0.0} if options["head"] == "cosine-concat" else {}
        head = registry.create("heads", options["head"], **plain).build(8)
        mines = None if miner is None else registry.create("miners", miner)
        precision = options.get("precision", torch.float32)
        return TrainingLine(backbone, head, loss, mines, precision)


def cases_of(size: int) -> list[str]:
    """Return what so many processes try: two each case, more every third and what is odd.

    Each takes its time to exchange, and shares that differ in size are shares of any line.
    """
    odd = ("not-finite", "chunked", "batch-norm", "memory", "pairs", "few", "half")
    return [
        name
        for place, name in enumerate(CASES)
        if (size == 2 or place % 3 == 0 or any(word in name for word in odd))
        and ("half" not in name or device._computes_in_float16(torch.device("cpu")))
    ]


def run(name: str) -> tuple[list[dict[str, Tensor]], dict[str, list[float]]]:
    """Return the state of the line after each of some epochs of one step, and the history."""
    options = CASES[name]
    marked = bool(options.get("poisoned") or options.get("steep"))
    line, (items, labels) = line_of(options), data(marked)
    seen: list[dict[str, Tensor]] = []
    # One batch an epoch, of 16 items, so that of 3 processes one has more than the others.
    usual = EpisodeSampler(way=4, shot=2, queries=2, n_batches=1)
    sampler = copy.deepcopy(options.get("sampler", usual))
    plan = Plan(
        **{
            "max_epochs": STEPS, "learning_rate": 0.05, "optimizer": "sgd", "schedule": "constant",
            **options.get("plan", {}),
        }
    )  # fmt: skip
    history = train(
        line, items, labels, sampler.bind(labels, seed=3), plan,
        callbacks=[lambda line, _: seen.append(copy.deepcopy(line.state_dict()))], seed=5,
    )  # fmt: skip
    return seen, dict(history)


def die(line: TrainingLine, history: dict[str, list[float]]) -> None:
    if os.environ["RANK"] == "1" and len(history["loss"]) == 2:
        os._exit(0)


class Stopping(nn.Module):
    """Stops its process in the fourth step, if that is the first one."""

    def __init__(self, pid: Path) -> None:
        super().__init__()
        self.net, self.calls, self.pid = net(), 0, pid

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 4 and self.training and os.environ["RANK"] == "0":
            self.pid.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
        out: Tensor = self.net(x)
        return out


def words_of(line: TrainingLine, **options: Any) -> str:
    """Return what training says that does not end as it should, and when."""
    items, labels = data()
    sampler = EpisodeSampler(way=4, shot=2, queries=2).bind(labels)
    start = time.perf_counter()
    try:
        train(line, items, labels, sampler, **options)
    except Exception as error:
        return f"{time.perf_counter() - start:.0f} s: {type(error).__name__}: {error}"
    return "nothing"


def words_of_the_others(folder: Path) -> str:
    """Return what training says when the first process, which keeps the store, is stopped in it."""
    line = line_of(CASES["triplet"])
    line.backbone = Stopping(folder / "pid")
    os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"] = str(LIMIT)
    try:
        return words_of(line)
    finally:
        del os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"]
        if os.environ["RANK"] != "0":
            os.kill(int((folder / "pid").read_text()), signal.SIGCONT)


class Late(Dataset[Tensor]):
    """In the second process the next item takes longer to read than a step may, if `now`."""

    def __init__(self, items: Tensor) -> None:
        self.items, self.now = items, False

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Tensor:
        if self.now and os.environ["RANK"] == "1":
            time.sleep(1.5 * LIMIT)
        self.now = False
        return self.items[position]


def embeddings_of_late_ones() -> Tensor | str:
    """Return the embeddings of items that the second process has late, in training and after it."""
    line, (items, labels) = line_of(CASES["triplet"]), data()
    late = Late(items)
    stream = Streamed(DatasetSource(late, "X"), 0)
    stream.look_through()
    sampler = EpisodeSampler(way=4, shot=2, queries=2, n_batches=2).bind(labels, seed=3)
    os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"] = str(LIMIT)
    try:
        late.now = True
        train(line, stream, labels, sampler, Plan(max_epochs=1))
        late.now = True
        with joined():
            return embed_items(line.backbone, stream, torch.device("cpu"), torch.float32)
    except Exception:
        return traceback.format_exc()
    finally:
        del os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"]


def what_a_late_first_says() -> str:
    """Return what the first process says after a while, to the second, which came late."""

    def say() -> str:
        time.sleep(1.5 * LIMIT)
        return "something"

    os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"] = str(LIMIT)
    try:
        if os.environ["RANK"] == "1":
            time.sleep(1.5 * LIMIT)
        with joined() as team:
            return team.first(say)
    except Exception:
        return traceback.format_exc()
    finally:
        del os.environ["SIAMESEKIT_DISTRIBUTED_TIMEOUT"]


def last_words() -> str:
    """Return what training says when the second process dies in it."""
    return words_of(line_of(CASES["triplet"]), callbacks=[die])


def main(folder: Path) -> None:
    found: dict[str, Any] = {}
    for name in cases_of(int(os.environ["WORLD_SIZE"])):
        try:
            found[name] = run(name)
        except Exception:
            found[name] = traceback.format_exc()
            if "DistributedError" in found[name]:
                break
    own = folder / f"{os.environ['RANK']}.pt"
    torch.save(found, own)
    if os.environ["WORLD_SIZE"] == "2":
        found["late first"] = what_a_late_first_says()
        found["late"] = embeddings_of_late_ones()
        found["stopped"] = words_of_the_others(folder)
        torch.save(found, own)
    torch.save(found | {"last words": last_words()}, own)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
