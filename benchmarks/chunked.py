"""Memory and time of a step on a batch of 2,048 images: as a whole, and in chunks of 64 and 128.

    python benchmarks/chunked.py --json chunked.json

A step is charge and gradient of `siamesekit.training.chunked.BatchPass` with the hardest triplets
of the whole batch. Each way of taking it runs in a process of its own, one after the other; its
memory is the most that the process had of the machine's, less what it had before the first step
(network, images, libraries). The column *peer* is the step on the batch as a whole. No other
library of metric learning has such chunks for mined losses, so there is no other peer.
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass

import torch
from _options import parser_of
from _table import Row, report
from _timing import best_times
from torch import nn

from siamesekit._random import Stream, drawing_from
from siamesekit.heads import EuclideanHead
from siamesekit.losses import TripletLoss
from siamesekit.miners import BatchHard
from siamesekit.training import TrainingLine
from siamesekit.training.chunked import BatchPass
from siamesekit.training.drawing import drawing_of

SIDE = 28
WIDTH = 32
PER_CLASS = 8


@dataclass(frozen=True)
class Step:
    """What a step took.

    Attributes
    ----------
    mebibytes : float
        Most memory in use, less that before the first step.
    seconds : float
        Of the fastest step.
    """

    mebibytes: float
    seconds: float


def main() -> None:
    options = parse_options()
    if options.measure is not None:
        step = measure(options.measure or None, options.batch, options.repeats, options.seed)
        print(json.dumps(asdict(step)))
        return
    whole = in_another_process(options, 0)
    rows = []
    for size in options.chunks:
        found = in_another_process(options, size)
        rows.append(Row("memory of a step", size, "MiB", found.mebibytes, whole.mebibytes))
        rows.append(Row("time of a step", size, "s", found.seconds, whole.seconds))
    print(f"batch of {options.batch:,}, 1 thread, torch {torch.__version__}")
    report(rows, "chunk", "whole", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: a batch of 256")
    parser.add_argument("--peer", choices=("none",), default="none", help="there is no peer")
    parser.add_argument("--batch", type=int, default=2048, help="images, eight of each class")
    parser.add_argument("--chunks", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch < 2 * PER_CLASS or min(options.chunks) < 1:
        parser.error("--batch must be 16 or more, and each of --chunks 1 or more")
    if options.quick:
        options.batch, options.repeats = min(options.batch, 256), 1
    return options


def in_another_process(options: argparse.Namespace, size: int) -> Step:
    """Return what a step takes in a process that has done nothing else; 0 is the whole batch."""
    numbers = {
        "--batch": options.batch,
        "--repeats": options.repeats,
        "--seed": options.seed,
        "--measure": size,
    }
    words = [word for name, value in numbers.items() for word in (name, str(value))]
    done = subprocess.run(
        [sys.executable, __file__, *words], check=True, capture_output=True, text=True
    )
    return Step(**json.loads(done.stdout.splitlines()[-1]))


def measure(size: int | None, batch: int, repeats: int, seed: int) -> Step:
    """Return what steps take in this process."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, 1, SIDE, SIDE, generator=generator)
    labels = torch.arange(batch) // PER_CLASS
    with drawing_from(seed):
        line = TrainingLine(make_network(), EuclideanHead(), TripletLoss(), BatchHard())
    stream = Stream(generator)
    batch_pass = BatchPass(line, size, stream)
    # Once for a few, so that what libraries set up is not counted.
    with drawing_of(stream, line):
        batch_pass(images[:16], labels[:16])
        before = peak()

        def step() -> None:
            line.zero_grad(set_to_none=True)
            batch_pass(images, labels)

        seconds = best_times([step], repeats)[0]
    return Step(peak() - before, seconds)


def make_network() -> nn.Module:
    """Return four blocks of convolutions with group normalisation, and dropout at the end."""
    layers: list[nn.Module] = []
    for level in range(4):
        before = WIDTH if level else 1
        layers += [nn.Conv2d(before, WIDTH, 3, padding=1), nn.GroupNorm(8, WIDTH), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(WIDTH, 64))


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
