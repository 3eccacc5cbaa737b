"""How often strangers are taken for somebody, beside what was promised.

    python benchmarks/open_set.py --omniglot DIR --orl DIR --words DIR DIR --json open_set.json

Galleries of N people are drawn at random, and for each `Gallery.threshold(fpir)` is set from a
background of others. Then people who are in neither search it: the share of their searches that
return anybody is the FPIR. The FNIR is the share of searches by those enrolled that do not return
them first; ``least`` is what it would be at the threshold that answers exactly so many of these
strangers as were promised, which nobody can know beforehand. Their 95 % intervals are by identity:
people are resampled, not searches. The peer is
what libraries offer: a threshold at which so many pairs of different people are taken for one
(FMR), the same share as is promised, from the same background.

Without data it asks made-up people (places in a space of 16 dimensions). Real ones:

- ``--omniglot``: characters, by the model in the box, which was trained on the 30 background
  alphabets. Galleries and strangers are of the ten evaluation alphabets that are not Lake's. The
  background is of Lake's ten, and once (``trained``) of characters that the model was trained on,
  the wrong way to do it; their alphabets are the groups.
- ``--orl``: faces by ``dlib-face`` (a plugin), which was trained on none of the 40 people.
- ``--words``: two speakers' folders of WAV files of equal names, by ``spoken-words`` (a plugin).
  Those enrolled are the first speaker's, searches are the second's; of the words of the background
  both are at hand, and which of them search is said.

A gallery is refused a promise (``TooFewTrialsError``) that so few people cannot show. It is asked
for with as much confidence as they can; how much that is stands in the last column.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _options import parser_of
from _table import Row, report

from siamesekit import SiameseClassifier, registry
from siamesekit.data import load_omniglot, load_orl_faces, resize
from siamesekit.data.omniglot import LAKE_ALPHABETS
from siamesekit.gallery import Gallery, TooFewPeopleWarning
from siamesekit.heads import Head

SIZES = (5, 20, 100)


@dataclass
class People:
    """Embedded items, and who each is of.

    Attributes
    ----------
    name : str
    head : Head
    vectors : Tensor of float32, shape (n, d)
    labels : ndarray, shape (n,)
    enrolled, background : ndarray of bool, shape (n,)
        Which items may be so; a stranger is of a person who may be enrolled, and is not.
    searching : ndarray of bool, shape (n,)
        Which items search, of strangers and of those enrolled; where not all do, this is told of
        the background.
    n_background : int
        People of the background, at most.
    groups : ndarray, shape (n,), or None
        Of what kind each is.
    """

    name: str
    head: Head
    vectors: torch.Tensor
    labels: np.ndarray
    enrolled: np.ndarray
    background: np.ndarray
    searching: np.ndarray
    n_background: int
    groups: np.ndarray | None = None


class Known(Head):
    """Scores that were computed once; an embedding is the position of an item."""

    gives = "distance"

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the scores of items at some positions against those at others."""
        return self.scores[a[:, 0].long()][:, b[:, 0].long()]

    def pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the scores of items at some positions against others, row by row."""
        return self.scores[a[:, 0].long(), b[:, 0].long()]


@dataclass
class Seen:
    """What came of one gallery: who searched, and whether they were wrong (0 or 1)."""

    strangers: np.ndarray
    fpir: np.ndarray
    peer_fpir: np.ndarray
    mates: np.ndarray
    fnir: np.ndarray
    peer_fnir: np.ndarray
    least_fnir: np.ndarray
    confidence: float
    upper: float


def main() -> None:
    options = parse_options()
    rows, lines = [], []
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, seed {options.seed}")
    print(
        f"{'':24}{'N':>4} {'FPIR % (95 %)':>22} {'> promise':>9} {'FNIR % (95 %)':>22} "
        f"{'least':>6} {'peer FPIR':>9} {'peer FNIR':>9} {'people':>7} {'sure':>5} {'s':>6}"
    )
    for people in asked_for(options):
        if options.shot == 1:  # nothing but the items themselves is then compared
            people = with_known_scores(people)
        for size in options.sizes:
            start = time.perf_counter()
            seen = [
                one_gallery(people, size, options, seed)
                for seed in range(options.seed, options.seed + options.galleries)
            ]
            found = [one for one in seen if one is not None]
            if not found:
                continue
            line = summary(people.name, size, found, options) | {
                "seconds": time.perf_counter() - start
            }
            lines.append(line)
            print(shown(line), flush=True)
            rows += rows_of(line, options.peer != "none")
    print()
    report(rows, "N", "FMR", options.json)
    if options.details:
        options.details.write_text(json.dumps(lines, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--details", type=Path, help="write all that is shown to this file")
    parser.add_argument("--quick", action="store_true", help="2 galleries of made-up people")
    parser.add_argument("--peer", choices=("fmr", "none"), default="fmr")
    parser.add_argument("--fpir", type=float, default=0.05, help="what is promised")
    parser.add_argument("--galleries", type=int, default=60, help="drawn of each size")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="people enrolled")
    parser.add_argument("--shot", type=int, default=1, help="examples of each who is enrolled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--omniglot", type=Path, help="folder of the two zips of Omniglot")
    parser.add_argument("--orl", type=Path, help="folder of att_faces.zip")
    parser.add_argument("--words", type=Path, nargs=2, help="folders of two speakers")
    options = parser.parse_args()
    if options.quick:
        options.galleries = 2
    return options


# -- people -----------------------------------------------------------------------------------


def asked_for(options: argparse.Namespace) -> Iterator[People]:
    if options.omniglot:
        yield from characters(options.omniglot)
    if options.orl:
        yield faces(options.orl)
    if options.words:
        yield words(*options.words)
    if not (options.omniglot or options.orl or options.words):
        yield made_up(options.seed)


def made_up(seed: int, n: int = 400, each: int = 4, dim: int = 16) -> People:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randn(n, 1, dim, generator=generator)
    vectors = places + 0.4 * torch.randn(n, each, dim, generator=generator)
    every = np.ones(n * each, dtype=bool)
    labels = np.arange(n).repeat(each)
    euclidean = registry.make("heads", "euclidean")
    return People("made up", euclidean, vectors.flatten(0, 1), labels, every, every, every, 150)


def characters(root: Path, each: int = 4) -> Iterator[People]:
    model = SiameseClassifier.from_pretrained("omniglot-28")
    rng = np.random.default_rng(0)

    def embedded(images: Any) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        flat = images.flat()
        order = rng.permutation(len(flat))
        _, of_class = np.unique(flat.y[order], return_inverse=True)
        by_class = np.argsort(of_class, kind="stable")
        place = np.arange(len(order)) - np.searchsorted(of_class[by_class], of_class[by_class])
        some = np.sort(order[by_class[place < each]])
        parts = np.array_split(some, max(1, len(some) // 256))
        vectors = [model.transform(resize(flat.X[part], 28)) for part in parts]
        return torch.from_numpy(np.concatenate(vectors)), flat.y[some], flat.groups[some]

    vectors, labels, alphabets = embedded(load_omniglot(root, "evaluation"))
    lake, every = np.isin(alphabets, LAKE_ALPHABETS), np.ones(len(labels), dtype=bool)
    yield People("characters", model.head_, vectors, labels, ~lake, lake, every, 400, alphabets)
    others, names, more = embedded(load_omniglot(root, "background"))
    few = np.isin(names, rng.permutation(np.unique(names))[:300])
    vectors = torch.cat([vectors[torch.from_numpy(~lake)], others[torch.from_numpy(few)]])
    labels = np.concatenate([labels[~lake], names[few]])
    alphabets = np.concatenate([alphabets[~lake], more[few]])
    own = np.arange(len(labels)) < (~lake).sum()
    every = np.ones(len(labels), dtype=bool)
    name = "characters, trained"
    yield People(name, model.head_, vectors, labels, own, ~own, every, 200, alphabets)


def faces(root: Path) -> People:
    from siamesekit_dlib_face import align

    images = load_orl_faces(root)
    crops = torch.from_numpy(align(images.X).faces)[:, None]
    network = registry.create("backbones", "dlib-face").build(tuple(crops.shape[1:])).eval()
    vectors = embedded_by(network, crops.float() / 255)
    every = np.ones(len(images.y), dtype=bool)
    euclidean = registry.make("heads", "euclidean")
    return People("faces, dlib", euclidean, vectors, images.y, every, every, every, 20)


def words(first: Path, second: Path, most: float = 1.5) -> People:
    import wave

    def is_short(path: Path) -> bool:
        with wave.open(str(path)) as sound:
            return sound.getnframes() <= most * sound.getframerate()

    names = sorted(path.relative_to(first) for path in first.rglob("*.wav"))
    names = [n for n in names if (second / n).is_file()]
    names = [n for n in names if is_short(first / n) and is_short(second / n)]
    read = registry.create("readers", "spoken-words")
    sounds = torch.from_numpy(np.stack([read(side / n) for side in (first, second) for n in names]))
    network = registry.create("backbones", "spoken-words").build(tuple(sounds.shape[1:])).eval()
    labels = np.tile([str(n) for n in names], 2)
    every = np.ones(len(labels), dtype=bool)
    hers = np.arange(len(labels)) >= len(names)
    cosine = registry.make("heads", "cosine")
    vectors = embedded_by(network, sounds)
    # Those enrolled are his, and searches are hers; of the background's words both are known.
    return People("words, two speakers", cosine, vectors, labels, every, every, hers, 200)


@torch.inference_mode()
def embedded_by(network: torch.nn.Module, items: torch.Tensor) -> torch.Tensor:
    return torch.cat([network(part) for part in torch.split(items, 32)]).float()


@torch.inference_mode()
def with_known_scores(people: People) -> People:
    """Return the same people, all of whose scores are computed once."""
    rows = [people.head(part, people.vectors) for part in people.vectors.split(256)]
    positions = torch.arange(len(people.labels), dtype=torch.float32)[:, None]
    return replace(people, head=Known(torch.cat(rows)), vectors=positions)


# -- one gallery ------------------------------------------------------------------------------


def one_gallery(people: People, size: int, options: argparse.Namespace, seed: int) -> Seen | None:
    """Return what strangers and mates found in one gallery; None where there are too few people."""
    rng = np.random.default_rng(seed)
    pool = rng.permutation(np.unique(people.labels[people.enrolled]))
    apart = np.setdiff1d(people.labels[people.background], pool)
    rest = pool[size:]
    if not len(apart):
        # A fifth of those who are left are strangers at least, and five.
        apart = rest[: min(people.n_background, len(rest) - max(5, len(rest) // 5))]
        rest = rest[len(apart) :]
    if len(pool) < size or len(rest) < 5 or len(apart) < 2:
        return None
    held_out = rng.permutation(apart)[: people.n_background]
    chosen = pool[:size]
    examples = examples_of(people, chosen, options.shot, rng)
    gallery = Gallery(people.head)
    gallery.enroll(people.vectors[torch.from_numpy(examples)], people.labels[examples])
    of_background = np.flatnonzero(np.isin(people.labels, held_out) & people.background)
    background = people.vectors[torch.from_numpy(of_background)]
    groups = None if people.groups is None else people.groups[of_background]
    search = None if people.searching.all() else people.searching[of_background]
    gallery.set_background(background, people.labels[of_background], groups, search)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewPeopleWarning)
        threshold = gallery.threshold(options.fpir, confidence=None)
    peer = verification_threshold(
        people.head, background, people.labels[of_background], options.fpir
    )
    searches = people.searching & ~np.isin(np.arange(len(people.labels)), examples)
    strangers = np.flatnonzero(np.isin(people.labels, rest) & searches)
    mates = np.flatnonzero(np.isin(people.labels, chosen) & searches)
    best = scores_of(gallery, people, strangers)[0]
    top, who = scores_of(gallery, people, mates)
    right = who == people.labels[mates]
    return Seen(
        people.labels[strangers],
        best >= threshold,
        best >= peer,
        people.labels[mates],
        ~(right & (top >= threshold)),
        ~(right & (top >= peer)),
        ~(right & (top >= np.quantile(best, 1 - options.fpir))),
        threshold.confidence,
        threshold.upper,
    )


def examples_of(
    people: People, chosen: np.ndarray, shot: int, rng: np.random.Generator
) -> np.ndarray:
    """Return positions of so many items of each; of those that do not search, where there are."""
    positions = []
    for label in chosen:
        own = np.flatnonzero((people.labels == label) & people.enrolled)
        silent = own[~people.searching[own]]
        positions.append(rng.permutation(silent if len(silent) else own)[:shot])
    return np.concatenate(positions)


def verification_threshold(
    head: Head, vectors: torch.Tensor, labels: np.ndarray, fmr: float, most: int = 1500
) -> float:
    """Return the score that a share `fmr` of pairs of different people reaches."""
    some = np.random.default_rng(0).permutation(len(labels))[:most]
    own = vectors[torch.from_numpy(some)]
    with torch.inference_mode():
        scores = head(own, own).numpy()
    different = labels[some][:, None] != labels[some][None]
    return float(np.quantile(scores[different], 1 - fmr))


def scores_of(
    gallery: Gallery, people: People, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = gallery.identify(people.vectors[torch.from_numpy(positions)], k=1)
    return found.scores[:, 0], found.labels[:, 0]


# -- what is shown ----------------------------------------------------------------------------


def summary(name: str, size: int, seen: list[Seen], options: argparse.Namespace) -> dict[str, Any]:
    def of(who: Callable[[Seen], np.ndarray], what: Callable[[Seen], np.ndarray]) -> Any:
        return rate(np.concatenate([who(s) for s in seen]), np.concatenate([what(s) for s in seen]))

    return {
        "name": name,
        "size": size,
        "promised": options.fpir,
        "fpir": of(lambda s: s.strangers, lambda s: s.fpir),
        "fnir": of(lambda s: s.mates, lambda s: s.fnir),
        "peer_fpir": of(lambda s: s.strangers, lambda s: s.peer_fpir)[0],
        "peer_fnir": of(lambda s: s.mates, lambda s: s.peer_fnir)[0],
        "least_fnir": of(lambda s: s.mates, lambda s: s.least_fnir)[0],
        "broken": float(np.mean([s.fpir.mean() > options.fpir for s in seen])),
        "galleries": len(seen),
        "people": len(np.unique(np.concatenate([s.strangers for s in seen]))),
        "upper": float(np.mean([s.upper for s in seen])),
        "confidence": float(np.mean([s.confidence for s in seen])),
        "seeds": [options.seed, options.seed + options.galleries - 1],
    }


def rate(who: np.ndarray, wrong: np.ndarray, resamples: int = 2000) -> tuple[float, float, float]:
    """Return a share and its 95 % interval by resampled identities."""
    _, own = np.unique(who, return_inverse=True)
    sums, counts = np.bincount(own, wrong), np.bincount(own)
    draws = np.random.default_rng(0).integers(len(sums), size=(resamples, len(sums)))
    low, high = np.quantile(sums[draws].sum(1) / counts[draws].sum(1), [0.025, 0.975])
    return float(wrong.mean()), float(low), float(high)


def shown(line: dict[str, Any]) -> str:
    def interval(figures: tuple[float, float, float]) -> str:
        return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * x for x in figures))

    return (
        f"{line['name']:24}{line['size']:>4} {interval(line['fpir']):>22} "
        f"{100 * line['broken']:>7.0f} % {interval(line['fnir']):>22} "
        f"{100 * line['least_fnir']:>6.1f} "
        f"{100 * line['peer_fpir']:>9.1f} {100 * line['peer_fnir']:>9.1f} "
        f"{line['people']:>7} {line['confidence']:>5.2f} {line['seconds']:>6.1f}"
    )


def rows_of(line: dict[str, Any], with_peer: bool) -> Iterator[Row]:
    for figure in ("fpir", "fnir"):
        name = f"{line['name']}: {figure.upper()}"
        peer = line[f"peer_{figure}"] if with_peer else None
        yield Row(name, line["size"], "share", line[figure][0], peer)


if __name__ == "__main__":
    main()
