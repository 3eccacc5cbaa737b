"""What a step of training costs each of p processes: what it embeds, compares and exchanges.

    python benchmarks/ranks.py --json docs/performance/ranks.json
    python docs/build_performance.py

Nothing is timed: images, scores and bytes are counted, and are the same on every machine. All
processes train the network of the default for images on the same batches of 120 images; counted is
the process that has the most. Bytes are those that it hands to sums over all processes: of
embeddings, their gradient, gradients of weights, and the statistics of batch normalisation, which
stand side by side and so grow by a few thousand a process. A sum by a ring sends less than twice
as many, whatever p is.
"""

import argparse
import json
from typing import Any

import torch
import torch.distributed as dist
from _options import parser_of
from _processes import in_processes

from siamesekit import registry
from siamesekit.environment import environment
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler
from siamesekit.training import Plan, TrainingLine, train

SIDE, WAY, EPISODES, STEPS = 28, 20, 3, 2
PROCESSES = [1, 2, 3, 4]
# What is counted, what it is called, how it is bound in p, and from how many processes on.
SERIES = [
    ("images", "embedding a batch, by each of p processes", "1/p", -1, 1),
    ("scores", "comparing a batch, by each of p processes", "1/p", -1, 1),
    ("bytes", "exchanging in a step, by each of p processes", "1", 0, 2),
]


def main() -> None:
    options = parse_options()
    if options.worker:
        print(json.dumps(counts_of_a_step(quick=options.quick)))
        return
    words = ["--worker", *(["--quick"] if options.quick else [])]
    found: dict[int, list[dict[str, float]]] = {}
    for size in PROCESSES[:3] if options.quick else PROCESSES:
        said = in_processes(__file__, words, size)
        found[size] = [json.loads(text.splitlines()[-1]) for text in said]
        most = {name: max(own[name] for own in found[size]) for name, *_ in SERIES}
        print(f"{size} processes: " + ", ".join(f"{n:,.0f} {name}" for name, n in most.items()))
    series = []
    for what, name, bound, power, first in SERIES:
        sizes = [size for size in found if size >= first]
        values = [max(own[what] for own in found[size]) for size in sizes]
        own = {"name": name, "unit": "p", "bound": bound, "power": power, "log": False}
        series.append({**own, "sizes": sizes, "counts": values, "counted": what})
    if options.json:
        facts = {"environment": environment(), "series": series}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network, 1 to 3 processes")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def counts_of_a_step(*, quick: bool) -> dict[str, float]:
    """Return what this process does in a step, on average over an epoch."""
    torch.set_num_threads(1)
    counted = dict.fromkeys([what for what, *_ in SERIES], 0.0)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80).repeat_interleave(4)
    images = torch.rand(len(labels), 1, SIDE, SIDE, generator=generator)
    sampler = EpisodeSampler(way=WAY, episodes=EPISODES, n_batches=STEPS)
    name, options = ("conv4", {"width": 4}) if quick else ("residual", {})
    backbone = registry.create("backbones", name, **options).build((1, SIDE, SIDE))
    head = registry.create("heads", "cosine").build(64)
    line = TrainingLine(backbone, head, EpisodicLoss(way=WAY))

    def count(what: str, n: int) -> None:
        counted[what] += n / STEPS

    line.backbone.register_forward_hook(lambda _, given, out: count("images", len(given[0])))
    line.head.register_forward_hook(lambda _, given, out: count("scores", out.numel()))
    by_all = dist.all_reduce

    def counting(tensor: torch.Tensor, *arguments: Any, **more: Any) -> Any:
        count("bytes", tensor.numel() * tensor.itemsize)
        return by_all(tensor, *arguments, **more)

    dist.all_reduce = counting
    train(line, images, labels, sampler.bind(labels), Plan(max_epochs=1, optimizer="adamw"))
    return counted


if __name__ == "__main__":
    main()
