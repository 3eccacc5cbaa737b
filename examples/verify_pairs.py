"""Same or not, on pictures of your own: signatures, faces, products, anything in folders.

    python examples/verify_pairs.py --root DIR --out DIR       # DIR/class/*.png
    python examples/verify_pairs.py --pairs FILE.csv --out DIR # columns a, b, same
    python examples/verify_pairs.py --demo --out DIR

A `SiameseVerifier` learns by the contrastive loss (Hadsell, Chopra and LeCun, 2006). A quarter of
the people (classes; of pairs, whatever is tied together by *same*) is kept for the test, which
neither training nor the threshold has seen; of the others the verifier keeps a quarter itself, to
calibrate its probabilities and to read the threshold off. Ink on paper is inverted (`--invert`).

`--demo` needs no data: characters of the fonts that matplotlib installs, warped as if drawn by
hand, are written to a folder and read back. They stand in for signatures and are none: how good
the network is at them says nothing about signatures.
"""

import argparse
import json
import time
import warnings
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from siamesekit import SiameseVerifier, plots
from siamesekit.data import ImagePairs, load_image_folder, load_pairs_csv
from siamesekit.errors import TooFewTrialsError
from siamesekit.evaluation.error_rates import Clusters
from siamesekit.losses import ContrastiveLoss
from siamesekit.training import TrainingHealthWarning, joined, leads

TEST_SHARE = 0.25
# Pairs that pictures are drawn of.
MOST_PAIRS = 20_000
DEMO_CLASSES = 80


class Pairs(NamedTuple):
    """Positions of images, whether they are of one class, and who they are of."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    people: Clusters


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.demo:
        options.root, options.invert = options.out / "demo", False
        with joined():  # of several processes one writes, and the others wait
            if leads():
                write_demo(options.root, options.seed)
    loaded = {"mode": options.mode, "size": options.size, "invert": options.invert}
    start = time.perf_counter()
    if options.root is not None:
        verifier, X, test, report = learn_from_folders(options, loaded)
    else:
        verifier, X, test, report = learn_from_pairs(options, loaded)
    seconds = time.perf_counter() - start
    if not leads():
        return
    cut = set_threshold(verifier, options.fmr)
    scores = verifier.decision_function(X[test.first], X[test.second])
    probability = verifier.predict_proba(X[test.first], X[test.second])[:, 1]
    report = report()
    tell(report, seconds)
    draw(options.out, X, test, scores, probability, cut, verifier, ink=options.invert)
    verifier.save(options.out / "model")
    results = report.to_dict() | {"seconds": seconds, "threshold_rule": repr(cut)}
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nmodel, results.json and pictures are in {options.out}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path, help="folder with a folder of pictures for each class")
    source.add_argument("--pairs", type=Path, help="table (csv) with the columns a, b and same")
    source.add_argument("--demo", action="store_true", help="warped characters in their place")
    parser.add_argument("--folder", type=Path, help="where the files of --pairs are")
    parser.add_argument("--out", type=Path, default=Path("verify_pairs"))
    parser.add_argument("--mode", default="grey", help="grey or rgb")
    parser.add_argument("--size", type=int, nargs="+", help="height and width, or one for both")
    parser.add_argument("--invert", action="store_true", help="pictures are ink on paper")
    parser.add_argument("--augment", default="auto", help="auto (glyphs, ink), photo, or none")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--fmr", type=float, default=0.01, help="false match rate to promise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="show the progress of training")
    options = parser.parse_args()
    if options.size is not None:
        options.size = options.size[0] if len(options.size) == 1 else tuple(options.size)
    return options


def new_verifier(options: argparse.Namespace) -> SiameseVerifier:
    return SiameseVerifier(
        # d = 1 - cosine: bounded, so that the margin is not dwarfed by the first embeddings.
        head="cosine",
        loss=ContrastiveLoss(balance=True),
        augment=None if options.augment == "none" else options.augment,
        max_epochs=options.epochs,
        random_state=options.seed,
        verbose=options.verbose,
    )


def learn_from_folders(options: argparse.Namespace, loaded: dict):
    images = load_image_folder(options.root, **loaded)
    classes = np.unique(images.y)
    print(f"{len(images):,} pictures of {len(classes):,} classes, {images.X.shape[1:]} pixels")
    tested = np.isin(images.y, some_of(classes, options.seed))
    verifier = new_verifier(options).fit(images.X[~tested], images.y[~tested])
    X, y = images.X[tested], images.y[tested]
    return verifier, X, pairs_of_classes(y, options.seed), lambda: verifier.report(X, y)


def learn_from_pairs(options: argparse.Namespace, loaded: dict):
    pairs = load_pairs_csv(options.pairs, options.folder, **loaded)
    print(f"{len(pairs):,} pairs of {len(pairs.X):,} pictures, {pairs.X.shape[1:]} pixels")
    people = tied_together(pairs)
    tested = np.isin(people, some_of(np.unique(people), options.seed))
    sides = people[pairs.first], people[pairs.second]
    test = tested[pairs.first] & tested[pairs.second]
    learn = ~tested[pairs.first] & ~tested[pairs.second]
    print(f"{learn.sum():,} to learn from, {test.sum():,} to be tested on; others join both")
    verifier = new_verifier(options)
    verifier.fit(
        (pairs.A[learn], pairs.B[learn]),
        pairs.same[learn],
        groups=(sides[0][learn], sides[1][learn]),
    )
    groups = sides[0][test], sides[1][test]
    chosen = Pairs(pairs.first[test], pairs.second[test], pairs.same[test], Clusters(*groups))
    return (
        verifier,
        pairs.X,
        chosen,
        lambda: verifier.report((pairs.A[test], pairs.B[test]), pairs.same[test], groups=groups),
    )


def some_of(classes: np.ndarray, seed: int) -> np.ndarray:
    """Return the classes that are kept for the test."""
    n = max(2, round(TEST_SHARE * len(classes)))
    return np.random.default_rng(seed).permutation(classes)[:n]


def tied_together(pairs: ImagePairs) -> np.ndarray:
    """Return a number for each picture: equal where *same* pairs lead from one to the other."""
    i, j = pairs.first[pairs.same], pairs.second[pairs.same]
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(len(pairs.X), len(pairs.X)))
    return connected_components(graph, directed=False)[1]


def pairs_of_classes(y: np.ndarray, seed: int) -> Pairs:
    """Return all pairs of some pictures, or so many of them as pictures can show."""
    i, j = np.triu_indices(len(y), 1)
    same = y[i] == y[j]
    if len(i) > MOST_PAIRS:
        draw = np.random.default_rng(seed)
        kept = np.concatenate(
            [draw.permutation(np.flatnonzero(kind))[: MOST_PAIRS // 2] for kind in (same, ~same)]
        )
        i, j, same = i[kept], j[kept], same[kept]
    return Pairs(i, j, same, Clusters(y[i], y[j]))


def set_threshold(verifier: SiameseVerifier, fmr: float):
    """Promise a false match rate; where so few people cannot show it, say so and take the EER's."""
    try:
        cut = verifier.threshold(fmr=fmr)
    except TooFewTrialsError as error:
        print(f"\nno promise of a false match rate of {fmr:.1%}: {error}")
        cut = verifier.threshold(strategy="eer")
    print(f"\nthreshold {cut!r}")
    return cut


def tell(report, seconds: float) -> None:
    def percent(estimate) -> str:
        low, high = estimate.interval
        return f"{estimate.value:.1%} [{low:.1%}, {high:.1%}]"

    print(f"learned and read in {seconds:.0f} s; on {report.n_people} people never seen")
    print(f"({report.n_same:,} same and {report.n_different:,} different pairs; 95 % intervals):")
    print(f"  EER                {percent(report.eer)}")
    print(f"  FNMR at FMR 1 %    {percent(report.fnmr)}")
    print(f"  AUC                {percent(report.auc)}")
    print(f"  Cllr               {report.cllr.value:.3f} bits, at best {report.min_cllr.value:.3f}")
    print(f"  at the threshold   FMR {report.fmr_at_threshold:.1%}, ", end="")
    print(f"FNMR {report.fnmr_at_threshold:.1%}")


def draw(out: Path, X, test: Pairs, scores, probability, cut, verifier, *, ink: bool) -> None:
    plots.plot_roc(scores, test.same, out / "roc.png", identities=test.people)
    plots.plot_det(scores, test.same, out / "det.png", identities=test.people)
    plots.plot_scores(scores, test.same, out / "scores.png", threshold=cut)
    plots.plot_reliability(probability, test.same, out / "reliability.png", identities=test.people)
    plots.plot_history(verifier.history_, out / "training.png")
    k = np.flatnonzero(test.same)[np.argmax(scores[test.same])]
    a, b = X[test.first[k]], X[test.second[k]]
    found = verifier.explain(a, b)
    plots.plot_explanation(a, b, found.a, found.b, out / "explanation.png", ink=ink)


def write_demo(folder: Path, seed: int) -> Path:
    """Write warped characters to a folder for each, as ink on paper is after `--invert`."""
    from _font_glyphs import load_font_glyphs
    from PIL import Image

    print("demonstration: characters of fonts, warped as if drawn by hand, and no signatures")
    glyphs = load_font_glyphs(random_state=seed)
    names = np.random.default_rng(seed).permutation(np.unique(glyphs.y))[:DEMO_CLASSES]
    for name in names:
        own = folder / name.replace(" ", "_")
        own.mkdir(parents=True, exist_ok=True)
        for k, pixels in enumerate(glyphs.X[glyphs.y == name]):
            Image.fromarray(pixels).save(own / f"{k:02}.png")
    return folder


if __name__ == "__main__":
    warnings.simplefilter("always", TrainingHealthWarning)
    # Under torchrun all processes train, and the first one prints and writes.
    with nullcontext() if leads() else redirect_stdout(None):
        main()
