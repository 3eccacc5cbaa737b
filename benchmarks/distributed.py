"""Two processes of one core each beside one process of one core: images a second of training.

    python benchmarks/distributed.py --json distributed.json

Both train the same steps, on the same batches, by `siamesekit.training.train`: the network of the
default for images, with batch normalisation over the batch of all, episodes of Omniglot's size. A
step alone takes its own share of the batch in each process; what they exchange is the embeddings,
the statistics of the normalisations, and the gradients. Each pair of runs is one beside the other,
in turn, in fresh processes held to a core each, which keep the memory that they free; the first
steps, which warm up, do not count.

The ratio says what a second process is worth. 2 is all that there is where a core is as fast beside
a busy one; where cores share caches, memory and power it is less. So each pair of runs has a third
one beside it: two processes at once that share nothing, each of which trains the whole batches by
itself. Their ratio is the ceiling of this machine, which the joint run is to be judged by. On a
machine whose cores are busy with other work both are less, since the slower process holds up both.
"""

import argparse
import os
import statistics

import torch
from _epoch import seconds_of_an_epoch
from _options import parser_of
from _processes import in_processes
from _table import Row, report

WAY = 20


def main() -> None:
    options = parse_options()
    if options.worker:
        print(seconds_on_a_core(options))
        return
    alone, together, apart = [], [], []
    for _ in range(options.repeats):
        alone.append(run(options, 1))
        together.append(run(options, 2))
        apart.append(run(options, 2, joint=False))
    batch = 2 * WAY * options.episodes
    images = batch * options.steps
    one, joint = images / min(alone), images / min(together)
    ratio = statistics.median(a / b for a, b in zip(alone, together, strict=True))
    ceiling = statistics.median(2 * a / b for a, b in zip(alone, apart, strict=True))
    rows = [
        Row("images a second, 2 processes beside 1", batch, "1/s", joint, one, more_is_better=True),
        Row(
            "2 processes that share nothing beside 1",
            batch,
            "1/s",
            2 * images / min(apart),
            one,
            more_is_better=True,
        ),
        Row(
            "ratio, of these: the joint one beside the ceiling",
            batch,
            "times",
            ratio,
            ceiling,
            more_is_better=True,
        ),
    ]
    print(f"torch {torch.__version__}, a core each of {os.cpu_count()}")
    report(rows, "batch", "beside", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network, and few steps")
    parser.add_argument("--episodes", type=int, default=5, help="of 40 images, in a batch")
    parser.add_argument("--steps", type=int, default=20, help="in an epoch, of which one is timed")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.episodes, options.steps, options.repeats = 1, 2, 1
    return options


def run(options: argparse.Namespace, size: int, *, joint: bool = True) -> float:
    """Return the seconds of an epoch of so many processes, held to a core each."""
    arguments = [f"--episodes={options.episodes}", f"--steps={options.steps}", "--worker"]
    if options.quick:
        arguments.append("--quick")
    said = in_processes(__file__, arguments, size, joint=joint)
    return max(float(text.split()[-1]) for text in said)


def seconds_on_a_core(options: argparse.Namespace) -> float:
    """Return the seconds of the second epoch, on a core that nobody else of us has."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(os.environ["RANK"]) % len(cores)]})
    torch.set_num_threads(1)
    backbone = "conv4" if options.quick else "residual"
    return seconds_of_an_epoch(backbone, WAY, options.episodes, options.steps)


if __name__ == "__main__":
    main()
