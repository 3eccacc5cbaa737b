"""Learn from Omniglot's 30 background alphabets; recognise characters of others from one example.

    python examples/omniglot_oneshot.py --root DIR --out DIR
    torchrun --nproc-per-node 2 examples/omniglot_oneshot.py --root DIR --out DIR

`--root` holds images_background.zip, images_evaluation.zip and all_runs.zip, or their extracted
folders; without it the official files are downloaded. Reports Lake's official 20 runs (400 trials,
within alphabet) and random 20-way episodes within and across the evaluation alphabets, beside
cosine nearest neighbour, modified Hausdorff distance and chance. Under torchrun all processes train
and embed, and the first one prints and writes.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siamesekit import SiameseClassifier, plots
from siamesekit.backbones import TurnedNet
from siamesekit.data import (
    ImageSet,
    OneShotRun,
    RandomAffine,
    load_omniglot,
    load_omniglot_runs,
    resize,
    with_turns,
)
from siamesekit.environment import environment, hardware
from siamesekit.evaluation import (
    Result,
    check_disjoint,
    cosine_similarity,
    episode_accuracy,
    modified_hausdorff,
    runs_accuracy,
)
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler
from siamesekit.training import joined, leads

SIDE = 28
DEFAULT_EPOCHS = 8
WAY = 20
BATCHES = 97


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    background = load_omniglot(options.root, "background").flat().resized(SIDE)
    evaluation = load_omniglot(options.root, "evaluation").flat()
    runs = load_omniglot_runs(options.root)
    check_disjoint(background.groups, evaluation.groups, "alphabets")
    check_disjoint(background.groups, [run.alphabet for run in runs], "alphabets")

    start = time.perf_counter()
    # A character turned or mirrored is a class of its own: 7,712 classes in 240 groups.
    symbols = with_turns(background, mirrored=True)
    classifier = SiameseClassifier(
        # To the network a turned symbol is another one, so its eight turns are opinions nearly
        # independent of one another.
        backbone=TurnedNet("residual", mirrored=True),
        # Five episodes a batch, each of 20 characters of one alphabet, supports by one drawer and
        # queries by another; an epoch shows as many images as there are without the turns.
        sampler=EpisodeSampler(way=WAY, within=1.0, episodes=5, aligned=True, n_batches=BATCHES),
        loss=EpisodicLoss(way=WAY),
        augment=RandomAffine(rotation=15, shear=0.2, scale=(0.8, 1.2), translate=0.08),
        learning_rate=4e-3,
        averaging=0.995,
        enroll_training=False,
        max_epochs=options.epochs,
        random_state=options.seed,
        device=options.device,
        verbose=True,
    ).fit(symbols.X, symbols.y, groups=symbols.groups)
    seconds = time.perf_counter() - start
    with joined():  # what is embedded is shared among the processes, as in training
        results = evaluate(classifier, evaluation, runs, options)
    if not leads():
        return
    print(f"trained in {seconds:.0f} s on {hardware()}\n")
    for result in results:
        print(result)
    draw_pictures(classifier, evaluation, runs[0], options.out)
    classifier.save(options.out / "model")
    report = {
        "recipe": "examples/omniglot_oneshot.py with default settings"
        if options.epochs == DEFAULT_EPOCHS
        else f"examples/omniglot_oneshot.py --epochs {options.epochs}",
        "trained_on": "the 30 background alphabets, 964 characters, 20 drawers",
        "training_seconds": seconds,
        "seed": options.seed,
        "environment": environment(),
        "results": [result.to_dict() for result in results],
    }
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwrote {options.out}/results.json, the pictures and the model")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of the data; downloaded without it")
    parser.add_argument("--out", type=Path, default=Path("omniglot"), help="folder for results")
    parser.add_argument("--epochs", type=int, default=DEFAULT_EPOCHS)
    parser.add_argument("--episodes", type=int, default=1000, help="random episodes of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def evaluate(
    classifier: SiameseClassifier,
    evaluation: ImageSet,
    runs: list[OneShotRun],
    options: argparse.Namespace,
) -> list[Result]:
    """Return every figure: ours, and the baselines, on runs and on random episodes."""

    def embed(images: np.ndarray) -> Tensor:
        return torch.from_numpy(classifier.transform(resize(images, SIDE)))

    ours, head = "learned metric", classifier.head_
    pixels, cosine = "cosine nearest neighbour", cosine_similarity
    results = [
        on_runs(runs, embed, head, ours),
        on_runs(runs, flatten, cosine, pixels),
        on_runs(runs, torch.from_numpy, modified_hausdorff, "modified Hausdorff distance"),
    ]
    for vectors, scorer, name in (
        (embed(evaluation.X), head, ours),
        (flatten(evaluation.X), cosine, pixels),
    ):
        for within in (True, False):
            where = "within" if within else "across"
            results.append(
                episode_accuracy(
                    vectors,
                    evaluation.y,
                    scorer=scorer,
                    groups=evaluation.groups,
                    within=within,
                    n_episodes=options.episodes,
                    random_state=options.seed,
                    name=f"20-way {where} alphabets, {name}",
                )
            )
    return results


def on_runs(
    runs: list[OneShotRun], embed: Callable[[np.ndarray], Tensor], scorer, name: str
) -> Result:
    """Return the accuracy on Lake's 400 trials."""
    embedded = [(embed(run.support), embed(run.query), run.answers) for run in runs]
    return runs_accuracy(embedded, scorer, name=f"Lake's 20 runs, {name}")


def flatten(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).float() / 255


def draw_pictures(
    classifier: SiameseClassifier, evaluation: ImageSet, run: OneShotRun, out: Path
) -> None:
    """Write a one-shot task, the training curve, and embeddings of an unseen alphabet."""
    scores = classifier.similarity(resize(run.query[:1], SIDE), resize(run.support, SIDE))[0]
    answer = int(run.answers[0])
    plots.plot_one_shot_task(run.support, run.query[0], scores, answer, out / "one_shot.png")
    plots.plot_history(classifier.history_, out / "training.png")
    few = evaluation.subset(np.isin(evaluation.y, np.unique(evaluation.y)[:8]))
    plots.plot_embeddings(classifier.transform(resize(few.X, SIDE)), few.y, out / "embeddings.png")


if __name__ == "__main__":
    main()
