"""Enrolling one by one, and asking a gallery beside a plain torch product.

    python benchmarks/gallery.py --json gallery.json

Random embeddings of 64 numbers, one example a class, heads ``cosine`` and ``euclidean``. Enrolling
is timed an item at a time (the microseconds each show whether all of them are linear), then
questions of one item and of a hundred: which class? The peer is the bare product of the same
normalised vectors, ``queries @ prototypes.T``, in turn with ours in one process: it finds no best
class, checks no score and knows no tie, so that ours ought to stay within twice its time. Then what
a gallery does that changes: an example more and a question right after it, and half of all classes
forgotten one by one. Then five examples a class, by the best of them, beside the product with all
examples.

Last, every index that is installed beside faiss's exact search, of 100,000 and 1,000,000 vectors:
see `_indexes`. Of a million that takes half an hour; ``--sizes 100000`` leaves it out.
"""

import argparse
import itertools
import time
from functools import partial

import numpy as np
import torch
from _indexes import NAMES, index_rows
from _options import parser_of
from _table import Row, show, write_json
from _timing import best_times
from torch import Tensor

from siamesekit.gallery import Gallery
from siamesekit.heads import CosineHead, EuclideanHead

DIM = 64
CLASSES = (1_000, 10_000, 100_000)
QUICK_CLASSES = (100, 1_000)
QUERIES = (1, 100)
SHOT = 5


def main() -> None:
    options = parse_options()
    generator = torch.Generator().manual_seed(options.seed)
    rows = []
    for k in options.classes or (QUICK_CLASSES if options.quick else CLASSES):
        vectors = torch.randn(k, DIM, generator=generator).to(options.device)
        queries = torch.randn(max(QUERIES), DIM, generator=generator).to(options.device)
        gallery = Gallery(CosineHead())
        rows += enroll_rows(gallery, vectors)
        rows += question_rows(gallery, "", vectors, queries, options)
        by_distance = Gallery(EuclideanHead())
        by_distance.enroll(vectors, np.arange(k))
        rows += question_rows(by_distance, ", euclidean", vectors, queries, options)
        rows += change_rows(gallery, queries, options.repeats)
        rows.append(several_row(vectors, queries, options))
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    show(rows, "classes", "product")
    searched = index_rows(options)
    print()
    show(searched, "vectors", "faiss Flat")
    if options.json:
        write_json(options.json, rows + searched)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="in seconds: up to 1,000 classes")
    parser.add_argument("--peer", choices=("all", "none"), default="all")
    parser.add_argument("--classes", type=int, nargs="+", help="in place of 1,000 to 100,000")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", help="of indexes, not 10^5 and 10^6")
    parser.add_argument("--indexes", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--queries", type=int, default=1_000, help="that indexes are asked")
    parser.add_argument("--index-repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def enroll_rows(gallery: Gallery, vectors: Tensor) -> list[Row]:
    """Enroll all vectors one by one, each a class; return what it took."""
    labels = np.arange(len(vectors))
    start = time.perf_counter()
    for k in range(len(vectors)):
        gallery.enroll(vectors[k : k + 1], labels[k : k + 1])
    seconds = time.perf_counter() - start
    return [
        Row("enroll one by one", len(vectors), "s", seconds),
        Row("enroll one by one, each", len(vectors), "µs", 1e6 * seconds / len(vectors)),
    ]


def question_rows(
    gallery: Gallery, by: str, vectors: Tensor, queries: Tensor, options: argparse.Namespace
) -> list[Row]:
    """Return the times of questions of one item and of many, beside the product."""
    rows = []
    for m in QUERIES:
        name = f"which class, {m} quer{'y' if m == 1 else 'ies'}{by}"
        times = ask(gallery, vectors, queries[:m], options)
        rows.append(Row(name, len(vectors), "ms", *times))
    return rows


def ask(
    gallery: Gallery, examples: Tensor, queries: Tensor, options: argparse.Namespace
) -> list[float]:
    """Return the milliseconds of a question to the gallery, and of the product if asked for."""
    unit_queries = torch.nn.functional.normalize(queries)
    unit_examples = torch.nn.functional.normalize(examples)

    @torch.inference_mode()
    def product() -> Tensor:
        return unit_queries @ unit_examples.T

    runs = [partial(gallery.best_classes, queries)] + [product] * (options.peer != "none")
    return [1e3 * seconds for seconds in best_times(runs, options.repeats)]


def change_rows(gallery: Gallery, queries: Tensor, repeats: int) -> list[Row]:
    """Return the times of an example more with a question after it, and of forgetting half."""
    size, names = len(gallery.classes), itertools.count(len(gallery))

    def enroll_and_ask() -> None:
        gallery.enroll(queries[:1], [next(names)])
        gallery.best_classes(queries[:1])

    seconds = best_times([enroll_and_ask], max(1, repeats // 4))[0]
    start = time.perf_counter()
    for k in range(0, size, 2):
        gallery.forget(k)
    each = (time.perf_counter() - start) / (size // 2)
    return [
        Row("enroll one more, and ask", size, "ms", 1e3 * seconds),
        Row("forget half one by one, each", size, "µs", 1e6 * each),
    ]


def several_row(vectors: Tensor, queries: Tensor, options: argparse.Namespace) -> Row:
    """Return the time of a question where classes have several examples, by the best of them."""
    gallery, k = Gallery(CosineHead(), "max"), max(1, len(vectors) // SHOT)
    gallery.enroll(vectors, np.arange(len(vectors)) % k)
    times = ask(gallery, vectors, queries[:1], options)
    return Row(f"which class, 1 query, best of {SHOT} examples", k, "ms", *times)


if __name__ == "__main__":
    main()
