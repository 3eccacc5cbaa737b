"""Adapters have the names and the defaults of the classes they wrap, those of keywords too."""

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from siamesekit import registry
from siamesekit._pml import SIZES
from siamesekit._random import drawing_from

PARTS = [
    (kind, name)
    for kind in ("losses", "miners")
    for name in registry.names(kind)
    if name.startswith("pml:")
]
SIZE_OF = {"dim": 6, "n_classes": 4}
# Left out on purpose: no learning hangs on them, or a subclass gives them itself.
LEFT_OUT = {"collect_stats", "mat_based_loss", "loss"}
OF_CLASS = {"BatchHardMiner": {"pos_strategy", "neg_strategy"}}
# RankedListLoss has none of its own; ours are its paper's.
OUR_DEFAULTS = {("RankedListLoss", "margin"), ("RankedListLoss", "Tn")}


def keywords(wrapped: type[Any]) -> dict[str, Any]:
    """Return all that the constructor takes by name, through every class that it hands on to."""
    found: dict[str, Any] = {}
    for cls in wrapped.__mro__:
        if "__init__" not in vars(cls) or not cls.__module__.startswith("pytorch_metric"):
            continue
        for parameter in inspect.signature(cls.__init__).parameters.values():
            if parameter.name == "self" or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                continue
            found.setdefault(parameter.name, parameter.default)
    return found


def plain(part: object, depth: int = 3) -> dict[str, Any]:
    """Return the numbers, words and flags of an object and of the objects in it."""
    found: dict[str, Any] = {}
    held = {**vars(part), **(dict(part.named_children()) if isinstance(part, nn.Module) else {})}
    for name, value in held.items():
        if isinstance(value, int | float | str | bool | None):
            found[name] = value
        elif isinstance(value, torch.Tensor):
            found[name] = tuple(value.shape)
        elif depth and type(value).__module__.startswith("pytorch_metric"):
            found[name] = type(value).__name__, plain(value, depth - 1)
    return found


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_names_and_defaults_are_those_of_the_class(kind: str, name: str) -> None:
    adapter = registry.get(kind, name)
    ours = inspect.signature(adapter).parameters
    theirs = keywords(adapter.wrapped)
    sizes = {key for key, default in theirs.items() if key in SIZES and default is inspect._empty}
    assert set(ours) == set(theirs) - sizes - LEFT_OUT - OF_CLASS.get(adapter.__name__, set())
    for key, parameter in ours.items():
        if (adapter.__name__, key) not in OUR_DEFAULTS:
            assert parameter.default == theirs[key] or parameter.default is theirs[key], key


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_what_is_made_by_default_is_what_the_class_makes(kind: str, name: str) -> None:
    adapter = registry.get(kind, name)
    part = adapter()
    with drawing_from(0):
        if kind == "losses":
            part.build(SIZE_OF["dim"], SIZE_OF["n_classes"])
        sizes = {key: SIZE_OF[SIZES[key]] for key in getattr(adapter, "sizes", ())}
        ranked = adapter.__name__ == "RankedListLoss"
        own = adapter.wrapped(**sizes, **({"margin": 0.4, "Tn": 10.0} if ranked else {}))
    assert plain(part.inner) == plain(own)


def test_keywords_reach_the_wrapped_loss() -> None:
    cosface = registry.create("losses", "pml:CosFaceLoss").build(6, 4)
    assert (cosface.inner.margin, cosface.inner.scale) == (0.35, 64)
    assert registry.create("losses", "pml:CosFaceLoss", margin=0.2).build(6, 4).inner.margin == 0.2
    arcface = registry.create("losses", "pml:SubCenterArcFaceLoss", sub_centers=2).build(6, 4)
    assert arcface.inner.W.shape == (6, 8)
