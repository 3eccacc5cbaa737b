"""What 256 numbers cost in place of the 24,576 of the model in the box.

    python benchmarks/compact.py --omniglot DIR --json compact.json

20-way one-shot within an alphabet (all of them where it has fewer characters): the characters of
one drawer are enrolled in a `Gallery`, those of another are asked for, for every ordered pair of
drawers. The accuracy is the mean over all choices of the other 19 characters, in closed form, so
that nothing is drawn. The cost is that of the same queries by long embeddings, with a 95 % interval
over characters.

Two parts, so that what is chosen is not chosen on what is reported. ``background: …``: projections
are fitted to 24 of the background alphabets and asked about every fifth. ``Lake's ten`` and
``other ten``: fitted to all 30 and asked about the evaluation alphabets; the model in the box was
trained on the 30. Without data, made-up people are asked, in a space of 2,048 numbers of which 64
tell them apart.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from _options import parser_of
from _table import Row, report
from scipy.special import gammaln

from siamesekit import SiameseClassifier
from siamesekit.data import load_omniglot, resize
from siamesekit.data.omniglot import LAKE_ALPHABETS
from siamesekit.gallery import Gallery, PCAProjection, Projection, RandomProjection

WAY = 20
# Drawings of a character that are asked for, and of those that a projection is fitted to.
ASKED, FITTED = 6, 3


@dataclass
class Drawn:
    """Embedded items.

    Attributes
    ----------
    vectors : Tensor of float32, shape (n, d)
    alphabets, characters, drawers : ndarray, shape (n,)
        Of each.
    """

    vectors: torch.Tensor
    alphabets: np.ndarray
    characters: np.ndarray
    drawers: np.ndarray

    def of(self, rows: np.ndarray) -> "Drawn":
        """Return some of them."""
        chosen = torch.from_numpy(np.flatnonzero(rows))
        columns = (x[rows] for x in (self.alphabets, self.characters, self.drawers))
        return Drawn(self.vectors[chosen], *columns)


def main() -> None:
    options = parse_options()
    rows: list[Row] = []
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, fitted, asked in parts(options):
        long = answers(asked, asked.vectors, "float32")
        for recipe, made in recipes(options):
            if isinstance(made, PCAProjection):
                made.fit(fitted.vectors)
            short = made.apply(asked.vectors)
            for storage in options.storages:
                own = answers(asked, short, storage)
                about = f"{name}: {recipe}, {storage}"
                peer = None if options.peer == "none" else float(100 * long.mean())
                rows.append(Row(about, made.size, "%", float(100 * own.mean()), peer, True))
                mean, half = cost(100 * (long - own), asked)
                rows.append(Row(f"{about}: cost", made.size, "points", mean))
                rows.append(Row(f"{about}: cost ±", made.size, "points", half))
                print(
                    f"{about}: {100 * own.mean():.2f} %, {mean:.2f} ± {half:.2f} less", flush=True
                )
    report(rows, "numbers", "long", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="made-up people, in seconds")
    parser.add_argument("--peer", choices=("long", "none"), default="long")
    parser.add_argument("--omniglot", type=Path, help="folder of the two zips of Omniglot")
    parser.add_argument("--size", type=int, default=256, help="numbers of a short embedding")
    parser.add_argument("--whiten", type=float, nargs="+", help="in place of the default")
    parser.add_argument("--share", type=float, nargs="+", help="in place of the default")
    parser.add_argument("--storages", nargs="+", default=("float32", "int8"))
    parser.add_argument("--parts", nargs="+", choices=("background", "evaluation"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def recipes(options: argparse.Namespace) -> Iterator[tuple[str, Projection]]:
    """Yield projections, and what to call each."""
    yield "random", RandomProjection(options.size, options.seed)
    usual = PCAProjection(options.size)
    for share in options.share or (usual.share,):
        for whiten in options.whiten or (usual.whiten,):
            made = PCAProjection(options.size, share=share, whiten=whiten, seed=options.seed)
            yield f"PCA, share {share:g}, whiten {whiten:g}", made


def parts(options: argparse.Namespace) -> Iterator[tuple[str, Drawn, Drawn]]:
    """Yield names, and what is fitted to and asked for."""
    if options.quick or options.omniglot is None:
        people = made_up(options.seed)
        known = people.alphabets < 3
        yield "made up", people.of(known), people.of(~known)
        return
    wanted = options.parts or ("background", "evaluation")
    background = embedded(options.omniglot, "background")
    if "background" in wanted:
        held_out = np.isin(background.alphabets, np.unique(background.alphabets)[::5])
        few = background.drawers < FITTED
        yield "background", background.of(~held_out & few), background.of(held_out)
    if "evaluation" in wanted:
        evaluation = embedded(options.omniglot, "evaluation")
        background = background.of(background.drawers < FITTED)
        lake = np.isin(evaluation.alphabets, LAKE_ALPHABETS)
        yield "Lake's ten", background, evaluation.of(lake)
        yield "other ten", background, evaluation.of(~lake)


def embedded(root: Path, split: str) -> Drawn:
    """Return the first drawings of every character, as the model in the box sees them."""
    model = SiameseClassifier.from_pretrained("omniglot-28", device="cpu")
    items = load_omniglot(root, split).flat()
    # Drawings stand in the order of their drawers; images come back sorted by character.
    order = np.argsort(items.y, kind="stable")
    drawers = np.empty(len(order), dtype=np.int64)
    sorted_y = items.y[order]
    drawers[order] = np.arange(len(order)) - np.searchsorted(sorted_y, sorted_y)
    few = np.flatnonzero(drawers < ASKED)
    images = resize(items.X[few], 28)[:, None]
    vectors = torch.from_numpy(model.transform(images))
    return Drawn(vectors, np.asarray(items.groups)[few], items.y[few], drawers[few])


def made_up(seed: int) -> Drawn:
    """Return six alphabets of 24 characters by four drawers."""
    generator = torch.Generator().manual_seed(seed)
    n, drawers, dim, latent = 6 * 24, 4, 2048, 64
    middle = torch.randn(n, 1, latent, generator=generator)
    points = middle + 1.6 * torch.randn(n, drawers, latent, generator=generator)
    vectors = points.reshape(-1, latent) @ torch.randn(latent, dim, generator=generator)
    vectors += 4 * torch.randn(len(vectors), dim, generator=generator)
    characters = np.arange(n).repeat(drawers)
    return Drawn(vectors, characters // 24, characters, np.tile(np.arange(drawers), n))


def answers(asked: Drawn, vectors: torch.Tensor, storage: str) -> np.ndarray:
    """Return for each query and each other drawer the share of right answers, shape (m,).

    Queries come by alphabet, then by the drawer who is enrolled, the one who asks, and character.
    """
    found = []
    for alphabet, enrolled, asking in pairs_of(asked):
        rows = np.flatnonzero((asked.alphabets == alphabet) & (asked.drawers == enrolled))
        own = np.flatnonzero((asked.alphabets == alphabet) & (asked.drawers == asking))
        gallery = Gallery("cosine", storage=storage)  # type: ignore[arg-type]
        gallery.enroll(vectors[torch.from_numpy(rows)], asked.characters[rows])
        scores = gallery.class_scores(vectors[torch.from_numpy(own)]).numpy()
        right = scores[np.arange(len(own)), np.searchsorted(gallery.classes, asked.characters[own])]
        better = (scores >= right[:, None]).sum(1) - 1
        found.append(share_right(better, scores.shape[1]))
    return np.concatenate(found)


def pairs_of(asked: Drawn) -> Iterator[tuple[object, int, int]]:
    """Yield each alphabet with each ordered pair of its drawers."""
    for alphabet in np.unique(asked.alphabets):
        drawers = np.unique(asked.drawers[asked.alphabets == alphabet]).tolist()
        yield from ((alphabet, a, b) for a in drawers for b in drawers if a != b)


def share_right(better: np.ndarray, n: int) -> np.ndarray:
    """Return how often none of the `better` is among the others of a task drawn from n."""
    drawn = min(WAY, n) - 1
    free = np.maximum(n - 1 - better, drawn)
    share = np.exp(log_choose(free, drawn) - log_choose(np.array(n - 1), drawn))
    return np.where(n - 1 - better >= drawn, share, 0.0)


def log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def cost(lost: np.ndarray, asked: Drawn) -> tuple[float, float]:
    """Return the mean of what queries lost, and half of its 95 % interval over characters."""
    own = [
        asked.characters[(asked.alphabets == alphabet) & (asked.drawers == asking)]
        for alphabet, _, asking in pairs_of(asked)
    ]
    codes = np.unique(np.concatenate(own), return_inverse=True)[1]
    sums, counts = np.bincount(codes, lost - lost.mean()), np.bincount(codes)
    n = len(counts)
    error = np.sqrt(np.square(sums).sum() * n / (n - 1)) / counts.sum()
    return float(lost.mean()), float(1.96 * error)


if __name__ == "__main__":
    main()
