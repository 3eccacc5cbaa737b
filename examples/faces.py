"""Who is it? Learn from thirty people what tells faces apart; recognise others from one photograph.

    python examples/faces.py --root DIR --out DIR
    python examples/faces.py --root DIR --out DIR --backbone dlib-face

`--root` holds att_faces.zip (the ORL faces) or its extracted folder. Without `--backbone` the
recipe `siamesekit.recipes.faces` is trained from nothing, on 30 people; with it, a network that
comes with its weights, such as that of the plugin examples/plugins/dlib-face, is used as it is.

In five splits of the 40 people, ten at a time are unseen: each is enrolled by one photograph, drawn
anew again and again, and the others are searched for (rank-1); every two photographs of them are
compared (EER). Beside it stand cosines of pixels, and what a formula can learn from pixels. Then a
story: a staff is enrolled and recognised, a stranger is refused, one leaves, and one joins.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siamesekit import SiameseClassifier, plots
from siamesekit.data import ImageSet, load_orl_faces
from siamesekit.environment import environment, hardware
from siamesekit.errors import TooFewTrialsError
from siamesekit.evaluation import check_disjoint
from siamesekit.evaluation.baselines import LDA, WCCN, CentredCosine, Cosine
from siamesekit.gallery import Gallery, Threshold
from siamesekit.recipes import faces
from siamesekit.training import leads

UNSEEN = 10
SHRINK = 4
RESAMPLES = 1000
STAFF = 6
# What is promised to strangers: the least of these that the people at hand can show.
PROMISES, SURE = (0.05, 0.1, 0.2, 0.4), 0.9
NAMES = {
    Cosine: "pixels",
    CentredCosine: "pixels, centred",
    LDA: "pixels, LDA",
    WCCN: "pixels, WCCN",
}


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    images = load_orl_faces(options.root)
    seen, missed = as_the_network_sees_them(images, options.backbone)
    figures: dict[str, list[Unseen]] = {}
    splits = split_people(images.y, options.splits)
    for number, people in enumerate(splits):
        for name, unseen in score_split(images, seen, people, number, options).items():
            figures.setdefault(name, []).append(unseen)
        print(f"split {number}: " + "; ".join(f"{n} {u[-1]}" for n, u in figures.items()))
    table = [summary(name, unseen, options.resamples) for name, unseen in figures.items()]
    print()
    for row in table:
        print(
            f"{row['name']:24} rank-1 {interval(row['rank_1'])}   EER {interval(row['eer'])}"
            f"   {row['seconds']:.1f} s a split"
        )
    if missed is not None:
        print(f"faces not found, whose whole photograph stands in: {missed} of {len(images.X)}")
    if not leads():
        return
    ours = figures[our_name(options.backbone)]
    scores, same, pairs = (np.concatenate([getattr(u, k) for u in ours]) for k in PARTS)
    plots.plot_scores(scores, same, options.out / "scores.png")
    plots.plot_roc(
        scores, same, options.out / "roc.png", identities=tuple(pairs.T), n_resamples=200
    )
    tell_story(images, seen, splits[0], options)
    report = {
        "seeds": {"splits": list(range(options.splits)), "training": options.seed},
        "unseen_people": [sorted(people.tolist()) for people in splits],
        "missed_faces": missed,
        "environment": environment(),
        "results": table,
    }
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwrote results.json and the pictures to {options.out}; on {hardware()}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of att_faces.zip")
    parser.add_argument("--out", type=Path, default=Path("faces"), help="folder for results")
    parser.add_argument("--backbone", help="a network with weights, as dlib-face; not trained")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    parser.add_argument("--draws", type=int, default=200, help="galleries drawn in each split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one split, hardly trained")
    options = parser.parse_args()
    options.resamples = RESAMPLES
    if options.quick:
        options.splits, options.epochs, options.draws, options.resamples = 1, 1, 10, 50
    return options


# -- the figures ------------------------------------------------------------------------------


class Unseen:
    """How ten unseen people fare in a split: each one's rank-1, and the scores of all pairs."""

    def __init__(self, scores: Tensor, who: np.ndarray, draws: int, seconds: float) -> None:
        self.seconds = seconds
        self.people = np.unique(who)
        self.rank_1 = rank_1_of_each(scores.numpy(), who, draws)
        first, second = np.triu_indices(len(who), 1)
        self.scores = scores[first, second].numpy()
        self.same = who[first] == who[second]
        self.pairs = np.stack([who[first], who[second]], 1)

    def rates(self, weights: dict[str, float]) -> tuple[float, float]:
        """Return rank-1 and EER in %, each person being worth so much, and a pair their product."""
        own = np.array([weights[name] for name in self.people])
        a, b = (own[np.searchsorted(self.people, side)] for side in self.pairs.T)
        # A pair of one person is drawn with that person, not twice.
        worth = np.where(self.same, a, a * b)
        order = np.argsort(-self.scores, kind="stable")
        genuine = np.cumsum((worth * self.same)[order])
        impostor = np.cumsum((worth * ~self.same)[order])
        missed, taken = 1 - genuine / genuine[-1], impostor / impostor[-1]
        at = np.argmin(np.abs(missed - taken))
        return 100 * float(np.average(self.rank_1, weights=own)), 50 * float(missed[at] + taken[at])

    def __str__(self) -> str:
        rank_1, eer = self.rates(dict.fromkeys(self.people, 1.0))
        return f"{rank_1:.1f}/{eer:.1f}"


PARTS = ("scores", "same", "pairs")


def rank_1_of_each(scores: np.ndarray, who: np.ndarray, draws: int) -> np.ndarray:
    """Return each person's share of searches whose best answer is right, over drawn galleries."""
    rng = np.random.default_rng(0)
    people, codes = np.unique(who, return_inverse=True)
    right = np.zeros(len(people))
    asked = np.zeros(len(people))
    for _ in range(draws):
        enrolled = np.array([rng.choice(np.flatnonzero(codes == k)) for k in range(len(people))])
        searches = np.setdiff1d(np.arange(len(who)), enrolled)
        best = scores[np.ix_(searches, enrolled)].argmax(1)
        right += np.bincount(codes[searches], best == codes[searches], len(people))
        asked += np.bincount(codes[searches], minlength=len(people))
    return right / asked


def split_people(y: np.ndarray, n_splits: int) -> list[np.ndarray]:
    """Return the unseen people of each split; its number is the seed."""
    people = np.unique(y)
    return [np.random.default_rng(seed).permutation(people)[:UNSEEN] for seed in range(n_splits)]


def score_split(
    images: ImageSet, seen: np.ndarray, people: np.ndarray, number: int, options: argparse.Namespace
) -> dict[str, Unseen]:
    """Return how unseen people fare, by ours and by each baseline."""
    unseen = np.isin(images.y, people)
    check_disjoint(images.y[~unseen], images.y[unseen], "people")
    who = images.y[unseen]

    def timed(score: Callable[[], Tensor]) -> Unseen:
        start = time.perf_counter()
        return Unseen(score(), who, options.draws, time.perf_counter() - start)

    def ours() -> Tensor:
        model = learn(seen[~unseen], images.y[~unseen], options)
        vectors = torch.from_numpy(model.transform(seen[unseen]))
        with torch.no_grad():
            return model.head_(vectors, vectors)

    small = thumbnails(images.X)
    scored = {our_name(options.backbone): timed(ours)}
    for kind, name in NAMES.items():

        def baseline(kind: type = kind) -> Tensor:
            fitted = kind().fit(small[~unseen], images.y[~unseen])
            vectors = fitted.transform(small[unseen])
            return fitted.compare(vectors, vectors)

        scored[name] = timed(baseline)
    return scored


def learn(X: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> SiameseClassifier:
    """Return the recipe, trained; or a network with weights, as it is."""
    if options.backbone is not None:
        model = SiameseClassifier(
            options.backbone,
            head="euclidean",
            max_epochs=0,
            enroll_training=False,
            random_state=options.seed,
        )
    else:
        model = faces(random_state=options.seed)
        if options.epochs is not None:
            model.set_params(max_epochs=options.epochs)
    return model.fit(X, y)


def as_the_network_sees_them(
    images: ImageSet, backbone: str | None
) -> tuple[np.ndarray, int | None]:
    """Return what is embedded: the photographs, or the faces in them turned upright.

    Also in how many no face was found: there the photograph as a whole stands in.
    """
    if backbone != "dlib-face":
        return images.X, None
    from siamesekit_dlib_face import align

    faces_found, found = align(images.X)
    return faces_found, int((~found).sum())


def thumbnails(X: np.ndarray) -> np.ndarray:
    """Return the means of squares of 4×4 pixels, on which baselines do best: (n, 28, 23)."""
    n, height, width = X.shape
    return X.reshape(n, height // SHRINK, SHRINK, width // SHRINK, SHRINK).mean((2, 4)) / 255


def our_name(backbone: str | None) -> str:
    return "recipe faces" if backbone is None else backbone


def summary(name: str, unseen: list[Unseen], n_resamples: int) -> dict:
    """Return means over splits with 95 % intervals: percentiles of a bootstrap over people."""
    known = np.unique(np.concatenate([one.people for one in unseen]))
    rng = np.random.default_rng(0)
    drawn = []
    while len(drawn) < n_resamples:
        counts = rng.multinomial(len(known), [1 / len(known)] * len(known))
        weights = dict(zip(known, counts, strict=True))
        # Of people drawn anew there must be two in each split, or there is nothing to compare.
        if all(sum(weights[p] > 0 for p in one.people) > 1 for one in unseen):
            drawn.append(np.mean([one.rates(weights) for one in unseen], 0))
    splits = [one.rates(dict.fromkeys(known, 1.0)) for one in unseen]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    row: dict = {"name": name, "seconds": float(np.mean([one.seconds for one in unseen]))}
    for place, figure in enumerate(("rank_1", "eer")):
        values = [split[place] for split in splits]
        row[figure] = {
            "mean": float(np.mean(values)),
            "interval": [float(low[place]), float(high[place])],
            "splits": values,
        }
    return row


def interval(figure: dict) -> str:
    low, high = figure["interval"]
    return f"{figure['mean']:5.1f} % ({low:.1f} to {high:.1f})"


# -- the story --------------------------------------------------------------------------------


def tell_story(
    images: ImageSet, seen: np.ndarray, people: np.ndarray, options: argparse.Namespace
) -> None:
    """Enrol a staff and recognise it; refuse a stranger; let one leave and one join."""
    others = np.setdiff1d(np.unique(images.y), people)
    # Strangers are known by people whom nobody trained on. Of a network that came with its
    # weights that is everybody else; else some of those who could be learnt from are kept apart.
    background = others if options.backbone else others[::3]
    learnt = others if options.backbone else np.setdiff1d(others, background)
    if not options.backbone:
        check_disjoint(learnt, [*background, *people], "people")
    model = learn(seen[np.isin(images.y, learnt)], images.y[np.isin(images.y, learnt)], options)
    vectors = torch.from_numpy(model.transform(seen))
    photographs = {name: np.flatnonzero(images.y == name) for name in people}
    staff, newcomer, strangers = people[:STAFF], people[STAFF], people[STAFF + 1 :]

    gallery = Gallery(model.head_)
    held = np.isin(images.y, background)
    gallery.set_background(vectors[held], images.y[held])

    def enroll(names: np.ndarray) -> None:
        first = [photographs[name][0] for name in names]
        gallery.enroll(vectors[first], images.y[first])

    def look(title: str) -> None:
        promise = promised(gallery)
        later = np.concatenate([photographs[name][1:] for name in people])
        answer = gallery.identify(
            vectors[later], k=3, fpir=promise.promised, confidence=promise.confidence
        )
        who, enrolled = images.y[later], np.isin(images.y[later], gallery.classes)
        named = ~answer.unknown
        right = named & (answer.labels[:, 0] == who)
        print(
            f"{title}: {len(gallery.classes)} enrolled; strangers named "
            f"{named[~enrolled].sum()} of {(~enrolled).sum()} (at most {promise.promised:.0%} "
            f"promised, sure to {promise.confidence:.0%}); staff named rightly "
            f"{right[enrolled].sum()}, wrongly {(named & ~right)[enrolled].sum()}, refused "
            f"{answer.unknown[enrolled].sum()} of {enrolled.sum()}"
        )
        draw(title, later, answer)

    def draw(title: str, later: np.ndarray, answer) -> None:
        shown = [photographs[name][4] for name in (staff[0], staff[1], newcomer, strangers[0])]
        rows = np.searchsorted(later, shown, sorter=np.argsort(later))
        rows = np.argsort(later)[rows]
        enrolled = {name: images.X[photographs[name][0]] for name in people}
        plots.plot_identification(
            images.X[later[rows]],
            np.array([[enrolled[name] for name in row] for row in answer.labels[rows]]),
            answer.labels[rows],
            answer.scores[rows],
            options.out / f"{title.replace(' ', '_')}.png",
            unknown=answer.unknown[rows],
            truth=images.y[later[rows]],
        )

    print(f"\nThe story: {STAFF} people are enrolled by one photograph each.")
    enroll(staff)
    look("1 the staff")
    gallery.forget([staff[1]])
    look(f"2 {staff[1]} has left")
    enroll(np.array([newcomer]))
    look(f"3 {newcomer} has joined")


def promised(gallery: Gallery) -> Threshold:
    """Return the threshold of the best promise that the people at hand can show."""
    for fpir in PROMISES[:-1]:
        with suppress(TooFewTrialsError):
            return gallery.threshold(fpir, confidence=SURE)
    return gallery.threshold(PROMISES[-1], confidence=SURE)


if __name__ == "__main__":
    # Under torchrun all processes train, and the first one prints and writes.
    with nullcontext() if leads() else redirect_stdout(None):
        main()
