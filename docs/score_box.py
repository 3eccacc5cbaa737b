"""Scores the model of 28 pixels in the box, as it ships and whitened; renews its pages of results.

    python docs/score_box.py --root DIR --mnist-root DIR

Nothing is trained: `reproduce.py omniglot_best` would, for an hour. The whitening is fitted as at
the end of that training, to the same images.
"""

import copy
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamesekit import SiameseClassifier
from siamesekit.backbones import TurnedNet, WhitenedNet
from siamesekit.data import with_turns
from siamesekit.environment import environment
from siamesekit.estimators._fitting import _items_to_finish_on
from siamesekit.experiments import read_json, write_json
from siamesekit.training import embed_items

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "results"
SIDE = 28

sys.path.insert(0, str(ROOT / "examples"))
import reproduce  # noqa: E402


def main() -> None:
    """Score both, and write their pages."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of Omniglot")
    parser.add_argument("--mnist-root", type=Path, required=True, help="folder of MNIST")
    options = parser.parse_args()
    shipped = SiameseClassifier.from_pretrained("omniglot-28", device="cpu")
    for name, classifier in (
        ("omniglot-28", shipped),
        ("omniglot_best", whitened(shipped, options)),
    ):
        report = read_json(PAGES / f"{name}.json")
        results = scored(classifier, options)
        report["runs"][0] |= {
            "results": [reproduce.brief(result) for result in results],
            "scored_by": "python docs/score_box.py --root DIR --mnist-root DIR",
            "scored_on": environment(),
            "data": reproduce.digests(options),
        }
        report["tasks"] = reproduce.summed_up(report["runs"])
        write_json(PAGES / f"{name}.json", report)
        for result in results:
            print(f"{name}: {result}", flush=True)


def whitened(shipped: SiameseClassifier, options: Namespace) -> SiameseClassifier:
    """Return the classifier with a whitening, fitted as at the end of its training."""
    images = with_turns(reproduce.background(options).resized(SIDE), mirrored=True)
    items, labels = torch.from_numpy(images.X)[:, None], torch.from_numpy(images.y)
    network = TurnedNet(WhitenedNet(shipped.backbone_.inner), mirrored=True).build((1, SIDE, SIDE))
    some = _items_to_finish_on(images.y, 0)

    def embed(part: nn.Module) -> Tensor:
        return embed_items(part, items[some], torch.device("cpu"), shipped.precision_)

    classifier = copy.copy(shipped)
    classifier.backbone_ = network.finish(embed, labels[some]).eval()
    return classifier


def scored(classifier: SiameseClassifier, options: Namespace) -> list[Any]:
    """Return the results of all tasks of the recipe."""
    trained = reproduce.Trained(
        classifier=classifier,
        side=SIDE,
        options=options,
        seed=0,
        trained_on=np.unique(reproduce.background(options).y),
        chosen_on=reproduce.characters_of(options, reproduce.KOCH_VALIDATION_ALPHABETS),
    )
    tasks = reproduce.EXPERIMENTS["omniglot_best"].tasks
    return [result for task in tasks for result in task(trained)]


if __name__ == "__main__":
    main()
