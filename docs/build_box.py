"""Puts a model that reproduce.py trained in the box, with its provenance, card and page of results.

    python examples/reproduce.py omniglot_any_pen --root DIR --mnist-root DIR --out OUT
    python docs/build_box.py OUT

Nothing is trained or scored here: every figure is read off the run.
"""

import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np

from siamesekit import SiameseClassifier
from siamesekit.data import DrawingReader
from siamesekit.experiments import read_json, write_json

ROOT = Path(__file__).parents[1]
RUN = "omniglot_any_pen"
NAME = "omniglot"
BOX = ROOT / "siamesekit" / "pretrained" / NAME
PAGES = ROOT / "docs" / "results"

CARD = """# omniglot: compares hand-drawn symbols by any pen

`SiameseClassifier.from_pretrained("omniglot")`

- **What it does.** Says how alike two hand-drawn symbols are. Enroll one example of each class and predict; nothing is trained.
- **Input.** Drawings of any size, polarity and pen, grey, RGB or RGBA, as arrays or paths: `siamesekit.data.DrawingReader` finds the ink
  and puts it in the middle. uint8 images of {side}×{side} pixels, ink 255 on paper 0, are taken as they are, and the figures below are of such,
  but for those of digits that it cuts out of their 28×28.
- **Network.** `TurnedNet(ResidualNet(widths={widths}, blocks={blocks}, dim={dim}))`, {weights:.2f} million weights, {megabytes:.1f} MB in float32; the
  embedding joins those of the image's eight turns and mirror images, {size} numbers. Cosine head.
- **Training.** The recipe `siamesekit.recipes.{recipe}()`, seed {seed}: {epochs} epochs, AdamW, a learning rate that rises to 0.004 over a
  tenth of the steps and falls along a cosine (`{schedule}`), {minutes:.0f} minutes on {hardware} ({threads} thread of it, beside other work),
  torch {torch}, commit {commit}. Data: the 30 background alphabets of Omniglot, 964 characters by 20 drawers, with their
  turned and mirrored copies as classes of their own. No evaluation alphabet was trained on or chosen by; side, width of the
  embedding and bends were chosen by trainings of three epochs on 24 background alphabets, scored on the other six, the second blocks
  by trainings of eight. `provenance.json` says it to a program; a test compares the two, and the recipe.
- **Figures** of this one run (test alphabets and digits never trained on; protocols in `docs/results.md`):

{figures}

- **What it cannot do.** A symbol that differs from another by size or place alone is easily taken for it.
- **Licence and credit.** MIT, as siamesekit. Data: Omniglot by Brenden Lake, Ruslan Salakhutdinov and Joshua Tenenbaum, "Human-level
  concept learning through probabilistic program induction", Science 350 (2015), 1332-1338; MIT licence.
"""


def main() -> None:
    """Write the box and the page."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that reproduce.py wrote to")
    folder = parser.parse_args().out / RUN
    report = read_json(folder / "results.json")
    run = report["runs"][0]
    classifier = boxed(SiameseClassifier.load(folder / "seed0" / "model", device="cpu"), run)
    if BOX.exists():
        shutil.rmtree(BOX)
    classifier.save(BOX)
    (BOX / "README.md").unlink()  # what any saved model has; this one's card says more
    write_json(BOX / "provenance.json", provenance(classifier, report, run))
    (BOX / "CARD.md").write_text(card(classifier, report, run), encoding="utf-8")
    shutil.copy(folder / "results.json", PAGES / f"{RUN}.json")
    shutil.copy(folder / "seed0" / "training.png", PAGES / f"{RUN}.png")
    print(f"wrote {BOX} and {PAGES / RUN}.json")


def boxed(classifier: SiameseClassifier, run: dict[str, Any]) -> SiameseClassifier:
    """Return the model with its reader, an empty gallery, and the names of what it has seen."""
    side = classifier.input_shape_[1]
    classifier.set_params(reader=DrawingReader(side=side), device="auto")
    classifier.forget(classifier.classes_)
    # Training numbered the turned copies; what they are turned from has names.
    classifier.trained_classes_ = np.sort(np.array(run["trained_classes"]))
    classifier.chosen_classes_ = classifier.trained_classes_[:0]
    return classifier


def provenance(
    classifier: SiameseClassifier, report: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    """Return what a program wants to know of how the model was made."""
    alphabets = sorted({name.split("/")[0] for name in run["trained_classes"]})
    return {
        "recipe": report["recipe"] | {"differences": {"reader": repr(classifier.reader)}},
        "seed": run["seed"],
        "made": f"by `{report['command']}`, {run['seconds'] / 60:.0f} minutes",
        "environment": run["environment"],
        "commit": run["record"]["commit"],
        "data": report["trained_on"],
        "sha256": run["record"]["data"],
        "trained_on": alphabets,
        "chosen_on": [],
    }


def card(classifier: SiameseClassifier, report: dict[str, Any], run: dict[str, Any]) -> str:
    """Return the card."""
    network = classifier.backbone.backbone
    n_weights = sum(weight.numel() for weight in classifier.backbone_.parameters())
    figures = [
        "  | {} | {:.2%} | [{:.2%}, {:.2%}] |".format(name, task["value"], *task["interval"])
        for name, task in report["tasks"].items()
    ]
    machine = run["environment"]
    return CARD.format(
        side=classifier.input_shape_[1],
        widths=network.widths,
        blocks=network.blocks,
        dim=network.dim,
        weights=n_weights / 1e6,
        megabytes=4 * n_weights / 1e6,
        size=classifier.embedding_size_,
        recipe=report["recipe"]["name"],
        seed=run["seed"],
        epochs=run["epochs"],
        schedule=classifier.schedule,
        minutes=run["seconds"] / 60,
        hardware=machine["hardware"],
        threads=machine["threads"],
        torch=machine["torch"],
        commit=run["record"]["commit"],
        figures="\n".join(["  | task | | 95 % interval |", "  | --- | ---: | --- |", *figures]),
    )


if __name__ == "__main__":
    main()
