"""Any network of timm, named ``"timm:resnet10t"``: as it is drawn, or with weights from a file."""

import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from siamesekit._checks import check_choice, check_integer, check_path, near_matches, shown
from siamesekit._types import Shape
from siamesekit.backbones._shapes import check_image_shape
from siamesekit.backbones._weights_file import read_weights
from siamesekit.backbones.base import Backbone
from siamesekit.backbones.freezing import still_norms, train_last
from siamesekit.errors import (
    DatasetNotFoundError,
    InvalidDataError,
    InvalidParameterError,
    PluginImportError,
    UnknownPartError,
)
from siamesekit.registry import register_family

__all__ = ["POOLS", "TimmNet", "adapter"]

POOLS = ("catavgmax", "avg", "max", "model")
"""What `TimmNet` makes of the last map: its mean and maximum side by side, one of them, or what
the network itself makes of it."""

# Keys that a file lacks where its network was trained by an old torch; they count batches.
_COUNTERS = ".num_batches_tracked"
# Keys that an error lists of a kind; and operators of torchvision that its Python part asks for.
_LISTED, _OPERATORS = 3, ("nms", "qnms")


class TimmNet(Backbone):
    """A network of timm [1]_ without its classifier; subclasses are made by `adapter`, one a name.

    The last map (or the last tokens) becomes one embedding by `pool`. What the network wants is
    taken from what timm knows of its weights (``pretrained_cfg``): mean and deviation of its
    colours, number of channels, size of an image. Images are brought to that, grey ones shown in
    every channel.

    Parameters
    ----------
    pretrained : bool or path-like
        False: weights are drawn at random. A path: they are read from a ``.safetensors`` file or
        one of ``torch.save`` (state dict, alone or under ``state_dict`` or ``model``), of tensors
        alone; keys of the classifier are dropped, every other key must fit. True: timm fetches its
        own, from the hub.
    n_trainable : int or None
        Layers that learn, from the end, among the modules that have weights of their own, in the
        network's order (see `siamesekit.backbones.learning_layers`); None lets all learn. What does
        not learn stands still: batch normalisations keep their statistics.
    pool : {"catavgmax", "avg", "max", "model"}
        Mean and maximum over the map side by side (twice as long an embedding), one of them, or
        what the network itself puts before its classifier (a class token, say).
    input_size : int or None
        Side in pixels to which images are resized, stretched if they are not square; None takes
        that of the weights. A network of a fixed size takes no other.

    Notes
    -----
    What the embedding does not use of the network (a layer behind the pooling, say) is left out.
    Once an estimator has fitted it, the network needs no file again: its own weights are saved.

    References
    ----------
    .. [1] R. Wightman, "PyTorch Image Models", 2019, doi 10.5281/zenodo.4414861.
    """

    channels_last = True
    model: ClassVar[str]

    def __init__(
        self,
        pretrained: bool | str | os.PathLike[str] = False,
        n_trainable: int | None = None,
        pool: str = "catavgmax",
        input_size: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(pretrained, bool):
            _check_weights_path(pretrained)
        if n_trainable is not None:
            check_integer("n_trainable", n_trainable, low=0)
        if input_size is not None:
            check_integer("input_size", input_size, low=1, high=4096)
        self.pretrained = pretrained
        self.n_trainable = n_trainable
        self.pool = check_choice("pool", pool, POOLS)
        self.input_size = input_size

    def layers(self, input_shape: Shape) -> nn.Module:
        """Return the network, its weights read, what is frozen frozen.

        Raises
        ------
        InvalidDataError
            If items are no images, or have other numbers of channels than it can be shown.
        InvalidParameterError
            If the weights do not fit the network (the keys are named), the network is of another,
            fixed size, or it has fewer layers than are to learn.
        DatasetNotFoundError
            If the file is not there, or timm cannot fetch its own.
        CorruptDatasetError
            If the file holds no weights.
        """
        channels, _, _ = check_image_shape(f"timm:{self.model}", input_shape)
        network = self._create()
        config = network.pretrained_cfg
        wanted, side, _ = config["input_size"]
        if channels not in (1, wanted):
            raise InvalidDataError(
                f"timm:{self.model} takes images of 1 or {wanted} channels; "
                f"got items of shape {input_shape}."
            )
        if self.input_size not in (None, side) and config.get("fixed_input_size"):
            raise InvalidParameterError(
                f"input_size of timm:{self.model} must be {side} (or None), the size that it was "
                f"made for; got {self.input_size}."
            )
        if not isinstance(self.pretrained, bool):
            _load(network, Path(self.pretrained), f"timm:{self.model}")
        size = (side if self.input_size is None else self.input_size,) * 2
        whole = _Whole(network, self.pool, wanted, size)
        _drop_unused(whole)
        train_last(whole, self.n_trainable)
        return whole

    def _create(self) -> Any:
        timm = import_timm()
        fetched = self.pretrained is True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of timm on names it has moved
                return timm.create_model(self.model, pretrained=fetched, num_classes=0)
        except Exception as error:
            if not fetched:
                raise
            # Of whatever kind: no network, no such weights, a package that fetches is missing.
            raise DatasetNotFoundError(
                f"pretrained=True: timm cannot fetch the weights of {self.model} "
                f"({type(error).__name__}: {error}); give the path of a file of them."
            ) from error

    def train(self, mode: bool = True) -> Self:
        """Set the mode; normalisations that do not learn stay in ``eval()`` mode."""
        super().train(mode)
        if mode:
            still_norms(self)
        return self

    def finish(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> nn.Module:
        """Return itself, which from now on needs no file: see `Backbone.finish`."""
        # What is saved are the weights as they are now; to use them, no others are to be asked for.
        self.pretrained = False
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Its class stands in no module, so pickle is told the name.
        return _unfilled, (self.model,), self.__dict__


class _Whole(nn.Module):
    """From images in [0, 1] to embeddings."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Any, pool: str, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.pool, self.channels, self.size = pool, channels, size
        for name, key in (("mean", "mean"), ("deviation", "std")):
            values = torch.tensor(network.pretrained_cfg[key], dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True)
        x = (x.expand(-1, self.channels, -1, -1) - self.mean) / self.deviation
        found: Tensor = self.network.forward_features(x)
        if self.pool == "model":
            embeddings: Tensor = self.network.forward_head(found, pre_logits=True)
            return embeddings.flatten(1)
        places = self._places(found)
        if self.pool == "avg":
            return places.mean(1)
        highest = places.amax(1)
        return highest if self.pool == "max" else torch.cat([places.mean(1), highest], dim=1)

    def _places(self, found: Tensor) -> Tensor:
        """Return what was found at each place of an image, (b, places, d)."""
        width = self.network.num_features
        if found.ndim == 4:  # networks of windows keep channels last, others second
            last = getattr(self.network, "output_fmt", None) == "NHWC" or (
                found.shape[1] != width and found.shape[3] == width
            )
            return found.flatten(1, 2) if last else found.flatten(2).transpose(1, 2)
        # Tokens that stand for no place come first.
        n_before = int(getattr(self.network, "num_prefix_tokens", 0) or 0)
        return found[:, n_before:] if found.ndim == 3 else found[:, None]


def _drop_unused(whole: _Whole) -> None:
    """Take out of a network the layers that its embeddings do not come from."""
    training = whole.training
    with torch.enable_grad():
        kind = next(weight.dtype for weight in whole.parameters())
        x = torch.zeros(1, whole.channels, *whole.size, dtype=kind)
        whole.eval()(x).sum().backward()
    used = {id(weight) for weight in whole.parameters() if weight.grad is not None}
    whole.zero_grad(set_to_none=True)
    _drop(whole, used)
    whole.train(training)


def _drop(module: nn.Module, used: set[int]) -> None:
    for name, child in list(module.named_children()):
        weights = [id(weight) for weight in child.parameters()]
        if weights and used.isdisjoint(weights):
            setattr(module, name, nn.Identity())
        else:
            _drop(child, used)


def _check_weights_path(pretrained: object) -> None:
    try:
        check_path("pretrained", pretrained)
    except InvalidParameterError:
        raise InvalidParameterError(
            "pretrained must be True, False or the path of a file of weights; "
            f"got {shown(pretrained)}."
        ) from None


def _load(network: Any, path: Path, name: str) -> None:
    """Fill a network with the weights in a file, its classifier's left out."""
    given = _without_classifier(read_weights(path), network.pretrained_cfg.get("classifier"))
    own = network.state_dict()
    faults = []
    for what, keys in (
        ("missing in it", [k for k in own if k not in given and not k.endswith(_COUNTERS)]),
        ("unknown to the network", [k for k in given if k not in own]),
        (
            "of another shape",
            [
                f"{k} {tuple(given[k].shape)} in place of {tuple(own[k].shape)}"
                for k in own.keys() & given.keys()
                if given[k].shape != own[k].shape
            ],
        ),
    ):
        if keys:
            more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            faults.append(f"{what}: {', '.join(sorted(keys)[:_LISTED])}{more}")
    if faults:
        raise InvalidParameterError(
            f"pretrained must be a file of weights of {name}; got {path}, whose keys do not fit "
            f"({'; '.join(faults)})."
        )
    network.load_state_dict(given, strict=False)


def _without_classifier(weights: Mapping[str, Tensor], classifier: Any) -> dict[str, Tensor]:
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    starts = tuple(f"{name}." for name in names)
    return {key: value for key, value in weights.items() if not key.startswith(starts)}


def import_timm() -> ModuleType:
    """Return the package timm.

    Raises
    ------
    PluginImportError
        If it, or torchvision, which it imports, is missing or fails to import.
    """
    try:
        try:
            import timm
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            _declare_operators()
            import timm
    except ModuleNotFoundError as error:
        raise PluginImportError(
            'names that begin with "timm:" need the extra timm (pip install "siamesekit[timm]"): '
            f"{error}"
        ) from error
    except Exception as error:
        raise PluginImportError(
            'names that begin with "timm:" need timm and torchvision, and torchvision must be made '
            f"for the installed torch {torch.__version__}; importing them fails with "
            f"{type(error).__name__}: {error}"
        ) from error
    return timm  # type: ignore[no-any-return]


def _declare_operators() -> None:
    """Declare what a torchvision without its compiled part asks torch for as it is imported.

    That part cannot be loaded where torchvision was compiled for another torch than the installed
    one (for CUDA, as most indexes have it, beside a torch for processors), and its Python part
    then stops at operators that nobody declared. They select boxes; no network of timm does.
    """
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(
                f"torchvision::{name}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )


@lru_cache
def adapter(name: str) -> type[TimmNet]:
    """Return the backbone class of the network `name`.

    Parameters
    ----------
    name : str
        As in ``timm.list_models()``, with the tag of its weights behind a dot or not:
        ``"resnet10t"``, ``"resnet10t.c3_in1k"``.

    Raises
    ------
    PluginImportError
        If timm is not installed or fails to import.
    UnknownPartError
        If it has no such network, or no weights of that tag.
    """
    timm = import_timm()
    plain, dot, tag = name.partition(".")
    known = timm.list_models()
    if plain not in known:
        raise UnknownPartError(f"timm has no network {plain!r}.{near_matches(plain, known)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{plain}.*")]
    if dot and tag not in tags:
        raise UnknownPartError(
            f"timm has no weights {tag!r} of {plain}; it has "
            f"{', '.join(map(repr, filter(None, tags))) or 'none'}."
        )
    members = {
        "model": name,
        "__doc__": f"``timm.create_model({name!r})`` without its classifier; see `TimmNet`.",
        "__module__": __name__,
    }
    return type(name, (TimmNet,), members)


def _unfilled(name: str) -> TimmNet:
    cls = adapter(name)
    return cls.__new__(cls)


def _name_of(cls: type[Any]) -> str | None:
    return vars(cls).get("model") if issubclass(cls, TimmNet) else None


# No name is listed: that would import timm wherever names are; ``timm.list_models()`` knows them.
register_family("backbones", "timm", adapter, tuple, _name_of, distribution="timm")
