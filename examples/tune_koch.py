"""Search the layer-wise numbers and sizes of Koch, Zemel and Salakhutdinov (2015), who print none.

    python examples/tune_koch.py --root DIR --out tuned --workers 2 --trials 200
    python examples/tune_koch.py --root DIR --out tuned --quick      # reduced, a few minutes

The ranges are the paper's (§3.4), the objective too: the best accuracy of any epoch on 320 one-shot
trials of the validation alphabets and drawers. A trial that does worse than the median of those
before it is given up. Run the same command again to go on where it was stopped, or at the same time
to join in. OUT holds the search (study.db), its picture (search.png) and the best numbers found,
with how to train with them (best.json). Extras: data, plot, tune.

`--side` takes smaller images, and the kernels' range shrinks with them; `--filters` and `--units`
end their ranges earlier; `--alphabets`, `--pairs` and `--epochs` take less of the data and of time.
What is best there need not be best of the whole.
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import TrialState

from siamesekit import SiameseClassifier, plots, recipes
from siamesekit.data import ImageSet, koch_split, load_omniglot
from siamesekit.environment import environment
from siamesekit.errors import InvalidDataError
from siamesekit.training import History, TrainingHealthWarning, TrainingLine

Options = argparse.Namespace
Chosen = dict[str, dict[str, Any]]

LAYERS = ("conv1", "conv2", "conv3", "conv4", "dense", "head")
PAPER_SIDE = 105
# What the scores of a study depend on beside what is searched: it takes no trials of others.
FULL = {
    "side": PAPER_SIDE,
    "filters": 256,
    "units": 4096,
    "alphabets": 30,
    "pairs": 30_000,
    "epochs": 200,
}
QUICK = {
    "side": 35,
    "filters": 64,
    "units": 512,
    "alphabets": 5,
    "pairs": 1_000,
    "epochs": 6,
}
N_TRIALS, N_TRIALS_QUICK = 100, 12
# The paper's ranges begin at 16 filters and 128 units; a pair of each kind is the least to learn.
LEAST = {
    "workers": 1,
    "trials": 1,
    "filters": 16,
    "units": 128,
    "alphabets": 1,
    "pairs": 2,
    "epochs": 1,
}

HEARTBEAT = 10
SILENCE = 60  # seconds without a heartbeat after which a trial's worker is taken for dead


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    study = open_study(options, worker=None)
    check_settings(study, options)
    # Spawned, not forked: a fork would inherit torch's threads and the database's connection.
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=work, args=(k, len(study.trials), options), name=f"worker {k}")
        for k in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        join(worker)
        if worker.exitcode:
            print(f"{worker.name} died (exit code {worker.exitcode}); its trial is lost, no other.")
    report(study, options)


def join(worker: multiprocessing.process.BaseProcess) -> None:
    """Wait for a worker; Ctrl-C reaches it too, and it ends by itself, its trial marked failed."""
    while worker.is_alive():
        with contextlib.suppress(KeyboardInterrupt):
            worker.join()


def parse_options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of Omniglot; downloaded without it")
    parser.add_argument("--out", type=Path, default=Path("tuned"), help="folder of the search")
    parser.add_argument("--workers", type=int, default=1, help="processes; threads are split")
    parser.add_argument("--quick", action="store_true", help=f"defaults become {QUICK}")
    parser.add_argument("--trials", type=int, help="of the search in all, those resumed included")
    parser.add_argument("--side", type=int, help="of the images, in pixels")
    parser.add_argument("--filters", type=int, help="of a convolution, at most")
    parser.add_argument("--units", type=int, help="of the dense layer, at most")
    parser.add_argument("--alphabets", type=int, help="to train on, of 30")
    parser.add_argument("--pairs", type=int, help="an epoch")
    parser.add_argument("--epochs", type=int, help="at most, a trial")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    defaults = QUICK | {"trials": N_TRIALS_QUICK} if options.quick else FULL | {"trials": N_TRIALS}
    for name, default in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    for name, least in LEAST.items():
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}; got {getattr(options, name)}.")
    if options.alphabets > FULL["alphabets"]:
        parser.error(f"--alphabets must be at most {FULL['alphabets']}; got {options.alphabets}.")
    if options.side < smallest_side(options.side):
        parser.error(f"--side {options.side} is too small for four convolutions.")
    return options


# -- the study --------------------------------------------------------------------------------


def open_study(options: Options, worker: tuple[int, int] | None) -> optuna.Study:
    """Return the study in OUT/study.db, made if there is none.

    SQLite, not optuna's journal file: a writer that is killed leaves neither a stale lock (the
    kernel drops it) nor half a line (the transaction is rolled back), and only a database has
    heartbeats. A writer waits for another, at most a minute; with one write an epoch and worker
    they hardly meet. On a network's file system neither holds: take one machine and a local disk.

    Parameters
    ----------
    options : Namespace
    worker : tuple of int or None
        Position of the worker and the number of trials when it started. Both go into the seed of
        its sampler, or two workers, and a resumed run, would draw what was drawn before.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # `announce` says what is to be said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{options.out / 'study.db'}",
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=HEARTBEAT,
            grace_period=SILENCE,
        )
    seed = None
    if worker is not None:
        seed = int(np.random.SeedSequence([options.random_state, *worker]).generate_state(1)[0])
    return optuna.create_study(
        storage=storage,
        study_name="koch2015",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        # No verdict on a first epoch, nor in the first tenth: momenta rise for 20 of 200 epochs.
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=max(2, options.epochs // 10)),
    )


def check_settings(study: optuna.Study, options: Options) -> None:
    """Write the settings into a new study; refuse one of other settings."""
    settings = {name: getattr(options, name) for name in (*FULL, "random_state")}
    known = study.user_attrs.get("settings")
    if known is None:
        study.set_user_attr("settings", settings)
    elif known != settings:
        raise SystemExit(
            f"{options.out}/study.db was searched with {known}; these are {settings}. "
            "Take another --out, or the same settings."
        )


def unfinished(study: optuna.Study, n_trials: int) -> bool:
    """Return whether a trial is still to be started, those of dead workers not counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return len(study.get_trials(deepcopy=False, states=counted)) < n_trials


# -- a worker ---------------------------------------------------------------------------------


def work(position: int, n_before: int, options: Options) -> None:
    """Run trials of the shared study until there are enough."""
    torch.set_num_threads(max(1, torch.get_num_threads() // options.workers))
    # In a search many trials collapse or blow up; their scores say so.
    warnings.simplefilter("ignore", TrainingHealthWarning)
    study = open_study(options, worker=(position, n_before))
    objective = make_objective(options)
    with contextlib.suppress(KeyboardInterrupt):
        while not orphaned() and unfinished(study, options.trials):
            study.optimize(objective, n_trials=1, callbacks=[announce])


def orphaned() -> bool:
    """Return whether the process that started this worker is gone, and nobody waits for it."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def make_objective(options: Options) -> Callable[[optuna.Trial], float]:
    """Return the function from a trial to its best one-shot accuracy over the epochs."""
    training, validation = load_images(options)
    score = recipes.koch_trials(validation)

    def objective(trial: optuna.Trial) -> float:
        chosen = choose(trial, options)
        trial.set_user_attr("chosen", chosen)

        def validate(line: TrainingLine) -> float:
            try:
                return score(line)
            except InvalidDataError as error:  # embeddings that are not finite
                raise optuna.TrialPruned(str(error)) from error

        def give_up(line: TrainingLine, history: History) -> None:
            trial.report(history["validation"][-1], step=history.epochs)
            if trial.should_prune():
                raise optuna.TrialPruned()

        # The same seed for all, so that trials differ in what is searched and in nothing else.
        classifier = build(chosen, options).set_params(validation=validate, callbacks=[give_up])
        classifier.fit(training.X, training.y, groups=training.groups)
        return max(classifier.history_["validation"])

    return objective


def build(chosen: Chosen, options: Options) -> SiameseClassifier:
    classifier = recipes.koch2015(
        n_pairs=options.pairs,
        max_epochs=options.epochs,
        random_state=options.random_state,
        **chosen["recipe"],
    )
    return classifier.set_params(device=options.device, **chosen["parts"])


def load_images(options: Options) -> tuple[ImageSet, ImageSet]:
    """Return what to train on, the first alphabets by name, and what to validate on."""
    split = koch_split(load_omniglot(options.root, "all").flat())
    alphabets = np.unique(split.training.groups)[: options.alphabets]
    training = split.training.subset(np.isin(split.training.groups, alphabets))
    return training.resized(options.side), split.validation.resized(options.side)


def announce(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    epochs, seconds = len(trial.intermediate_values), trial.duration.total_seconds()
    how = f"{trial.state.name.lower()} after {epochs} epochs, {seconds:.0f} s"
    print(f"trial {trial.number}: {best_score(trial):.2%}, {how}", flush=True)


# -- the space --------------------------------------------------------------------------------


def choose(trial: optuna.Trial, options: Options) -> Chosen:
    """Return arguments for `recipes.koch2015`, and for ``set_params`` of what it returns."""
    below_one = math.nextafter(1.0, 0.0)
    return {
        "recipe": {
            "rates": [trial.suggest_float(f"rate_{k}", 1e-4, 1e-1, log=True) for k in LAYERS],
            "momenta": [trial.suggest_float(f"momentum_{k}", 0.0, below_one) for k in LAYERS],
            "decays": [trial.suggest_float(f"decay_{k}", 0.0, 0.1) for k in LAYERS],
        },
        "parts": {
            "backbone__filters": [
                trial.suggest_int(f"filters_{k}", 16, options.filters, step=16) for k in LAYERS[:4]
            ],
            "backbone__kernels": choose_kernels(trial, options.side),
            "backbone__units": trial.suggest_int("units", 128, options.units, step=16),
        },
    }


def choose_kernels(trial: optuna.Trial, side: int) -> list[int]:
    """Return four kernel sizes that fit: each leaves room for the smallest kernels after it."""
    low, high = kernel_range(side)
    kernels = []
    for after, layer in zip((3, 2, 1, 0), LAYERS, strict=False):
        largest = side - room_for(after, low) + 1
        kernels.append(trial.suggest_int(f"kernel_{layer}", low, min(high, largest)))
        side = (side - kernels[-1] + 1) // 2
    return kernels


def kernel_range(side: int) -> tuple[int, int]:
    """Return the paper's 3 to 20, shrunk as the images are; one pixel would see no stroke."""
    return max(2, round(3 * side / PAPER_SIDE)), max(2, round(20 * side / PAPER_SIDE))


def room_for(n_convolutions: int, kernel: int) -> int:
    """Return the side that so many poolings by two, each with a convolution after it, need."""
    side = 1
    for _ in range(n_convolutions):
        side = 2 * (side + kernel - 1)
    return side


def smallest_side(side: int) -> int:
    low, _ = kernel_range(side)
    return room_for(3, low) + low - 1


# -- what was found ---------------------------------------------------------------------------


def best_score(trial: optuna.trial.FrozenTrial) -> float:
    """Return the best accuracy of a trial's epochs, given up or not; NaN before the first."""
    return max(trial.intermediate_values.values(), default=math.nan)


def report(study: optuna.Study, options: Options) -> None:
    """Draw the search, and write and print the best trial and how to train with it."""
    counted = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False, states=counted)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        raise SystemExit("no trial is complete; run the same command again to go on.")
    plots.plot_search(
        [best_score(trial) for trial in trials],
        [trial.state == TrialState.PRUNED for trial in trials],
        {f"learning rate, {k}": [t.params[f"rate_{k}"] for t in trials] for k in LAYERS},
        options.out / "search.png",
    )
    best = max(complete, key=best_score)
    path = options.out / "best.json"
    found = {
        "validation_accuracy": best.value,
        "trial": best.number,
        "complete": len(complete),
        "pruned": len(trials) - len(complete),
        "settings": study.user_attrs["settings"],
        **best.user_attrs["chosen"],
        "retrain": retraining(path, options).splitlines(),
        "environment": environment(),
    }
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"\n{len(trials)} of {options.trials} trials, {found['pruned']} of them given up early.\n"
        f"Best: {best.value:.2%} of 320 validation trials (trial {best.number}; chance 5 %; the "
        "best of so many is flattered by them).\n"
        f"wrote {path} and search.png. To train with it:\n\n{retraining(path, options)}"
    )


def retraining(path: Path, options: Options) -> str:
    """Return a program that trains what was found, on all that the paper trains on."""
    root = None if options.root is None else str(options.root)
    return f"""\
import json
from siamesekit import recipes
from siamesekit.data import koch_split, load_omniglot

best = json.load(open({str(path)!r}))
split = koch_split(load_omniglot({root!r}, "all").flat())
training, validation = (part.resized({options.side}) for part in (split.training, split.validation))
classifier = recipes.koch2015(n_pairs=150_000, **best["recipe"]).set_params(**best["parts"])
classifier.set_params(validation=recipes.koch_trials(validation), verbose=True)
classifier.fit(training.X, training.y, groups=training.groups)
# Functions are held by no file, and are not needed to use what is trained.
classifier.set_params(validation=None, optimizer="sgd", schedule="constant")
classifier.save("koch2015_tuned")
"""


if __name__ == "__main__":
    main()
