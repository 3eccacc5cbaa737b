"""Train and score a recipe of `siamesekit.recipes` under its paper's protocol.

    python examples/reproduce.py omniglot_best --root DIR --seeds 3 --out results

`--root` holds Omniglot's zip files (and, for the transfer to MNIST, `--mnist-root` the four idx
files); without it they are downloaded. Each seed has a folder OUT/NAME/seedN with its record
(run.json), its checkpoint, its model, pictures and results.json; OUT/NAME/results.json sums them
up. Run the same command again to go on where it was stopped: what is finished is not done again. A
folder of another command, recipe, data or commit is refused (exit code 2), and left as it is.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import siamesekit
from siamesekit import SiameseClassifier, plots, recipes
from siamesekit.data import (
    KOCH_VALIDATION_ALPHABETS,
    LAKE_ALPHABETS,
    DrawingReader,
    ImageSet,
    OneShotRun,
    koch_split,
    load_mnist,
    load_omniglot,
    load_omniglot_runs,
    redraw,
    resize,
    with_turns,
)
from siamesekit.environment import commit, environment, hardware
from siamesekit.errors import RunMismatchError, SiamesekitError
from siamesekit.evaluation import (
    Result,
    best_threshold,
    check_disjoint,
    episode_accuracy,
    mean_interval,
    runs_accuracy,
    verification_accuracy,
)
from siamesekit.experiments import claim_folder, read_json, recorded_parameters, write_json
from siamesekit.samplers import PairSampler
from siamesekit.training import Checkpoint, TrainingLine

Options = argparse.Namespace

N_PAIRS = 10_000
N_EPISODES = 1000
N_DIGITS = 2000
SHOTS = {1: "one-shot", 5: "five-shot"}
# How digits are shown: what a figure's name says of it, what is done to them, with how many shots.
Show = tuple[str, Callable[[np.ndarray], np.ndarray], tuple[int, ...]]
ANY_DIGITS: tuple[Show, ...] = (
    ("", lambda digits: digits, (1,)),
    (", redrawn with a thin pen", redraw, (1,)),
)
QUARTER_TURNS = 4
# Of an image and of its mirror image.
TURNS = 8
# The first 1,200 characters, background before evaluation, train and validate in Vinyals' split.
VINYALS_TRAINING = 1200


@dataclass(frozen=True)
class Trained:
    """A trained model, and the characters that it has seen."""

    classifier: SiameseClassifier
    side: int
    options: Options
    seed: int
    trained_on: np.ndarray
    chosen_on: np.ndarray

    def embed(self, images: np.ndarray) -> Tensor:
        """Return the embeddings of images of any size."""
        return torch.from_numpy(self.classifier.transform(resize(images, self.side)))

    def signed(self, result: Result, tested: np.ndarray, blind: bool = True) -> Result:
        """Return a result with the classes it was made on; a class seen before is an error.

        `blind` says that no class tested chose anything either.
        """
        check_disjoint(self.trained_on, tested, "characters")
        if blind:
            check_disjoint(self.chosen_on, tested, "characters")
        return replace(
            result,
            tested_classes=tuple(np.unique(tested).tolist()),
            trained_classes=tuple(self.trained_on.tolist()),
            chosen_classes=tuple(self.chosen_on.tolist()) if blind else None,
        )


Task = Callable[[Trained], list[Result]]


@dataclass(frozen=True)
class Experiment:
    """A recipe with its data, its side of the images, and what is asked of it."""

    recipe: Callable[..., SiameseClassifier]
    training: Callable[[Options], ImageSet]
    trained_on: str
    side: int
    tasks: tuple[Task, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    turned: bool = False
    validated: bool = False
    # Alphabets by which epochs, or the recipe itself, were chosen.
    chosen_on: tuple[str, ...] = KOCH_VALIDATION_ALPHABETS

    def make(self, seed: int, options: Options) -> SiameseClassifier:
        """Return the estimator of a seed, not fitted."""
        return self.recipe(**self.asked(options), random_state=seed)

    def asked(self, options: Options) -> dict[str, Any]:
        """Return the arguments of the recipe, less the seed."""
        return self.arguments | ({"max_epochs": options.epochs} if options.epochs else {})


def main() -> int:
    options = parse_options()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # What is drawn for items depends on how many processes draw it.
        print("reproduce.py: its figures are those of one process; no torchrun", file=sys.stderr)
        return 2
    try:
        reproduce(options)
    except SiamesekitError as error:
        print(f"reproduce.py: {error}", file=sys.stderr)
        return 2
    return 0


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
    parser.add_argument("--seeds", type=count, default=1, help="how many, from 0 on")
    parser.add_argument("--epochs", type=count, help="default: those of the recipe")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)


def reproduce(options: Options) -> None:
    """Train and score all seeds; sum them up."""
    experiment = EXPERIMENTS[options.name]
    folder = options.out / options.name
    data = digests(options)
    # All of them before any work: the third may be another's.
    for seed in range(options.seeds):
        claim_folder(folder / f"seed{seed}", record(experiment, seed, data, options))
    runs = [run(experiment, seed, folder / f"seed{seed}", options) for seed in range(options.seeds)]
    mnist = " --mnist-root DIR" if options.mnist_root else ""
    epochs = f" --epochs {options.epochs}" if options.epochs else ""
    summary = {
        "name": options.name,
        "command": f"python examples/reproduce.py {options.name} --root DIR "
        f"--seeds {options.seeds}{epochs}{mnist}",
        "trained_on": experiment.trained_on,
        "recipe": {
            "name": experiment.recipe.__name__,
            "arguments": experiment.asked(options),
            "differences": {},
        },
        "tasks": summed_up(runs),
        "runs": runs,
    }
    write_json(folder / "results.json", summary)
    print(f"\n{options.name}, {options.seeds} seed(s):")
    for name, task in summary["tasks"].items():
        print(
            f"  {name}: {task['value']:.2%} [{task['interval'][0]:.2%}, {task['interval'][1]:.2%}]"
        )
    print(f"wrote {folder}/results.json")


def record(
    experiment: Experiment, seed: int, data: dict[str, str], options: Options
) -> dict[str, Any]:
    """Return all that makes a run: its folder belongs to a run of the same record."""
    return {
        "command": {
            "name": options.name,
            "seed": seed,
            "epochs": options.epochs,
            "device": options.device,
        },
        "recipe": {
            "name": experiment.recipe.__name__,
            "parameters": recorded_parameters(experiment.make(seed, options)),
        },
        "data": data,
        "commit": commit(),
        "code": digest_of_code(),
    }


def digests(options: Options) -> dict[str, str]:
    """Return the SHA-256 of each data set, as it is once read."""
    omniglot = load_omniglot(options.root, "all")
    runs = load_omniglot_runs(options.root)
    found = {
        "omniglot": [omniglot.X, omniglot.characters],
        "runs": [array for run in runs for array in (run.support, run.query, run.answers)],
    }
    if options.mnist_root is not None:
        digits = load_mnist(options.mnist_root, "test")
        found["mnist"] = [digits.X, digits.y]
    return {name: digest_of(arrays) for name, arrays in found.items()}


def digest_of(arrays: list[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def digest_of_code() -> str:
    """Return the SHA-256 of the package and this script: a commit does not tell what was edited."""
    package = Path(siamesekit.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(package.rglob("*.py")), Path(__file__)]:
        digest.update(f"{path.name} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(experiment: Experiment, seed: int, folder: Path, options: Options) -> dict[str, Any]:
    """Return the report of one seed: train it, or load what was trained, and score it."""
    finished, model, machine = folder / "results.json", folder / "model", folder / "machine.json"
    own = read_json(folder / "run.json")
    if finished.exists():
        report = read_json(finished)
        if report.get("record") != own:
            raise RunMismatchError(f"{finished} is not of the run that its folder is of.")
        return report
    images = experiment.training(options)
    if not (model / "model.json").exists():
        trained = fit(experiment, images, seed, folder, options)
        write_json(machine, environment())
        trained.save(model)
    subject = Trained(
        classifier=SiameseClassifier.load(model, device=options.device),
        side=experiment.side,
        options=options,
        seed=seed,
        trained_on=np.unique(images.y),
        chosen_on=characters_of(options, experiment.chosen_on),
    )
    results = [result for task in experiment.tasks for result in task(subject)]
    for result in results:
        print(result, flush=True)
    history = subject.classifier.history_
    plots.plot_history(history, folder / "training.png")
    draw_task(subject, load_omniglot_runs(options.root)[0], folder / "one_shot.png")
    report = {
        "seed": seed,
        "epochs": history.epochs,
        "seconds": sum(history["seconds"]),
        "environment": read_json(machine),
        "record": own,
        "trained_classes": subject.trained_on.tolist(),
        "chosen_classes": subject.chosen_on.tolist(),
        "history": dict(history),
        "results": [brief(result) for result in results],
    }
    write_json(finished, report)
    return read_json(finished)


def brief(result: Result) -> dict[str, Any]:
    """Return the facts of a result, less those that its run says for all of them."""
    facts = result.to_dict()
    return {name: facts[name] for name in facts if name not in ("trained_classes", "model")}


def fit(
    experiment: Experiment, images: ImageSet, seed: int, folder: Path, options: Options
) -> SiameseClassifier:
    images = images.resized(experiment.side)
    if experiment.turned:
        images = with_turns(images, mirrored=True)
    classifier = experiment.make(seed, options)
    classifier.set_params(
        checkpoint=Checkpoint(folder / "training.ckpt"), device=options.device, verbose=True
    )
    if experiment.validated:
        classifier.set_params(validation=koch_trials(options, experiment.side))
    classifier.fit(images.X, images.y, groups=images.groups)
    print(f"trained in {sum(classifier.history_['seconds']):.0f} s on {hardware()}", flush=True)
    return classifier.set_params(checkpoint=None, validation=None, verbose=False)


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


def characters_of(options: Options, alphabets: tuple[str, ...]) -> np.ndarray:
    images = load_omniglot(options.root, "all")
    return images.characters[np.isin(images.alphabets, alphabets)]


# -- tasks ------------------------------------------------------------------------------------


def lake(trained: Trained) -> list[Result]:
    runs = load_omniglot_runs(trained.options.root)
    embedded = [(trained.embed(run.support), trained.embed(run.query), run.answers) for run in runs]
    result = runs_accuracy(embedded, trained.classifier.head_, name="Lake's 400 trials")
    return [trained.signed(result, characters_of(trained.options, LAKE_ALPHABETS))]


def lake_in_turns(trained: Trained) -> list[Result]:
    """Return the figure of scores averaged over the eight turns of both images."""

    def side_by_side(images: np.ndarray) -> Tensor:
        turned = with_turns(ImageSet(images, np.arange(len(images))), mirrored=True)
        return torch.cat(trained.embed(turned.X).chunk(TURNS), dim=1)

    def mean_score(a: Tensor, b: Tensor) -> Tensor:
        views = zip(a.chunk(TURNS, 1), b.chunk(TURNS, 1), strict=True)
        return sum(trained.classifier.head_(x, y) for x, y in views) / TURNS

    runs = load_omniglot_runs(trained.options.root)
    embedded = [(side_by_side(run.support), side_by_side(run.query), run.answers) for run in runs]
    with torch.inference_mode():
        result = runs_accuracy(embedded, mean_score, name="Lake's 400 trials, mean of 8 turns")
    return [trained.signed(result, characters_of(trained.options, LAKE_ALPHABETS))]


def evaluation_alphabets(trained: Trained) -> list[Result]:
    """Return the figures on the ten alphabets of Lake's runs, and on the ten others.

    By the latter recipes at 28 pixels were chosen, so that no figure on them is blind.
    """
    images = load_omniglot(trained.options.root, "evaluation").flat()
    vectors = trained.embed(images.X)
    results = []
    for whose, alphabets, blind in (
        ("Lake's ten alphabets", LAKE_ALPHABETS, True),
        ("the ten other evaluation alphabets", KOCH_VALIDATION_ALPHABETS, False),
    ):
        own = np.isin(images.groups, alphabets)
        for within in (True, False):
            result = episode_accuracy(
                vectors[torch.from_numpy(own)],
                images.y[own],
                scorer=trained.classifier.head_,
                groups=images.groups[own],
                within=within,
                n_episodes=N_EPISODES,
                random_state=trained.seed,
                name=f"20-way {'within' if within else 'across'} {whose}",
            )
            results.append(trained.signed(result, images.y[own], blind))
    return results


def verification(trained: Trained) -> list[Result]:
    """Return the accuracy on pairs of the test alphabets at the threshold of the validation's."""
    split = koch_split(load_omniglot(trained.options.root, "all").flat())
    scores, same = pair_scores(split.validation, trained)
    threshold = best_threshold(scores, same)
    scores, same = pair_scores(split.test, trained)
    name = "verification, 30/10/10 alphabets"
    result = verification_accuracy(scores, same, threshold, seed=trained.seed, name=name)
    return [trained.signed(result, split.test.y)]


def pair_scores(images: ImageSet, trained: Trained) -> tuple[Tensor, Tensor]:
    """Return scores and truth of pairs, uniform over alphabets; half the different ones within."""
    codes = torch.from_numpy(np.unique(images.y, return_inverse=True)[1])
    groups = torch.from_numpy(np.unique(images.groups, return_inverse=True)[1])
    pairs = PairSampler(batch_size=N_PAIRS, n_pairs=N_PAIRS).bind(codes, groups, seed=trained.seed)
    i, j = torch.cat(list(pairs)).T
    vectors = trained.embed(images.X)
    with torch.inference_mode():
        scores = torch.cat(
            [
                trained.classifier.head_.pairs(vectors[a], vectors[b]).cpu()
                for a, b in zip(i.split(500), j.split(500), strict=True)
            ]
        )
    return scores, codes[i] == codes[j]


def mnist(trained: Trained) -> list[Result]:
    """Return the figure on digits as they are, and on digits redrawn with Omniglot's pen."""
    return digits_figures(trained, *ANY_DIGITS)


def mnist_any_pen(trained: Trained) -> list[Result]:
    """Return `mnist`, then the figures of digits that the box's reader cuts out, by shots."""

    def cut_out(digits: np.ndarray) -> np.ndarray:
        reader = DrawingReader(side=trained.side)
        return np.stack([reader.read(digit).image for digit in digits])

    return digits_figures(trained, *ANY_DIGITS, (", cut out by DrawingReader", cut_out, (1, 5)))


def digits_figures(trained: Trained, *shows: Show) -> list[Result]:
    """Return figures of digits as each of `shows` has them: its name, what it does, its shots."""
    if trained.options.mnist_root is None:
        return []
    digits = load_mnist(trained.options.mnist_root, "test").subset(np.arange(N_DIGITS))
    names = np.array([f"digit {digit}" for digit in digits.y])
    results = []
    for how, show, shots in shows:
        vectors = trained.embed(show(digits.X))
        results += [
            episode_accuracy(
                vectors,
                names,
                scorer=trained.classifier.head_,
                way=10,
                shot=shot,
                n_episodes=N_EPISODES,
                random_state=trained.seed,
                name=f"MNIST 10-way {SHOTS[shot]}, no fine-tuning{how}",
            )
            for shot in shots
        ]
    return [trained.signed(result, names) for result in results]


def vinyals_episodes(trained: Trained) -> list[Result]:
    """Return the four figures on 423 characters in four turns, each turn a class."""
    images = vinyals_split(trained.options)[1]
    once = trained.embed(images.X)
    vectors = torch.cat([trained.classifier.backbone_.turn(once, k) for k in range(QUARTER_TURNS)])
    labels = np.concatenate(
        [[f"{name} turned {k}" for name in images.y] for k in range(QUARTER_TURNS)]
    )
    results = [
        episode_accuracy(
            vectors,
            labels,
            scorer=trained.classifier.head_,
            way=way,
            shot=shot,
            aggregate="prototype",
            n_episodes=N_EPISODES,
            random_state=trained.seed,
            name=f"Vinyals split, {way}-way {shot}-shot",
        )
        for way in (5, 20)
        for shot in (1, 5)
    ]
    # Some of the alphabets by which whitening and prototypes were chosen are among those tested.
    return [trained.signed(result, images.y, blind=False) for result in results]


def koch_trials(options: Options, side: int) -> Callable[[TrainingLine], float]:
    split = koch_split(load_omniglot(options.root, "all").flat())
    return recipes.koch_trials(split.validation.resized(side))


def draw_task(trained: Trained, run: OneShotRun, path: Path) -> None:
    with torch.inference_mode():
        scores = trained.classifier.head_(trained.embed(run.query[:1]), trained.embed(run.support))
    plots.plot_one_shot_task(run.support, run.query[0], scores[0], int(run.answers[0]), path)


THIRTY = "Omniglot's 30 background alphabets, 964 characters, 20 drawers"
VINYALS = "1,028 + 172 characters of Vinyals' split, in turns and mirror images"
# Models in the box that trainings go on from: their side, their epochs, and how many follow.
BOX = {"omniglot-28": (28, 80, 12), "omniglot": (56, 100, 16)}
KOCH = "30 alphabets, 12 drawers; 320 trials on 10 others (4 drawers) choose the epoch"


def on_35_pixels(recipe: Callable[..., SiameseClassifier]) -> Experiment:
    """Return Koch's training on a third of the pixels along a side, with kernels of a third."""
    return Experiment(
        recipe,
        koch_training,
        KOCH,
        35,
        (lake, verification, mnist),
        arguments={"kernels": (4, 3, 2, 2)},
        validated=True,
    )


def from_box(
    recipe: Callable[..., SiameseClassifier],
    start: str,
    training: Callable[[Options], ImageSet],
    trained_on: str,
    known: int,
    task: Task,
) -> Experiment:
    """Return a training that goes on from a model in the box.

    `known` says how many of what it is trained on that model has seen.
    """
    side, before, epochs = BOX[start]
    return Experiment(
        recipe,
        training,
        f"{trained_on}, going on from the model in the box ({before} epochs on {known} of them)",
        side,
        (task,),
        arguments={"max_epochs": epochs, "start": start},
        turned=True,
    )


EXPERIMENTS = {
    "omniglot_best": Experiment(
        recipes.omniglot_best,
        background,
        THIRTY,
        28,
        (lake, evaluation_alphabets, verification, mnist),
        turned=True,
    ),
    "omniglot_any_pen": Experiment(
        recipes.omniglot_any_pen,
        background,
        THIRTY,
        56,
        (lake, evaluation_alphabets, verification, mnist_any_pen),
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
    "omniglot_best_40_from_box": from_box(
        recipes.omniglot_best, "omniglot-28", forty, "Koch's 40 alphabets", 30, lake
    ),
    "vinyals": Experiment(
        recipes.vinyals,
        vinyals_training,
        VINYALS,
        28,
        (vinyals_episodes,),
        turned=True,
    ),
    "vinyals_from_box": from_box(
        recipes.vinyals, "omniglot-28", vinyals_training, VINYALS, 964, vinyals_episodes
    ),
    "omniglot_any_pen_40_from_box": from_box(
        recipes.omniglot_any_pen, "omniglot", forty, "Koch's 40 alphabets", 30, lake
    ),
    "vinyals_any_pen_from_box": from_box(
        recipes.vinyals_any_pen, "omniglot", vinyals_training, VINYALS, 964, vinyals_episodes
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
    "koch2015_35": on_35_pixels(recipes.koch2015),
    "koch2015_keras_35": on_35_pixels(recipes.koch2015_keras),
}


if __name__ == "__main__":
    sys.exit(main())
