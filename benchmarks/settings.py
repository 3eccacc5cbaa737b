"""What the settings of a processor are worth: images a second of training, beside the defaults.

    python benchmarks/settings.py --json settings.json

Trains the default network for images on batches of 200 images of 28×28 pixels, in fresh processes
with all threads: as it comes; with an allocator that keeps the memory that a step frees, in place
of giving it back and having it zeroed for the next one; with torch's large pages; with both; in
bfloat16; and in bfloat16 with memory kept. Each setting is run beside the defaults, in turn.
"""

import argparse
import os
import statistics
import subprocess
import sys

import torch
from _epoch import seconds_of_an_epoch
from _options import parser_of
from _processes import KEPT
from _table import Row, report

WAY = 20
EPISODES = 5
BATCH = 2 * WAY * EPISODES
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
SETTINGS = {
    "memory is kept": (KEPT, "float32"),
    "large pages": (LARGE_PAGES, "float32"),
    "memory is kept, in large pages": (KEPT | LARGE_PAGES, "float32"),
    "bfloat16": ({}, "bfloat16"),
    "memory is kept, bfloat16": (KEPT, "bfloat16"),
}


def main() -> None:
    options = parse_options()
    if options.worker:
        precision = getattr(torch, options.worker)
        print(seconds_of_an_epoch(options.backbone, WAY, EPISODES, options.steps, precision))
        return
    rows = []
    for name, (environment, precision) in SETTINGS.items():
        times, plain = [], []
        for _ in range(options.repeats):
            plain.append(seconds(options, {}, "float32"))
            times.append(seconds(options, environment, precision))
        images = BATCH * options.steps
        ours, peer = (images / statistics.median(taken) for taken in (times, plain))
        rows.append(Row(name, BATCH, "images/s", ours, peer, more_is_better=True))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    report(rows, "batch", "defaults", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network, and few steps")
    parser.add_argument("--backbone", default="residual")
    parser.add_argument("--steps", type=int, default=20, help="in an epoch, of which one is timed")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each setting")
    parser.add_argument("--worker", metavar="PRECISION", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.backbone, options.steps, options.repeats = "conv4", 2, 1
    return options


def seconds(options: argparse.Namespace, environment: dict[str, str], precision: str) -> float:
    """Return the seconds of an epoch in a process with these variables and no other setting."""
    own = {k: v for k, v in os.environ.items() if k not in KEPT | LARGE_PAGES}
    arguments = [f"--backbone={options.backbone}", f"--steps={options.steps}"]
    done = subprocess.run(
        [sys.executable, __file__, *arguments, f"--worker={precision}"],
        env=own | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
