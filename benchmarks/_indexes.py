"""Indexes beside faiss's exact search (``IndexFlatIP``), in turn, in one process.

1,000 queries of vectors of 128 numbers that lie near a surface of 24 dimensions, as embeddings do:
the ten best by cosine. Each index is built, a tenth of what it holds is removed, and then it is
asked; the peer holds what is left. Recall is the share of queries whose nearest vector is found
first. Memory is what the process has more of once the index was built, thinned out and asked;
saved is the file that the index writes.
"""

import argparse
import gc
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _table import Row
from _timing import best_times

from siamesekit import registry
from siamesekit.gallery.indexes import Index

DIM, LATENT, NOISE = 128, 24, 0.05
SIZES, QUICK_SIZES = (100_000, 1_000_000), (2_000,)
NAMES = ("exact", "usearch", "faiss")
K = 10
PAGE = 4096


def index_rows(options: argparse.Namespace) -> list[Row]:
    """Return the figures of all indexes, beside the peer in turn."""
    rows: list[Row] = []
    for size in options.sizes or (QUICK_SIZES if options.quick else SIZES):
        vectors = near_a_surface(size + options.queries, options.seed)
        queries, vectors = vectors[size:], vectors[:size]
        kept = np.random.default_rng(options.seed).permutation(size) >= size // 10
        peer = flat(vectors[kept]) if options.peer != "none" else None
        nearest = np.flatnonzero(kept)[best_dot(queries, vectors[kept])]
        for name in options.indexes:
            rows += rows_of(name, vectors, kept, queries, nearest, peer, options.index_repeats)
    return rows


def near_a_surface(n: int, seed: int) -> np.ndarray:
    """Return unit vectors of float32, shape (n, 128)."""
    generator = torch.Generator().manual_seed(seed)
    bend = torch.randn(LATENT, DIM, generator=generator) / 3
    points = torch.tanh(torch.randn(n, LATENT, generator=generator) @ bend)
    points += NOISE * torch.randn(n, DIM, generator=generator)
    return torch.nn.functional.normalize(points).numpy()


def flat(vectors: np.ndarray) -> Any:
    """Return a function of queries: faiss's exact search, on as many threads as torch has."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    # pytorch-metric-learning, once imported, puts a function of its own in the place of `search`.
    return partial(getattr(index, "search_numpy", index.search), k=K)


def best_dot(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the place of the vector of the largest product with each query."""
    own = torch.from_numpy(vectors).T
    return np.concatenate(
        [(torch.from_numpy(block) @ own).argmax(1).numpy() for block in np.array_split(queries, 20)]
    )


def rows_of(
    name: str,
    vectors: np.ndarray,
    kept: np.ndarray,
    queries: np.ndarray,
    nearest: np.ndarray,
    peer: Any,
    repeats: int,
) -> list[Row]:
    """Return what building, removing from and asking an index takes, and what it finds."""
    size, before = len(vectors), resident()
    index: Index = registry.create("indexes", name)
    start = time.perf_counter()
    index.add(vectors, np.arange(size))
    built = time.perf_counter()
    index.remove(np.flatnonzero(~kept))
    removed = time.perf_counter()
    found = index.search(queries, K).ids[:, 0]
    runs = [partial(index.search, queries, K)] + ([] if peer is None else [partial(peer, queries)])
    times = best_times(runs, repeats)
    taken = resident() - before
    with TemporaryDirectory() as folder:
        index.save(Path(folder, "index"))
        saved = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return [
        Row(f"{name}: build", size, "s", built - start),
        Row(f"{name}: remove a tenth", size, "s", removed - built),
        Row(f"{name}: {len(queries):,} queries", size, "s", *times),
        Row(f"{name}: recall@1", size, "share", float((found == nearest).mean())),
        *([Row(f"{name}: memory", size, "MiB", taken / 2**20)] if before else []),
        Row(f"{name}: saved", size, "MiB", saved / 2**20),
    ]


def resident() -> int:
    """Return the bytes of this process in memory; 0 where the system does not say."""
    gc.collect()
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * PAGE if file.exists() else 0
