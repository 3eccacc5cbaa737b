from typing import Any

import pytest
import torch

from siamesekit import SiameseClassifier
from siamesekit.backbones import ResidualNet, TurnedNet
from siamesekit.data import RandomPen
from siamesekit.errors import InvalidParameterError, NotBuiltError, SiamesekitError
from siamesekit.recipes import omniglot_any_pen, omniglot_best, vinyals, vinyals_any_pen


@pytest.mark.parametrize(
    ("recipe", "start", "side", "whitened"),
    [
        (omniglot_best, "omniglot-28", 28, True),
        (vinyals, "omniglot-28", 28, True),
        (omniglot_any_pen, "omniglot", 56, False),
        (vinyals_any_pen, "omniglot", 56, False),
    ],
)
def test_a_recipe_goes_on_from_the_model_in_the_box(recipe, start, side, whitened) -> None:
    box = SiameseClassifier.from_pretrained(start).backbone_.inner.state_dict()
    inner = recipe(start=start).backbone.build((1, side, side)).inner
    inner = (inner.inner if whitened else inner).state_dict()
    assert inner.keys() == box.keys()
    assert all(torch.equal(inner[name], box[name]) for name in box)
    assert recipe(start=start).learning_rate < recipe().learning_rate


@pytest.mark.parametrize(
    ("across", "within"), [(vinyals, omniglot_best), (vinyals_any_pen, omniglot_any_pen)]
)
def test_vinyals_mixes_alphabets_and_is_else_the_recipe_within_them(across, within) -> None:
    ours, theirs = across(max_epochs=3).get_params(), within(max_epochs=3).get_params()
    differing = {
        name
        for name, value in ours.items()
        if isinstance(value, int | float | str | tuple) and value != theirs[name]
    }
    assert differing == {"sampler__within", "sampler__aligned"}


def test_any_pen_sees_more_pixels_and_other_pens_and_is_else_the_best() -> None:
    recipe, plain = omniglot_any_pen(max_epochs=3, dim=5), omniglot_best(3, whitened=False)
    assert isinstance(recipe.augment, RandomPen)
    assert recipe.augment.width[1] > 0
    assert isinstance(recipe.backbone.backbone, ResidualNet)
    assert recipe.backbone.build((1, 56, 56)).eval()(torch.rand(2, 1, 56, 56)).shape == (2, 40)
    ours, theirs = (r.get_params(deep=False) for r in (recipe, plain))
    differing = {"augment", "backbone", "loss", "sampler"}
    assert {k: v for k, v in ours.items() if k not in differing} == {
        k: v for k, v in theirs.items() if k not in differing
    }
    for name in ("loss", "sampler"):
        assert ours[name].get_params() == theirs[name].get_params()


def test_an_unbuilt_turned_network_has_no_inner_network() -> None:
    with pytest.raises(NotBuiltError, match="build"):
        _ = TurnedNet().inner


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (1, 2, 2, 1)),
        ({"widths": (8,)}, (1,)),
        ({"widths": [8, 8, 8]}, (1, 2, 1)),
        ({"blocks": 3}, 3),
        ({"widths": (8, 8), "blocks": (2, 1)}, (2, 1)),
    ],
)
def test_any_pen_has_more_blocks_between_the_first_and_the_last_stage(
    given: dict[str, Any], expected: object
) -> None:
    assert omniglot_any_pen(**given).backbone.backbone.blocks == expected


@pytest.mark.parametrize("given", [{"widths": 5}, {"widths": ()}, {"blocks": (1, 2)}])
def test_any_pen_names_what_is_not_allowed(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=f"{next(iter(given))} must be"):
        omniglot_any_pen(**given)


@pytest.mark.parametrize("recipe", [omniglot_best, omniglot_any_pen, vinyals])
@pytest.mark.parametrize("widths", [5, (), (0,), (8.5,), "ab", None])
def test_widths_are_a_few_whole_numbers(recipe, widths: object) -> None:
    with pytest.raises(InvalidParameterError, match="widths"):
        recipe(widths=widths)


@pytest.mark.parametrize("start", [5, True, b"omniglot", "", "omniglott", "../omniglot"])
def test_a_start_is_the_name_of_a_model_in_the_box(start: object) -> None:
    with pytest.raises(SiamesekitError):
        omniglot_best(start=start)  # type: ignore[arg-type]
