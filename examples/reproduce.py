"""Train and score a recipe of `siamesekit.recipes` under its paper's protocol.

    python examples/reproduce.py omniglot_best --root DIR --seeds 3 --out results

`--root` holds Omniglot's zip files (and, for the transfer to MNIST, `--mnist-root` the four idx
files); without it they are downloaded. Each seed has a folder OUT/NAME/seedN with its checkpoint,
its model, pictures and results.json; OUT/NAME/results.json sums them up. Run the same command again
to go on where it was stopped: what is finished is not done again.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siamesekit import SiameseClassifier, plots, recipes
from siamesekit.backbones import KochNet
from siamesekit.data import (
    LAKE_ALPHABETS,
    ImageSet,
    koch_split,
    load_mnist,
    load_omniglot,
    load_omniglot_runs,
    redraw,
    resize,
    with_turns,
)
from siamesekit.environment import environment, hardware
from siamesekit.evaluation import (
    Result,
    best_threshold,
    check_disjoint,
    episode_accuracy,
    mean_interval,
    runs_accuracy,
    verification_accuracy,
)
from siamesekit.samplers import PairSampler
from siamesekit.training import Checkpoint, TrainingLine

Options = argparse.Namespace
Embed = Callable[[np.ndarray], Tensor]
Task = Callable[[SiameseClassifier, Embed, Options, int], list[Result]]

N_PAIRS = 10_000
N_EPISODES = 1000
N_DIGITS = 2000
QUARTER_TURNS = 4
# Of an image and of its mirror image.
TURNS = 8
# The first 1,200 characters, background before evaluation, train and validate in Vinyals' split.
VINYALS_TRAINING = 1200


@dataclass(frozen=True)
class Experiment:
    """A recipe with its data, its side of the images, and what is asked of it."""

    recipe: Callable[..., SiameseClassifier]
    training: Callable[[Options], ImageSet]
    trained_on: str
    side: int
    tasks: tuple[Task, ...]
    turned: bool = False
    validated: bool = False


def main() -> None:
    options = parse_options()
    experiment = EXPERIMENTS[options.name]
    folder = options.out / options.name
    for seed in range(options.seeds):
        own = folder / f"seed{seed}"
        if not (own / "results.json").exists():
            run(experiment, seed, own, options)
    runs = [
        json.loads((folder / f"seed{seed}" / "results.json").read_text())
        for seed in range(options.seeds)
    ]
    summary = {
        "name": options.name,
        "command": f"python examples/reproduce.py {options.name} --root DIR --seeds {options.seeds}"
        + (f" --epochs {options.epochs}" if options.epochs else ""),
        "trained_on": experiment.trained_on,
        "tasks": summed_up(runs),
        "runs": runs,
    }
    (folder / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"\n{options.name}, {options.seeds} seed(s):")
    for name, task in summary["tasks"].items():
        print(
            f"  {name}: {task['value']:.2%} [{task['interval'][0]:.2%}, {task['interval'][1]:.2%}]"
        )
    print(f"wrote {folder}/results.json")


def parse_options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=tuple(EXPERIMENTS))
    parser.add_argument("--root", type=Path, help="folder of Omniglot; downloaded without it")
    parser.add_argument(
        "--mnist-root", type=Path, help="folder of MNIST; its task is left out without"
    )
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for results")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0 on")
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def run(experiment: Experiment, seed: int, folder: Path, options: Options) -> None:
    """Train one seed, or load what was trained; score it and write its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model, machine = folder / "model", folder / "machine.json"
    if not (model / "model.json").exists():
        trained = fit(experiment, seed, folder, options)
        machine.write_text(json.dumps(environment()) + "\n")
        trained.save(model)
    classifier = loaded(experiment, model, options)

    def embed(images: np.ndarray) -> Tensor:
        return torch.from_numpy(classifier.transform(resize(images, experiment.side)))

    results = [r for task in experiment.tasks for r in task(classifier, embed, options, seed)]
    for result in results:
        print(result, flush=True)
    plots.plot_history(classifier.history_, folder / "training.png")
    draw_task(classifier, embed, load_omniglot_runs(options.root)[0], folder / "one_shot.png")
    epochs = classifier.history_.epochs
    report = {
        "seed": seed,
        "epochs": epochs,
        "seconds": sum(classifier.history_["seconds"]),
        "environment": json.loads(machine.read_text()),
        "history": dict(classifier.history_),
        "results": [result.to_dict() for result in results],
    }
    (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n")


def fit(experiment: Experiment, seed: int, folder: Path, options: Options) -> SiameseClassifier:
    images = experiment.training(options).resized(experiment.side)
    if lake in experiment.tasks:
        check_disjoint(images.groups, LAKE_ALPHABETS, "alphabets")
    if experiment.turned:
        images = with_turns(images, mirrored=True)
    classifier = experiment.recipe(random_state=seed)
    classifier.set_params(
        checkpoint=Checkpoint(folder / "training.ckpt"), device=options.device, verbose=True
    )
    if options.epochs:
        classifier.set_params(max_epochs=options.epochs)
    if experiment.validated:
        classifier.set_params(validation=koch_trials(options, experiment.side))
    classifier.fit(images.X, images.y, groups=images.groups)
    print(f"trained in {sum(classifier.history_['seconds']):.0f} s on {hardware()}", flush=True)
    return classifier.set_params(checkpoint=None, validation=None, verbose=False)


def loaded(experiment: Experiment, model: Path, options: Options) -> SiameseClassifier:
    """Return the saved model; batch normalisation of Koch's network folded into its weights."""
    parts = {"device": options.device}
    recipe = experiment.recipe()
    for argument in ("optimizer", "schedule"):  # functions, which no file holds
        if callable(getattr(recipe, argument)):
            parts[argument] = getattr(recipe, argument)
    classifier = SiameseClassifier.load(model, **parts)
    if isinstance(classifier.backbone_, KochNet) and classifier.backbone_.batch_norm:
        classifier.backbone_ = classifier.backbone_.fold()
    return classifier


def summed_up(runs: list[dict]) -> dict[str, dict]:
    """Return each figure over the seeds: of one its own interval, of several Student's t."""
    tasks = {}
    for results in zip(*(run["results"] for run in runs), strict=True):
        values = [result["value"] for result in results]
        first = results[0]
        alone = len(values) == 1
        tasks[first["name"]] = {
            "value": float(np.mean(values)),
            "interval": first["interval"] if alone else list(mean_interval(values)),
            "interval_is": first["protocol"].rpartition("; ")[2]
            if alone
            else f"95 % interval: Student's t over {len(values)} seeds",
            "seeds": values,
            "n_episodes": first["n_episodes"],
            "n_trials": first["n_trials"],
            "chance": first["chance"],
            "protocol": first["protocol"],
        }
    return tasks


# -- data -------------------------------------------------------------------------------------


def background(options: Options) -> ImageSet:
    return load_omniglot(options.root, "background").flat()


def forty(options: Options) -> ImageSet:
    images = load_omniglot(options.root, "all").flat()
    return images.subset(~np.isin(images.groups, LAKE_ALPHABETS))


def koch_training(options: Options) -> ImageSet:
    return koch_split(load_omniglot(options.root, "all").flat()).training


def vinyals_split(options: Options) -> tuple[ImageSet, ImageSet]:
    """Return the 1,200 characters to learn from and the 423 to be tested on."""
    parts = [load_omniglot(options.root, split) for split in ("background", "evaluation")]
    characters = np.concatenate([part.characters for part in parts])
    chosen = set(characters[:VINYALS_TRAINING])
    images = load_omniglot(options.root, "all").flat()
    training = np.isin(images.y, list(chosen))
    return images.subset(training), images.subset(~training)


def vinyals_training(options: Options) -> ImageSet:
    return vinyals_split(options)[0]


# -- tasks ------------------------------------------------------------------------------------


def lake(classifier: SiameseClassifier, embed: Embed, options: Options, seed: int) -> list[Result]:
    runs = load_omniglot_runs(options.root)
    embedded = [(embed(run.support), embed(run.query), run.answers) for run in runs]
    return [runs_accuracy(embedded, classifier.head_, name="Lake's 400 trials")]


def lake_in_turns(
    classifier: SiameseClassifier, embed: Embed, options: Options, seed: int
) -> list[Result]:
    """Return the figure of scores averaged over the eight turns of both images."""

    def side_by_side(images: np.ndarray) -> Tensor:
        turned = with_turns(ImageSet(images, np.arange(len(images))), mirrored=True)
        return torch.cat(embed(turned.X).chunk(TURNS), dim=1)

    def mean_score(a: Tensor, b: Tensor) -> Tensor:
        views = zip(a.chunk(TURNS, 1), b.chunk(TURNS, 1), strict=True)
        return sum(classifier.head_(x, y) for x, y in views) / TURNS

    runs = load_omniglot_runs(options.root)
    embedded = [(side_by_side(run.support), side_by_side(run.query), run.answers) for run in runs]
    with torch.inference_mode():
        return [runs_accuracy(embedded, mean_score, name="Lake's 400 trials, mean of 8 turns")]


def evaluation_alphabets(
    classifier: SiameseClassifier, embed: Embed, options: Options, seed: int
) -> list[Result]:
    images = load_omniglot(options.root, "evaluation").flat()
    vectors = embed(images.X)
    return [
        episode_accuracy(
            vectors,
            images.y,
            scorer=classifier.head_,
            groups=images.groups,
            within=within,
            n_episodes=N_EPISODES,
            random_state=seed,
            name=f"20-way {'within' if within else 'across'} the 20 evaluation alphabets",
        )
        for within in (True, False)
    ]


def verification(
    classifier: SiameseClassifier, embed: Embed, options: Options, seed: int
) -> list[Result]:
    """Return the accuracy on pairs of the test alphabets at the threshold of the validation's."""
    split = koch_split(load_omniglot(options.root, "all").flat())
    scores, same = pair_scores(split.validation, classifier, embed, seed)
    threshold = best_threshold(scores, same)
    scores, same = pair_scores(split.test, classifier, embed, seed)
    name = "verification, 30/10/10 alphabets"
    return [verification_accuracy(scores, same, threshold, seed=seed, name=name)]


def pair_scores(
    images: ImageSet, classifier: SiameseClassifier, embed: Embed, seed: int
) -> tuple[Tensor, Tensor]:
    """Return scores and truth of pairs, uniform over alphabets; half the different ones within."""
    codes = torch.from_numpy(np.unique(images.y, return_inverse=True)[1])
    groups = torch.from_numpy(np.unique(images.groups, return_inverse=True)[1])
    pairs = PairSampler(batch_size=N_PAIRS, n_pairs=N_PAIRS).bind(codes, groups, seed=seed)
    i, j = torch.cat(list(pairs)).T
    vectors = embed(images.X)
    with torch.inference_mode():
        scores = torch.cat(
            [
                classifier.head_.pairs(vectors[a], vectors[b]).cpu()
                for a, b in zip(i.split(500), j.split(500), strict=True)
            ]
        )
    return scores, codes[i] == codes[j]


def mnist(classifier: SiameseClassifier, embed: Embed, options: Options, seed: int) -> list[Result]:
    """Return the figure on digits as they are, and on digits redrawn with Omniglot's pen."""
    if options.mnist_root is None:
        return []
    digits = load_mnist(options.mnist_root, "test").subset(np.arange(N_DIGITS))
    return [
        episode_accuracy(
            embed(images),
            digits.y,
            scorer=classifier.head_,
            way=10,
            n_episodes=N_EPISODES,
            random_state=seed,
            name=f"MNIST 10-way one-shot, no fine-tuning{how}",
        )
        for images, how in ((digits.X, ""), (redraw(digits.X), ", redrawn with a thin pen"))
    ]


def vinyals_episodes(
    classifier: SiameseClassifier, embed: Embed, options: Options, seed: int
) -> list[Result]:
    """Return the four figures on 423 characters in four turns, each turn a class."""
    images = vinyals_split(options)[1]
    once = embed(images.X)
    vectors = torch.cat([classifier.backbone_.turn(once, k) for k in range(QUARTER_TURNS)])
    labels = np.concatenate(
        [[f"{name} turned {k}" for name in images.y] for k in range(QUARTER_TURNS)]
    )
    return [
        episode_accuracy(
            vectors,
            labels,
            scorer=classifier.head_,
            way=way,
            shot=shot,
            aggregate="prototype",
            n_episodes=N_EPISODES,
            random_state=seed,
            name=f"Vinyals split, {way}-way {shot}-shot",
        )
        for way in (5, 20)
        for shot in (1, 5)
    ]


def koch_trials(options: Options, side: int) -> Callable[[TrainingLine], float]:
    split = koch_split(load_omniglot(options.root, "all").flat())
    return recipes.koch_trials(split.validation.resized(side))


def draw_task(classifier: SiameseClassifier, embed: Embed, run, path: Path) -> None:
    with torch.inference_mode():
        scores = classifier.head_(embed(run.query[:1]), embed(run.support))[0]
    plots.plot_one_shot_task(run.support, run.query[0], scores, int(run.answers[0]), path)


THIRTY = "Omniglot's 30 background alphabets, 964 characters, 20 drawers"
KOCH = "30 alphabets, 12 drawers; 320 trials on 10 others (4 drawers) choose the epoch"
EXPERIMENTS = {
    "omniglot_best": Experiment(
        recipes.omniglot_best,
        background,
        THIRTY,
        28,
        (lake, evaluation_alphabets, verification, mnist),
        turned=True,
    ),
    "omniglot_best_40": Experiment(
        recipes.omniglot_best,
        forty,
        "Koch's 40 alphabets: all but the ten of Lake's runs",
        28,
        (lake,),
        turned=True,
    ),
    "omniglot_best_40_from_box": Experiment(
        partial(recipes.omniglot_best, max_epochs=12, start="omniglot"),
        forty,
        "Koch's 40 alphabets, going on from the model in the box (80 epochs on 30 of them)",
        28,
        (lake,),
        turned=True,
    ),
    "vinyals": Experiment(
        recipes.vinyals,
        vinyals_training,
        "1,028 + 172 characters of Vinyals' split, in turns and mirror images",
        28,
        (vinyals_episodes,),
        turned=True,
    ),
    "vinyals_from_box": Experiment(
        partial(recipes.vinyals, max_epochs=12, start="omniglot"),
        vinyals_training,
        "1,028 + 172 characters of Vinyals' split, in turns and mirror images, going on from the "
        "model in the box (80 epochs on 964 of them)",
        28,
        (vinyals_episodes,),
        turned=True,
    ),
    "koch_allpairs": Experiment(
        recipes.koch_allpairs,
        background,
        f"{THIRTY}, in turns and mirror images; 320 trials on 10 others choose the epoch",
        105,
        (lake, lake_in_turns, verification),
        turned=True,
        validated=True,
    ),
    "koch2015": Experiment(
        recipes.koch2015, koch_training, KOCH, 105, (lake, verification), validated=True
    ),
    "koch2015_keras": Experiment(
        recipes.koch2015_keras, koch_training, KOCH, 105, (lake, verification), validated=True
    ),
}


if __name__ == "__main__":
    main()
