"""How the benchmarks take times."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["best_times"]


def best_times(runs: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the shortest time of each run in seconds.

    They go in turn, so that what else the machine does falls on all alike, after one of warming up.
    """
    best = [float("inf")] * len(runs)
    for done in range(repeats + 1):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if done:
                best[k] = min(best[k], time.perf_counter() - start)
    return best
