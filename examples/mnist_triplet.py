"""Learn MNIST digits from triplets; score the test images by their nearest training images.

    python examples/mnist_triplet.py --root DIR --out DIR
    python examples/mnist_triplet.py --root DIR --out DIR --backbone dense
    python examples/mnist_triplet.py --root DIR --out DIR --backbone conv

`--root` holds the four idx files; without it they are downloaded. The first recipe is that of
AdrianUng/keras-triplet-loss-mnist: a small dense network, semi-hard triplets by TensorFlow's rule
on squared Euclidean distances, margin 1. The second is the same network trained on all triplets of
a batch, the third a convolutional one trained so. A first run holds out 5,000 of the training
images and draws how well they are recognised epoch by epoch. Then each seed trains on all 60,000
for the epochs of the recipe, nothing is selected, and the 10,000 test images are scored once
against the 60,000. Under torchrun all processes train, and the first one prints and writes.
"""

import argparse
import json
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from siamesekit import plots
from siamesekit.backbones import Backbone, MnistMLP, ResidualNet
from siamesekit.data import ImageSet, RandomAffine, load_mnist
from siamesekit.environment import environment, hardware
from siamesekit.evaluation import knn_accuracy, mean_interval, wilson_interval
from siamesekit.heads import CosineHead, Head, SqEuclideanHead
from siamesekit.losses import BatchAllTripletLoss, Loss, TripletLoss
from siamesekit.miners import Miner, TensorFlowSemihard
from siamesekit.samplers import BalancedSampler, RandomSampler, Sampler
from siamesekit.training import (
    Checkpoint,
    History,
    Plan,
    TrainingLine,
    embed_items,
    leads,
    resolve_device,
    resolve_precision,
    train,
)
from siamesekit.training.loop import Validate

SHAPE = (1, 28, 28)
NEIGHBOURS = 5
N_TEST = 10_000
# Queries at a time: 240 MB of scores against 60,000 references.
BLOCK_ROWS = 1000


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how."""

    backbone: Backbone
    head: Head
    loss: Loss
    miner: Miner | None
    sampler: Sampler
    plan: Plan
    augment: RandomAffine | None
    precision: str
    seeds: int


def mlp() -> Recipe:
    """Return the original setup.

    Two things are not Keras's: the batches of an epoch are of 255 or 256 images, where Keras ends
    with one of 96, and Adam's epsilon is torch's 1e-8, where Keras has 1e-7.
    """
    return Recipe(
        backbone=MnistMLP(dropout=0.1),
        head=SqEuclideanHead(),
        loss=TripletLoss(margin=1.0),
        miner=TensorFlowSemihard(),
        sampler=RandomSampler(batch_size=256),
        plan=Plan(max_epochs=25, learning_rate=1e-4, optimizer="adam", schedule="constant"),
        augment=None,
        precision="float32",
        seeds=3,
    )


def dense() -> Recipe:
    """Return the original's network, images and epochs, trained on all triplets of a batch."""
    return all_triplets(MnistMLP(dropout=0.1), 25, None, precision="float32", seeds=3)


def conv() -> Recipe:
    """Return the recipe that goes beyond it."""
    moved = RandomAffine(rotation=10, shear=0.1, scale=(0.9, 1.1), translate=0.06)
    return all_triplets(ResidualNet(), 12, moved, precision="auto", seeds=1)


def all_triplets(
    backbone: Backbone, max_epochs: int, augment: RandomAffine | None, precision: str, seeds: int
) -> Recipe:
    """Return how a network is trained on all triplets of a batch."""
    return Recipe(
        backbone=backbone,
        head=CosineHead(),
        loss=BatchAllTripletLoss(margin=0.2, reduction="active"),
        miner=None,
        sampler=BalancedSampler(classes=10, per_class=20),
        plan=Plan(
            max_epochs=max_epochs,
            learning_rate=2e-3,
            weight_decay=1e-4,
            optimizer="adamw",
            schedule="one-cycle",
        ),
        augment=augment,
        precision=precision,
        seeds=seeds,
    )


RECIPES = {"mlp": mlp, "dense": dense, "conv": conv}


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    training, test = load_mnist(options.root, "train"), load_mnist(options.root, "test")
    raw = score(pixels(test), test.y, pixels(training), training.y)
    print(describe("raw pixels", [raw]), flush=True)
    if options.hold_out:
        draw_validation(training, options)
    runs = []
    for seed in range(options.seeds or RECIPES[options.backbone]().seeds):
        line, history = fit(seed, training, options, f"seed{seed}")
        references, vectors = embed(line, training), embed(line, test)
        scores = score(vectors, test.y, references, training.y, line.head)
        runs.append({"seed": seed, "scores": scores, "history": dict(history)})
        print(describe(f"{options.backbone}, seed {seed}", [scores]), flush=True)
    print(describe(f"{options.backbone}, all seeds", [run["scores"] for run in runs]))
    if not leads():
        return
    (options.out / "network.txt").write_text(summary(line.backbone))

    few = slice(0, 2000)
    plots.plot_embeddings(pixels(test)[few], test.y[few], options.out / "before.png")
    plots.plot_embeddings(vectors.cpu()[few], test.y[few], options.out / "after.png")
    report = {
        "recipe": options.backbone,
        "averaging": options.averaging,
        "protocol": "nearest of 60,000 training images for each of 10,000 test images",
        "selection": "none: the epochs are those of the recipe",
        "environment": environment(),
        "raw_pixels": raw,
        "runs": runs,
    }
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwrote {options.out}/results.json, the pictures and the summary of the network")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of the data; downloaded without it")
    parser.add_argument("--out", type=Path, default=Path("mnist"), help="folder for results")
    parser.add_argument("--backbone", choices=tuple(RECIPES), default="mlp")
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    parser.add_argument(
        "--averaging",
        type=float,
        metavar="DECAY",
        help="score a moving average of the weights, .999 say; the original scores the last ones",
    )
    parser.add_argument("--seeds", type=int, help="how many runs; default: 3, 1 for conv")
    parser.add_argument(
        "--hold-out", type=int, default=5000, help="images of the run that validates; 0: none"
    )
    parser.add_argument("--checkpoint-every", type=int, default=5, metavar="N", help="epochs")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def draw_validation(training: ImageSet, options: argparse.Namespace) -> None:
    """Train with images held out; draw their Precision@1 by epoch."""
    order = np.random.default_rng(0).permutation(len(training))
    held_out, kept = (
        training.subset(order[: options.hold_out]),
        training.subset(order[options.hold_out :]),
    )

    def validate(line: TrainingLine) -> float:
        vectors, references = embed(line, held_out), embed(line, kept)
        return knn_accuracy(
            vectors, held_out.y, references, kept.y, k=1, scorer=line.head, block_rows=BLOCK_ROWS
        )

    _, history = fit(0, kept, options, "validation", validate)
    if leads():
        plots.plot_history(history, options.out / "training.png")
    best = max(history["validation"])
    epoch = history["validation"].index(best) + 1
    print(f"held-out images: P@1 {history['validation'][-1]:.2%}, best {best:.2%} (epoch {epoch})")


def fit(
    seed: int,
    training: ImageSet,
    options: argparse.Namespace,
    name: str,
    validate: Validate | None = None,
) -> tuple[TrainingLine, History]:
    """Train on all of `training`; a run of that name goes on where it was stopped."""
    recipe = RECIPES[options.backbone]()
    plan = replace(
        recipe.plan,
        max_epochs=options.epochs or recipe.plan.max_epochs,
        averaging=options.averaging or recipe.plan.averaging,
    )
    device = resolve_device(options.device)
    # Weights are drawn in a stream of their own; the global generator is left as it was.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = recipe.backbone.build(SHAPE)
    precision = resolve_precision(recipe.precision, device, SHAPE)
    line = TrainingLine(backbone, recipe.head, recipe.loss, recipe.miner, precision).to(device)
    labels = torch.from_numpy(training.y)
    history = train(
        line,
        as_items(training).to(device),
        labels,
        recipe.sampler.bind(labels, seed=seed),
        plan,
        augment=recipe.augment,
        validate=validate,
        checkpoint=Checkpoint(options.out / f"{name}.ckpt", every=options.checkpoint_every),
        seed=seed,
    )
    print(f"{name}: trained in {sum(history['seconds']):.0f} s on {hardware()}", flush=True)
    return line, history


def embed(line: TrainingLine, images: ImageSet) -> Tensor:
    device = next(line.parameters()).device
    return embed_items(line.backbone, as_items(images), device, line.precision)


def as_items(images: ImageSet) -> Tensor:
    """Return uint8 images of shape (n, 1, 28, 28); training divides them by 255."""
    return torch.from_numpy(images.X)[:, None]


def pixels(images: ImageSet) -> np.ndarray:
    return images.X.reshape(len(images), -1).astype(np.float32) / 255


def score(queries, labels, references, reference_labels, head: Head | None = None) -> dict:
    """Return Precision@1 and the accuracy of the 5-NN vote; the distance is that of training."""
    given = (queries, labels, references, reference_labels)
    head = head or SqEuclideanHead()
    return {
        name: knn_accuracy(*given, k=k, scorer=head, block_rows=BLOCK_ROWS)
        for name, k in (("precision_at_1", 1), ("knn_5", NEIGHBOURS))
    }


def describe(name: str, scores: list[dict]) -> str:
    """Return a line: of one run the interval over test images, of several that over runs."""
    texts = []
    for figure, label in (("precision_at_1", "P@1"), ("knn_5", "5-NN")):
        values = [run[figure] for run in scores]
        if len(values) == 1:
            low, high = wilson_interval(round(values[0] * N_TEST), N_TEST)
        else:
            low, high = mean_interval(values)
        texts.append(f"{label} {np.mean(values):.2%} [{low:.2%}, {high:.2%}]")
    return f"{name}: {', '.join(texts)}"


def summary(network: torch.nn.Module) -> str:
    """Return the layers and how many weights each has."""
    rows = [
        f"{name:32} {type(layer).__name__:16} {sum(p.numel() for p in layer.parameters()):>10,}"
        for name, layer in network.named_modules()
        if not list(layer.children())
    ]
    total = sum(p.numel() for p in network.parameters())
    return "\n".join([*rows, f"{'total':49} {total:>10,}"]) + "\n"


if __name__ == "__main__":
    with nullcontext() if leads() else redirect_stdout(None):
        main()
