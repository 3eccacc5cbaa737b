"""Time and peak memory of the mining kernels beside pytorch-metric-learning's.

    python benchmarks/mining.py --json mining.json

A batch is B unit embeddings of 128 numbers, noisy about their class, K a class: 32 by default, as
FaceNet's batches of 1,800 have some 40 faces of a person. Everything is measured from the
embeddings on, distances included. The peer runs as far as it fits, and what it finds is asserted
to be what we find before anything is timed. There are B (K - 1) (B - K) triplets; the semi-hard
ones within margin 0.05 are about one in a hundred of them, so that writing the result does not
outweigh finding it.

Time is the best of several runs, ours and the peer's in turn. Peak memory is by how much the
resident memory of a fresh process grows above what it was with all imported, the input made and
one tiny batch mined. There glibc gives large blocks back as they are freed, for ours and for the
peer: what is in use is measured, not how the heap happens to fragment. On CUDA it is what the
allocator handed out above the input.
"""

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from _options import parser_of
from _table import Row, report
from torch import Tensor

from siamesekit._types import Triplets
from siamesekit.heads import EuclideanHead
from siamesekit.losses import batch_all_triplet_loss, batch_all_triplet_loss_from_embeddings
from siamesekit.miners import (
    BatchHard,
    RowMiner,
    SemihardTriplets,
    TensorFlowSemihard,
    mine_from_embeddings,
)

DIM = 128
MARGIN = 0.05
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
QUICK_SIZES = (128, 512)
BLOCKED_SIZES = (8192, 32768)
BLOCK_ROWS = 512
# Seconds and runs spent on the time of one row.
PATIENCE, MOST_RUNS = 3.0, 9

# What the server of fresh processes imports; it passes over what is not installed.
PRELOADED = ["siamesekit.losses", "siamesekit.miners", "pytorch_metric_learning.losses"]

Run = Callable[[Tensor, Tensor], Any]
HEAD = EuclideanHead()


@dataclass(frozen=True)
class Case:
    """What is measured: ours, and the peer's where it has the like; both take the batch.

    `check` takes the batch and fails unless both give the same.
    """

    name: str
    ours: Run
    peer: Run | None = None
    check: Run | None = None


def main() -> None:
    options = parse_options()
    # Read by the allocator of the server of fresh processes as that starts, not by this one.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**20)
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    cases = {case.name: case for case in whole_cases(options.peer)}
    jobs = [(name, size) for name in cases for size in options.sizes]
    cases |= {case.name: case for case in blocked_cases()}
    jobs += [(case.name, size) for case in blocked_cases() for size in options.blocked_sizes]

    threads = f"{torch.get_num_threads()} threads"
    print(f"K = {options.per_class}; {options.device}, {threads}, torch {torch.__version__}")
    rows = []
    for name, size in jobs:
        case = cases[name]
        with_peer = case.peer is not None and size <= options.peer_limit and peer_fits(size)
        rows += measure(case, size, with_peer, options)
    report(rows, "B", "peer", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: B up to 512")
    parser.add_argument("--peer", choices=("pml", "none"), default="pml")
    parser.add_argument("--peer-limit", type=int, default=1024, help="largest B of the peer")
    parser.add_argument("--sizes", type=int, nargs="+", help="B, multiples of K")
    parser.add_argument("--blocked-sizes", type=int, nargs="*", help="B of the rows in blocks")
    parser.add_argument("--per-class", type=int, default=32, metavar="K", help="items of a class")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    if options.blocked_sizes is None:
        options.blocked_sizes = QUICK_SIZES[-1:] if options.quick else BLOCKED_SIZES
    per_class = options.per_class
    for size in (*options.sizes, *options.blocked_sizes):
        if per_class < 2 or size < 2 * per_class or size % per_class:
            parser.error(f"B must be a multiple of K, twice K or more; got {size}, {per_class}")
    return options


def make_batch(size: int, options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Return unit embeddings, (size, DIM), that want a gradient, and labels, (size,)."""
    generator = torch.Generator().manual_seed(options.seed)
    labels = torch.arange(size) // options.per_class
    centres = torch.randn(size // options.per_class, DIM, generator=generator)
    z = 0.7 * centres[labels] + torch.randn(size, DIM, generator=generator)
    z = torch.nn.functional.normalize(z, dim=1)
    return z.to(options.device).requires_grad_(), labels.to(options.device)


def whole_cases(peer: str) -> list[Case]:
    """Return the cases on the whole matrix, with the peer's side unless `peer` is ``"none"``."""
    semihard = partial(mined, SemihardTriplets(MARGIN))
    batch_hard = partial(mined, BatchHard())
    tensorflow = Case("TensorFlow semi-hard", partial(mined, TensorFlowSemihard()))
    names = ("batch-all loss + gradient", "semi-hard triplets", "batch-hard triplets")
    if peer == "none":
        runs = (batch_all, semihard, batch_hard)
        return [*(Case(name, run) for name, run in zip(names, runs, strict=True)), tensorflow]

    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
    from pytorch_metric_learning.reducers import MeanReducer

    distance = LpDistance(normalize_embeddings=False)
    loss = TripletMarginLoss(
        MARGIN, distance=distance, reducer=MeanReducer(), triplets_per_anchor="all"
    )
    their_semihard = TripletMarginMiner(MARGIN, "semihard", distance=distance)
    their_batch_hard = BatchHardMiner(distance=distance)

    def their_batch_all(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return with_gradient(loss(z, labels), z)

    def same_loss(z: Tensor, labels: Tensor) -> None:
        for ours, theirs in zip(batch_all(z, labels), their_batch_all(z, labels), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)

    def same_triplets(miner: RowMiner[Triplets], theirs: Run, z: Tensor, labels: Tensor) -> None:
        # On the peer's own distances: ours may differ in the last bit, right at a margin.
        ours = miner(-distance(z.detach()), labels)
        assert torch.equal(as_keys(ours, len(z)), as_keys(theirs(z, labels), len(z)))

    return [
        Case(names[0], batch_all, their_batch_all, same_loss),
        Case(
            names[1],
            semihard,
            their_semihard,
            partial(same_triplets, SemihardTriplets(MARGIN), their_semihard),
        ),
        Case(
            names[2],
            batch_hard,
            their_batch_hard,
            partial(same_triplets, BatchHard(), their_batch_hard),
        ),
        tensorflow,
    ]


def blocked_cases() -> list[Case]:
    """Return the cases that never hold the B × B matrix."""
    return [
        Case("batch-all loss + gradient, in blocks", batch_all_in_blocks),
        Case("TensorFlow semi-hard, in blocks", partial(mined_in_blocks, TensorFlowSemihard())),
    ]


def mined(miner: RowMiner[Triplets], z: Tensor, labels: Tensor) -> Triplets:
    return miner(HEAD(z.detach(), z.detach()), labels)


def mined_in_blocks(miner: RowMiner[Triplets], z: Tensor, labels: Tensor) -> Triplets:
    return mine_from_embeddings(miner, z, labels, head=HEAD, block_rows=BLOCK_ROWS)


def batch_all(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return with_gradient(batch_all_triplet_loss(-HEAD(z, z), labels, MARGIN).mean, z)


def batch_all_in_blocks(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    result = batch_all_triplet_loss_from_embeddings(
        z, labels, MARGIN, lambda a, b: -HEAD(a, b), BLOCK_ROWS
    )
    return with_gradient(result.mean, z)


def with_gradient(loss: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    return loss.detach(), torch.autograd.grad(loss, z)[0]


def as_keys(triplets: Sequence[Tensor], size: int) -> Tensor:
    """Return one number a triplet, in ascending order."""
    a, p, n = triplets
    return ((a * size + p) * size + n).sort().values


def peer_fits(size: int) -> bool:
    """Return whether some three bytes for each of B³ triplets are free."""
    return 3 * size**3 < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def measure(case: Case, size: int, with_peer: bool, options: argparse.Namespace) -> list[Row]:
    """Return the rows of time and memory of one case at one size."""
    batch = make_batch(size, options)
    runs = [case.ours]
    if with_peer and case.peer is not None and case.check is not None:
        case.check(*batch)
        runs.append(case.peer)
    times = best_times(runs, batch)
    sides = ("ours", "peer")[: len(runs)]
    peaks = [peak_memory(case.name, side, size, options) for side in sides]
    return [
        Row(case.name + ", time", size, "s", *times),
        Row(case.name + ", peak memory", size, "MiB", *peaks),
    ]


def best_times(runs: Sequence[Run], batch: tuple[Tensor, Tensor]) -> list[float]:
    """Return the shortest time of each run in seconds; they go in turn."""
    best = [float("inf")] * len(runs)
    end = time.perf_counter() + PATIENCE
    for done in range(MOST_RUNS):
        if done > 1 and time.perf_counter() > end:
            break
        for k, run in enumerate(runs):
            wait_for(batch[0].device)
            start = time.perf_counter()
            run(*batch)
            wait_for(batch[0].device)
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(name: str, side: str, size: int, options: argparse.Namespace) -> float:
    """Return the peak memory of one run in a fresh process, in MiB."""
    # A fork of a server that has imported everything, and run nothing.
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=send_peak, args=(there, name, side, size, options))
    process.start()
    there.close()
    try:
        peak: float = here.recv()
    finally:
        process.join()
    return peak


def send_peak(
    connection: Connection, name: str, side: str, size: int, options: argparse.Namespace
) -> None:
    cases = [*whole_cases(options.peer), *blocked_cases()]
    case = next(case for case in cases if case.name == name)
    run = case.ours if side == "ours" else case.peer
    assert run is not None
    batch = make_batch(size, options)
    run(*make_batch(2 * options.per_class, options))
    connection.send(peak_of(partial(run, *batch), batch[0].device) / 2**20)


def peak_of(run: Callable[[], Any], device: torch.device) -> int:
    """Return by how many bytes memory grows at most during `run`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    forget_peak()
    before = resident_peak()
    run()
    return resident_peak() - before


def forget_peak() -> None:
    """Set the process's highest resident memory to the present one, where the system can."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")


def resident_peak() -> int:
    """Return the highest resident memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    # In bytes on macOS, where /proc is not.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
