"""Training from JPEG files: images a second, and memory, against what each half alone would do.

    python benchmarks/streaming.py --json streaming.json

Files are written first: pictures of noise, smoothed as photographs are, of which a few hundred
different ones are linked under as many names as asked for. Then, in turn in one process:

- *decoding alone*: the batches of an epoch are read by the workers, and dropped;
- *training alone*: as many batches of items that are in memory already are trained on;
- *both*: they are trained on as the workers read them.

No training from files can be faster than the slower of the first two, which is the peer. Where
workers and training share too few processors for both at once, it cannot reach it either: on two
processors, one thread and two workers, what decoding takes of them must be less than training does.

Memory is that of one ``fit`` in a script of its own and of its workers, sampled: what belongs to
one of them alone, and its share of what they share (Linux alone; else not measured). The peer
is what the images take as floats in memory. Workers start as Python starts them here: forked, they
share what their parent has loaded; ``--start spawn`` or ``forkserver`` makes them load it anew.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from _options import parser_of
from _table import Row, report
from _timing import best_times
from PIL import Image
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import Conv4
from siamesekit.data import ImageReader
from siamesekit.heads import CosineHead
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import Sampler
from siamesekit.training import Plan, TrainingLine, train
from siamesekit.training.items import Items, TensorItems
from siamesekit.training.opening import open_stream

PER_CLASS = 20
DIFFERENT = 400
QUALITY = 90


def main() -> None:
    options = parse_options()
    if options.fit is not None:
        fit(options)
        return
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        paths, labels = write_files(Path(name), options)
        rows = [throughput(paths, labels, options)]
        memory = peak_memory(Path(name), options)
        if memory is not None:
            floats = len(paths) * 3 * options.side**2 * 4
            peer = None if options.peer == "none" else floats / 2**20
            rows.append(Row("memory of fit and its workers", len(paths), "MiB", memory, peer))
    print(f"{options.workers} workers, {options.threads} threads, torch {torch.__version__}")
    report(rows, "images", "peer", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds: few and small images")
    parser.add_argument("--peer", choices=("alone", "none"), default="alone")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=224, help="pixels of the files")
    parser.add_argument("--size", type=int, default=84, help="pixels that are trained on")
    parser.add_argument("--batches", type=int, default=30, help="of 64 images, timed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--start", choices=multiprocessing.get_all_start_methods(), help="of the workers of fit"
    )
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.quick:
        options.images, options.side, options.size = 80, 40, 28
        options.batches, options.repeats = 2, 1
    if options.images % PER_CLASS or options.images < 4 * PER_CLASS:
        parser.error(f"--images must be a multiple of {PER_CLASS}, at least {4 * PER_CLASS}")
    return options


def write_files(folder: Path, options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Return paths of JPEGs, and the class of each."""
    rng = np.random.default_rng(options.seed)
    coarse = max(2, options.side // 8)
    paths, labels = files_in(folder, options)
    for k, path in enumerate(paths):
        if k < DIFFERENT:
            noise = rng.integers(0, 256, (coarse, coarse, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize((options.side,) * 2, Image.Resampling.BICUBIC)
            grain = rng.normal(0, 4, (options.side, options.side, 3))
            pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path, quality=QUALITY)
        else:
            os.link(paths[k % DIFFERENT], path)
    return paths, labels


def files_in(folder: Path, options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Return the paths and classes of the files that `write_files` writes to a folder."""
    paths = [str(folder / f"{k}.jpg") for k in range(options.images)]
    return paths, np.arange(options.images) // PER_CLASS


def throughput(paths: list[str], labels: np.ndarray, options: argparse.Namespace) -> Row:
    """Return images a second that are trained on as they are read, beside the slower half."""
    reader = ImageReader(size=options.size, mode="RGB")
    files = open_stream(paths, reader, options.workers, "X")
    codes = torch.from_numpy(labels)
    sampler = Some(options.batches).bind(codes, seed=options.seed)
    batches = list(sampler)
    some = files.take(torch.arange(min(len(paths), 512)))
    held = Repeated(some, len(paths))
    line = make_line(options)
    plan = Plan(max_epochs=1, optimizer="sgd", learning_rate=1e-4, schedule="constant")

    def decode() -> None:
        for _ in files.batches(batches):
            pass

    def learn(items: Items) -> None:
        train(line, items, codes, sampler, plan)

    runs = [lambda: learn(files), lambda: learn(held), decode]
    both, training, decoding = best_times(runs, options.repeats)
    n = sum(batch.numel() for batch in batches)
    print(f"images a second: decoding {n / decoding:,.0f}, training {n / training:,.0f}, alone")
    slower = n / max(training, decoding)
    peer = None if options.peer == "none" else slower
    return Row("images a second", n, "1/s", n / both, peer, more_is_better=True)


class Some(Sampler):
    """So many batches of four classes, whatever the number of items."""

    def __init__(self, n_batches: int) -> None:
        self.n_batches = n_batches

    def check(self) -> None:
        """Nothing is to be checked: the labels are this file's own."""

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield batches of 16 items of each of 4 classes."""
        assert self.labels is not None
        for _ in range(self.n_batches):
            classes = torch.randperm(len(self.labels) // PER_CLASS, generator=generator)[:4]
            yield (classes[:, None] * PER_CLASS + torch.arange(16)).flatten()

    def __len__(self) -> int:
        return self.n_batches


class Repeated(TensorItems):
    """Few items in memory under the positions of many."""

    def __init__(self, tensor: Tensor, n: int) -> None:
        super().__init__(tensor)
        self.shape = (n, *tensor.shape[1:])

    def take(self, index: Tensor) -> Tensor:
        """Return items that stand at some positions."""
        return self.tensor[index % len(self.tensor)]


def make_line(options: argparse.Namespace) -> TrainingLine:
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = Conv4().build((3, options.size, options.size))
        with torch.no_grad():
            dim = network(torch.zeros(2, 3, options.size, options.size)).shape[1]
        return TrainingLine(network, CosineHead().build(dim), EpisodicLoss().build(dim, 2))


# -- memory ---------------------------------------------------------------------------------------


def peak_memory(folder: Path, options: argparse.Namespace) -> float | None:
    """Return the most memory that a ``fit`` and its workers held at once, in MiB."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    arguments = [f"--{name}={getattr(options, name)}" for name in ("images", "side", "workers")]
    arguments += ["--quick"] if options.quick else []
    arguments += [] if options.start is None else [f"--start={options.start}"]
    process = subprocess.Popen([sys.executable, __file__, f"--fit={folder}", *arguments])
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"fit ended with exit code {process.returncode}")
    return peak


def fit(options: argparse.Namespace) -> None:
    """Train on files that are written, as a user's script does."""
    if options.start is not None:
        multiprocessing.set_start_method(options.start)
    paths, labels = files_in(options.fit, options)
    torch.set_num_threads(1)
    pool = max(1, options.side // 28)
    network = nn.Sequential(nn.AvgPool2d(pool), nn.Flatten(), nn.LazyLinear(64))
    with torch.no_grad():
        network(torch.zeros(1, 3, options.side, options.side))
    reader = ImageReader(mode="RGB")
    SiameseClassifier(
        backbone=network,
        reader=reader,
        n_workers=options.workers,
        max_epochs=1,
        validation=None if options.quick else 0.1,
        random_state=0,
    ).fit(paths, labels)


def memory_of(process: int) -> float:
    """Return the memory of a process and its children, in MiB; what is shared is shared out."""
    total = 0.0
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return total
    return total + sum(memory_of(int(child)) for child in children)


if __name__ == "__main__":
    main()
