"""How cost grows: time of one thing at several sizes, beside the bound that it has.

    python benchmarks/growth.py --json docs/performance/growth.json
    python docs/build_performance.py

Times are those of the processor that this process used, on one thread, the least of some: so they
are the same whatever else the machine does, but for its caches.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from _options import parser_of

from siamesekit import registry
from siamesekit.environment import environment
from siamesekit.evaluation import Episodes, score_episodes
from siamesekit.gallery import Gallery
from siamesekit.losses import batch_all_triplet_loss
from siamesekit.samplers import EpisodeSampler
from siamesekit.training import embed_items

_ALL_TRIPLETS = "loss over all triplets, with gradient"
_REPEATS = 3
_LEAST = 0.02  # seconds that are measured at once


class Series(NamedTuple):
    """One thing at several sizes.

    Attributes
    ----------
    name, unit : str
        What is done, and what is counted on the horizontal axis.
    bound : str
        As it is written; `power` and `log` say what it is.
    power : float
        Of the size.
    log : bool
        Whether the bound has a factor of its logarithm.
    sizes : list of int
    made : callable
        From a size to what is timed.
    """

    name: str
    unit: str
    bound: str
    power: float
    log: bool
    sizes: list[int]
    made: Callable[[int], Callable[[], Any]]


def series() -> list[Series]:
    batches = [256, 512, 1024, 2048, 4096, 8192]
    galleries = [1_000, 10_000, 100_000, 1_000_000]
    return [
        Series("mining semi-hard triplets", "B", "B² log B", 2, True, batches, _mined),
        Series(
            "loss over all triplets, with gradient", "B", "B² log B", 2, True, batches, _charged
        ),
        Series("100 searches of a gallery", "n", "n", 1, False, galleries, _searched),
        Series("enrolling a gallery", "n", "n", 1, False, galleries, _enrolled),
        Series("scoring episodes, 20-way", "k", "k", 1, False, [250, 1000, 4000, 16000], _scored),
        Series("embedding images", "n", "n", 1, False, [1000, 4000, 16000, 64000], _embedded),
        Series("drawing 20 episodes of 5 classes", "classes", "1", 0, False, galleries, _drawn),
    ]


def _scores(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(size, 64, generator=generator))
    labels = torch.arange(size // 4).repeat_interleave(4)
    return -torch.cdist(z, z), labels


def _mined(size: int) -> Callable[[], Any]:
    scores, labels = _scores(size)
    miner = registry.create("miners", "semihard", per_pair=1)
    return lambda: miner(scores, labels)


def _charged(size: int) -> Callable[[], Any]:
    scores, labels = _scores(size)
    distances = (-scores).requires_grad_()

    def charge() -> None:
        distances.grad = None
        batch_all_triplet_loss(distances, labels, 0.2).mean.backward()

    return charge


def _vectors(size: int) -> torch.Tensor:
    return torch.randn(size, 64, generator=torch.Generator().manual_seed(0))


def _searched(size: int) -> Callable[[], Any]:
    gallery = Gallery("cosine")
    gallery.enroll(_vectors(size), np.arange(size))
    queries = _vectors(100) + 0.1
    return lambda: gallery.best_classes(queries)


def _enrolled(size: int) -> Callable[[], Any]:
    vectors, labels = _vectors(size), np.arange(size)
    return lambda: Gallery("cosine").enroll(vectors, labels)


def _scored(size: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    support = np.stack([rng.choice(400, 20, replace=False) for _ in range(size)])[:, :, None]
    episodes = Episodes(2 * support, 2 * support + 1)
    items, head = _vectors(800), registry.create("heads", "cosine")
    return lambda: score_episodes(items, episodes, head)


def _embedded(size: int) -> Callable[[], Any]:
    items = torch.randint(256, (size, 1, 28, 28), dtype=torch.uint8)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(64),
    )
    network(torch.zeros(1, 1, 28, 28))
    return lambda: embed_items(network, items, torch.device("cpu"), torch.float32)


def _drawn(size: int) -> Callable[[], Any]:
    batches: Iterator[torch.Tensor] = iter(
        EpisodeSampler(5, n_batches=10**6).bind(torch.arange(size).repeat_interleave(2))
    )
    next(batches)  # an epoch's own work

    def draw() -> None:
        for _ in range(20):
            next(batches)

    return draw


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the least processor time of a run, after one of warming up."""
    run()
    best = float("inf")
    for _ in range(repeats):
        times, start = 0, time.process_time()
        while time.process_time() - start < _LEAST or not times:
            run()
            times += 1
        best = min(best, (time.process_time() - start) / times)
    return best


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes, once")
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for one in series():
        sizes = one.sizes[:2] if parsed.quick else one.sizes
        times = [seconds(one.made(size), 1 if parsed.quick else _REPEATS) for size in sizes]
        found.append({**one._asdict(), "sizes": sizes, "seconds": times})
        del found[-1]["made"]
        print(
            f"{one.name}: " + ", ".join(f"{n} {t:.3g} s" for n, t in zip(sizes, times, strict=True))
        )
    if parsed.json:
        parsed.json.parent.mkdir(parents=True, exist_ok=True)
        facts = {"environment": environment(), "series": found}
        parsed.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
