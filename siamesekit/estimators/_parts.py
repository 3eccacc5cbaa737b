"""From what a user gives for a part (name, class or instance) to the part."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from siamesekit import registry
from siamesekit._params import Part
from siamesekit._types import Shape
from siamesekit.backbones import Backbone, choose_backbone
from siamesekit.data import RandomAffine
from siamesekit.errors import InvalidParameterError, SiamesekitError
from siamesekit.heads import Head
from siamesekit.losses import Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training.items import Augment

__all__ = [
    "KINDS",
    "default_params",
    "make_augment",
    "make_backbone",
    "make_head",
    "make_loss",
    "make_miner",
    "make_part",
    "make_sampler",
]

_Part = TypeVar("_Part")

KINDS = {
    "backbone": "backbones",
    "head": "heads",
    "loss": "losses",
    "miner": "miners",
    "sampler": "samplers",
}
"""Kind in the registry of each argument that is a part."""


def make_part(argument: str, spec: object) -> Any:
    """Return a new part: by name from the registry, of a class, or as a copy of an instance."""
    return registry.make(KINDS[argument], spec)


def default_params(argument: str, spec: object) -> dict[str, Any]:
    """Return the parameters of a part given by name or class, or nothing where it has none."""
    if not isinstance(spec, str | type):
        return {}
    try:
        part = make_part(argument, spec)
    except (SiamesekitError, TypeError):
        return {}  # 'auto', or a name that fit will refuse
    return part.get_params() if isinstance(part, Part) else {}


def make_backbone(spec: object, input_shape: Shape) -> nn.Module:
    """Return a new backbone, built for `input_shape`."""
    backbone = choose_backbone(input_shape) if spec == "auto" else make_part("backbone", spec)
    _require("backbone", backbone, nn.Module)
    return backbone.build(input_shape) if isinstance(backbone, Backbone) else backbone


def make_head(spec: object) -> Head:
    """Return a new head, not yet built."""
    return _require("head", make_part("head", spec), Head)  # type: ignore[type-abstract]


def make_loss(spec: object) -> Loss:
    """Return a new loss, not yet built."""
    return _require("loss", make_part("loss", spec), Loss)  # type: ignore[type-abstract]


def make_miner(spec: object) -> Miner | None:
    """Return a new miner, or None."""
    return None if spec is None else _require("miner", make_part("miner", spec), Miner)  # type: ignore[type-abstract]


def make_sampler(spec: object, choose: Callable[[], Sampler]) -> Sampler:
    """Return a new sampler, not yet bound; ``"auto"`` is what `choose` returns."""
    if spec == "auto":
        return choose()
    return _require("sampler", make_part("sampler", spec), Sampler)  # type: ignore[type-abstract]


def make_augment(spec: object, input_shape: Shape) -> Augment | None:
    """Return the augmentation: ``"auto"`` distorts images and leaves vectors alone."""
    is_image = len(input_shape) == 3
    if spec is None or (spec == "auto" and not is_image):
        return None
    if spec in ("auto", "affine"):
        if not is_image:
            raise InvalidParameterError(
                f"augment='affine' distorts images; items here have shape {input_shape}."
            )
        return RandomAffine()
    if callable(spec):
        return copy.deepcopy(spec)
    raise InvalidParameterError(
        "augment must be 'auto', 'affine', None or a callable (batch, generator) -> batch; "
        f"got {spec!r}."
    )


def _require(argument: str, part: object, base: type[_Part]) -> _Part:
    if not isinstance(part, base):
        raise InvalidParameterError(
            f"{argument} must be a name, or a class or an instance of {base.__name__}; "
            f"got {part!r}."
        )
    return part
