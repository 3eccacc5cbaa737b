"""Learn from the characters of some scripts, recognise those of others from one example each.

    python examples/demo.py --out demo

The images are glyphs of the fonts that matplotlib installs, warped as if drawn by hand: a face
plays the drawer, a script the alphabet. Nothing is downloaded. Under torchrun all processes train,
and the first one tests, prints and draws.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from _font_glyphs import load_font_glyphs

from siamesekit import SiameseClassifier, plots
from siamesekit.data import ImageSet
from siamesekit.evaluation import (
    Result,
    check_disjoint,
    cosine_similarity,
    draw_episodes,
    episode_accuracy,
)
from siamesekit.training import leads

UNSEEN = ("Armenian", "Georgian", "Hebrew", "Lao", "Mathematical")


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    learned, unseen = load_font_glyphs(random_state=options.seed).split_groups(UNSEEN)
    check_disjoint(learned.groups, unseen.groups, "scripts")
    if leads():
        print(f"{len(learned):,} images of {len(np.unique(learned.groups))} scripts to learn from;")
        print(f"{len(unseen):,} images of {len(UNSEEN)} unseen scripts to be tested on.\n")

    start = time.perf_counter()
    classifier = SiameseClassifier(
        max_epochs=options.epochs, random_state=options.seed, verbose=True
    ).fit(learned.X, learned.y, groups=learned.groups)
    if not leads():
        return
    print(f"\ntrained in {time.perf_counter() - start:.0f} s")

    embeddings = torch.from_numpy(classifier.transform(unseen.X))
    pixels = torch.from_numpy(unseen.X.reshape(len(unseen), -1)).float()
    ours = one_shot(unseen, embeddings, classifier.head_, "learned metric", options.seed)
    baseline = one_shot(unseen, pixels, cosine_similarity, "nearest pixels", options.seed)
    print(f"\n20-way one-shot within a script, on scripts never seen:\n  {ours}\n  {baseline}")
    print(f"  chance: {ours.chance:.0%}")

    draw_pictures(classifier, unseen, embeddings, options)
    results = [ours.to_dict(), baseline.to_dict()]
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nsee {', '.join(sorted(str(path) for path in options.out.glob('*.png')))}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def one_shot(images: ImageSet, vectors: torch.Tensor, scorer, name: str, seed: int) -> Result:
    return episode_accuracy(
        vectors,
        images.y,
        scorer=scorer,
        groups=images.groups,
        within=True,
        drawers=images.drawers,
        n_episodes=400,
        random_state=seed,
        name=name,
    )


def draw_pictures(
    classifier: SiameseClassifier,
    images: ImageSet,
    embeddings: torch.Tensor,
    options: argparse.Namespace,
) -> None:
    episode = draw_episodes(
        images.y, n_episodes=1, groups=images.groups, within=True, drawers=images.drawers,
        random_state=options.seed,
    )  # fmt: skip
    support, query = episode.support[0, :, 0], episode.query[0, 0, 0]
    scores = classifier.similarity(images.X[[query]], images.X[support])[0]
    plots.plot_one_shot_task(
        images.X[support], images.X[query], scores, answer=0, path=options.out / "one_shot.png"
    )
    plots.plot_history(classifier.history_, path=options.out / "training.png")
    few = np.isin(images.y, np.unique(images.y[images.groups == "Georgian"])[:8])
    plots.plot_embeddings(
        embeddings[torch.from_numpy(few)], images.y[few], path=options.out / "embeddings.png"
    )


if __name__ == "__main__":
    main()
