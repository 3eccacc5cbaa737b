"""From what a user gives for a part (name, class or instance) to the part."""

from collections.abc import Callable
from typing import Any

from torch import nn

from siamesekit import registry
from siamesekit._checks import check_callable, near_matches
from siamesekit._params import Part
from siamesekit._types import Shape
from siamesekit.backbones import Backbone, choose_backbone
from siamesekit.errors import InvalidParameterError, SiamesekitError, UnknownPartError
from siamesekit.heads import Head
from siamesekit.losses import BCELoss, ContrastiveLoss, Loss
from siamesekit.miners import Miner
from siamesekit.samplers import Sampler
from siamesekit.training.items import Augment

__all__ = [
    "default_params",
    "make_augment",
    "make_backbone",
    "make_head",
    "make_loss",
    "make_miner",
    "make_part",
    "make_sampler",
    "parts_with",
    "wants_standardised",
]


def make_part(argument: str, spec: object) -> Any:
    """Return a new part: by name from the registry, of a class, or as a copy of an instance."""
    return registry.make(registry.ARGUMENTS[argument], spec)


def default_params(argument: str, spec: object) -> dict[str, Any]:
    """Return the parameters of a part given by name or class, or nothing where it has none.

    The part is not made, which could be costly: a parameter's default is the constructor's.
    """
    if isinstance(spec, str):
        if spec == "auto":
            return {}
        try:
            spec = registry.get(registry.ARGUMENTS[argument], spec)
        except SiamesekitError:
            return {}  # a name that fit will refuse
    return spec.default_params() if isinstance(spec, type) and issubclass(spec, Part) else {}


def parts_with(argument: str, parameter: str) -> str:
    """Return what to write to give `argument` a part that has `parameter`, for an error."""
    kind = registry.ARGUMENTS.get(argument)
    names = registry.names(kind) if kind else []
    fit = [name for name in names if parameter in default_params(argument, name)]
    return " or ".join(f'{argument}="{name}"' for name in fit[:3]) or f"{argument}=<a part>"


def make_backbone(spec: object, input_shape: Shape) -> nn.Module:
    """Return a new backbone, built for `input_shape`."""
    is_auto = isinstance(spec, str) and spec == "auto"
    backbone: nn.Module = choose_backbone(input_shape) if is_auto else make_part("backbone", spec)
    return backbone.build(input_shape) if isinstance(backbone, Backbone) else backbone


def wants_standardised(spec: object, input_shape: Shape) -> bool:
    """Return whether a backbone wants vectors with each feature of mean 0 and deviation 1.

    A backbone says so by an attribute ``standardised = True``.
    """
    if len(input_shape) != 1:
        return False
    if isinstance(spec, str):
        spec = choose_backbone(input_shape) if spec == "auto" else make_part("backbone", spec)
    elif isinstance(spec, type) and issubclass(spec, Backbone):
        # One that passes on what the backbone in it wants can tell only when it is made.
        spec = make_part("backbone", spec)
    return bool(getattr(spec, "standardised", False))


def make_head(spec: object) -> Head:
    """Return a new head, not yet built."""
    head: Head = make_part("head", spec)
    return head


def make_loss(spec: object, head: Head, *, pairs: bool = False) -> Loss:
    """Return a new loss, not yet built.

    Parameters
    ----------
    spec : object
        ``"auto"`` is the loss on episodes, or, where `pairs` were given, that on pairs which suits
        what the head gives; both kinds of pair weigh the same, however many there are.
    head : Head
    pairs : bool
    """
    if isinstance(spec, str) and spec == "auto":
        if not pairs:
            spec = "episodic"
        elif head.gives == "logit":
            return BCELoss(balance=True)
        else:
            return ContrastiveLoss(balance=True)
    loss: Loss = make_part("loss", spec)
    return loss


def make_miner(spec: object) -> Miner | None:
    """Return a new miner, or None."""
    return None if spec is None else make_part("miner", spec)


def make_sampler(spec: object, choose: Callable[[], Sampler]) -> Sampler:
    """Return a new sampler, not yet bound; ``"auto"`` is what `choose` returns."""
    if isinstance(spec, str) and spec == "auto":
        return choose()
    sampler: Sampler = make_part("sampler", spec)
    return sampler


def make_augment(spec: object, input_shape: Shape) -> Augment | None:
    """Return the augmentation: ``"auto"`` distorts images and leaves vectors alone."""
    is_image = len(input_shape) == 3
    is_auto = isinstance(spec, str) and spec == "auto"
    if spec is None or (is_auto and not is_image):
        return None
    if isinstance(spec, str) and spec in ("affine", "photo") and not is_image:
        raise InvalidParameterError(
            f"augment={spec!r} distorts images; items here have shape {input_shape}."
        )
    try:
        augment: Augment = make_part("augment", "affine" if is_auto else spec)
    except UnknownPartError as error:
        names = registry.names("augmentations")
        raise InvalidParameterError(
            f"augment must be 'auto', {', '.join(map(repr, names))}, None or a callable "
            f"(batch, generator) -> batch; got {spec!r}.{near_matches(str(spec), names)}"
        ) from error
    check_callable("augment", augment, "(batch, generator) -> batch")
    return augment
