"""Every shipped model and every page of results is of the recipe that it names."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import siamesekit
from siamesekit import SiameseClassifier, recipes
from siamesekit.data import KOCH_VALIDATION_ALPHABETS, LAKE_ALPHABETS
from siamesekit.experiments import read_json, recorded_parameters
from siamesekit.recipes import LayerwiseSGD
from siamesekit.training.optimisation import make_schedule

MODELS = sorted((Path(siamesekit.__file__).parent / "pretrained").iterdir())
PAGES = sorted((Path(__file__).parents[1] / "docs" / "results").glob("*.json"))


def named(recipe: dict[str, Any], **more: Any) -> SiameseClassifier:
    made: SiameseClassifier = getattr(recipes, recipe["name"])(**recipe["arguments"] | more)
    return made


def call(recipe: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in recipe["arguments"].items())
    return f"recipes.{recipe['name']}({arguments})"


def rates(estimator: SiameseClassifier) -> np.ndarray:
    """Learning rate after each epoch, as the estimator's schedule has it."""
    by_layer = isinstance(estimator.optimizer, LayerwiseSGD)
    first = estimator.optimizer.rates[0] if by_layer else estimator.learning_rate
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=first, momentum=0.8)
    sampler = estimator.sampler.get_params()
    steps = sampler.get("n_batches") or math.ceil(sampler["n_pairs"] / sampler["batch_size"])
    schedule = make_schedule(estimator.schedule, optimizer, steps * estimator.max_epochs)
    found = []
    for _ in range(estimator.max_epochs):
        for _ in range(steps):
            optimizer.step()
            schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
class TestModels:
    def test_its_parameters_are_those_of_its_recipe(self, folder: Path) -> None:
        origin = read_json(folder / "provenance.json")
        model = recorded_parameters(SiameseClassifier.from_pretrained(folder.name))
        recipe = recorded_parameters(named(origin["recipe"], random_state=origin["seed"]))
        for parameters in (model, recipe):  # a reader's own have no place in another's
            for name in [name for name in parameters if name.startswith("reader__")]:
                del parameters[name]
        assert model.keys() == recipe.keys()
        differing = {name for name in model if model[name] != recipe[name]}
        # Training was on arrays of the model's own form, which no reader touches.
        assert differing == set(origin["recipe"]["differences"]) <= {"reader"}
        assert all(model[name] == value for name, value in origin["recipe"]["differences"].items())

    def test_its_learning_rate_went_as_its_recipe_says(self, folder: Path) -> None:
        origin = read_json(folder / "provenance.json")
        history = SiameseClassifier.from_pretrained(folder.name).history_
        recipe = named(origin["recipe"], random_state=origin["seed"])
        np.testing.assert_allclose(history["learning_rate"], rates(recipe), rtol=1e-6, atol=1e-12)

    def test_its_card_names_its_recipe_and_no_other(self, folder: Path) -> None:
        origin = read_json(folder / "provenance.json")
        card = (folder / "CARD.md").read_text(encoding="utf-8")
        assert f"`siamesekit.{call(origin['recipe'])}`, seed {origin['seed']}" in card
        assert named(origin["recipe"]).schedule in card
        assert card.count("siamesekit.recipes.") == 1

    def test_no_test_alphabet_was_seen(self, folder: Path) -> None:
        origin = read_json(folder / "provenance.json")
        seen = {*origin["trained_on"], *origin["chosen_on"]}
        assert len(origin["trained_on"]) == 30
        assert not seen & {*LAKE_ALPHABETS, *KOCH_VALIDATION_ALPHABETS}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
class TestPages:
    def test_its_learning_rate_went_as_its_recipe_says(self, path: Path) -> None:
        report = read_json(path)
        recipe, differences = report["recipe"], report["recipe"]["differences"]
        assert set(differences) <= {"max_epochs"}
        for run in report["runs"]:
            asked = differences.get("max_epochs") or [run["epochs"]] * run["epochs"]
            found = [float(rate) for rate in run["history"]["learning_rate"]]
            assert len(found) == run["epochs"] == len(asked)
            by_length = {n: rates(named(recipe, max_epochs=n)) for n in set(asked)}
            expected = [by_length[n][epoch] for epoch, n in enumerate(asked)]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
            if "max_epochs" not in differences:
                assert named(recipe).max_epochs == run["epochs"] or "record" in run

    def test_its_record_is_that_of_its_recipe(self, path: Path) -> None:
        report = read_json(path)
        for run in report["runs"]:
            if "record" in run:  # runs of before 0.1 kept none
                stored = run["record"]["recipe"]
                assert stored["name"] == report["recipe"]["name"]
                now = recorded_parameters(named(report["recipe"], random_state=run["seed"]))
                # Parameters that came later are at their defaults.
                assert {name: now.get(name) for name in stored["parameters"]} == stored[
                    "parameters"
                ]

    def test_its_command_trains_that_recipe(self, path: Path) -> None:
        report = read_json(path)
        assert f"reproduce.py {report['recipe']['name']}" in report["command"]

    def test_it_is_strict_json(self, path: Path) -> None:
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
