"""A fitted estimator as what a folder holds, and back.

What json says of it: its arguments (``params``), the trained parts as they are now (``parts``),
what else was fitted (``fitted``), and what a subclass keeps beside (``state``). To *use* a model,
its backbone and head must be there; what only training needed may be missing.
"""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._allowance import allowance
from siamesekit._copying import load_state
from siamesekit._random import drawing_from
from siamesekit._values import (
    CannotWriteError,
    MissingPartError,
    decode,
    decode_labels,
    encode,
    encode_labels,
)
from siamesekit.errors import InvalidParameterError, SavedModelError
from siamesekit.estimators._calibration import HELD_OUT, TRAINING
from siamesekit.estimators._fitting import make_line
from siamesekit.estimators._folder import Files
from siamesekit.estimators._input_kind import InputKind
from siamesekit.estimators._making import read_made
from siamesekit.estimators._old_format import upgraded
from siamesekit.estimators._standardizer import Standardizer
from siamesekit.training import History, TrainingLine, resolve_device

__all__ = ["check_writable", "describe", "read_description", "read_params", "restore"]

_PARTS = ("backbone", "head", "loss")
# What a model cannot be used without.
_NEEDED = ("backbone", "head")
# Parts made by what a file says may take this much, or a few times what their weights take.
_LEAST_ALLOWANCE = 2**31
_TIMES = 8
_MOST = 2**31
_INPUT_KINDS = ("bool", "bytes", "unit", "levels", "numbers")


# -- writing ----------------------------------------------------------------------------------


def describe(estimator: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what strict json can say of a fitted estimator, and its weights.

    Raises
    ------
    InvalidParameterError
        If the trained parts hold what json and safetensors cannot, or weights that are not
        finite.
    """
    params = estimator.get_params(deep=False)
    parts = {argument: getattr(estimator, f"{argument}_") for argument in _PARTS}
    kept = {argument: part for argument, part in parts.items() if part is not None}
    weights, extra = _state_of(kept)
    if estimator.standardizer_ is not None:
        weights |= {f"standardizer.{n}": t for n, t in estimator.standardizer_._asdict().items()}
    names = getattr(estimator, "feature_names_in_", None)
    description = {
        "siamesekit": version("siamesekit"),
        "torch": torch.__version__,
        "estimator": _name_of(type(estimator)),
        "params": {name: _or_omitted(value) for name, value in params.items()},
        "parts": {argument: _part(part, params[argument]) for argument, part in kept.items()},
        "fitted": {
            "input_shape": list(estimator.input_shape_),
            "input_kind": encode(list(estimator.input_kind_)),
            "feature_names": None if names is None else [str(name) for name in names],
            "embedding_size": estimator.embedding_size_,
            "n_classes_trained": estimator.n_classes_trained_,
            "calibration": encode(list(estimator.calibration_)),
            "proba_slope": encode(estimator.proba_slope_),
            "calibration_source": estimator.calibration_source_,
            "trained_classes": _classes(estimator.trained_classes_),
            "chosen_classes": _classes(estimator.chosen_classes_),
            "history": encode(dict(estimator.history_)),
            **_comparison(estimator),
            "training": estimator.training_,
            "extra_state": extra,
        },
    }
    return description, weights


def _comparison(estimator: Any) -> dict[str, Any]:
    """Return what stood beside no learning, where something did."""
    if not hasattr(estimator, "baselines_"):
        return {}
    return {"validation_score": estimator.validation_score_, "baselines": estimator.baselines_}


def _classes(classes: np.ndarray | None) -> dict[str, Any] | None:
    return None if classes is None else encode_labels(classes)


def check_writable(line: TrainingLine) -> None:
    """Warn, before training starts, of what `describe` would refuse when it is over.

    Warns
    -----
    UserWarning
    """
    try:
        _state_of({argument: getattr(line, argument) for argument in _PARTS})
    except InvalidParameterError as error:
        warnings.warn(f"This model can be used but not saved: {error}", stacklevel=5)


def _state_of(parts: Mapping[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and buffers, and what modules keep beside them, by ``part.name``."""
    weights, extra = {}, {}
    for argument, part in parts.items():
        for name, value in part.state_dict().items():
            key = f"{argument}.{name}"
            if isinstance(value, Tensor):
                _check_weights(key, value, InvalidParameterError)
                weights[key] = value
                continue
            try:
                extra[key] = encode(value)
            except CannotWriteError as error:
                raise InvalidParameterError(
                    f"{argument} must hold state of tensors, numbers and strings to be saved; "
                    f"{key}: {error}."
                ) from error
    return weights, extra


def _check_weights(key: str, value: Tensor, error: type[Exception]) -> None:
    if value.layout != torch.strided or value.is_quantized:
        raise error(f"{key} must be a dense tensor; got {value.layout}, {value.dtype}.")
    # A mask of minus infinity is right; NaN is never.
    if (value.is_floating_point() or value.is_complex()) and bool(value.isnan().any()):
        raise error(f"{key} must hold no NaN.")


def _or_omitted(value: Any) -> Any:
    try:
        return encode(value)
    except CannotWriteError:
        kind = value if isinstance(value, type) else type(value)
        return {"$omitted": f"{kind.__module__}.{kind.__qualname__}"}


def _part(part: nn.Module, spec: Any) -> Any:
    """Return what a trained part is made by: its own parameters, or the name that was given."""
    entry = _or_omitted(part)
    if "$omitted" in entry and isinstance(spec, str | type) and spec != "auto":
        # A plain module under a name in the registry has no parameters to record.
        for kind in registry.KINDS:
            name = registry.name_of(kind, part)
            if name is not None and name in (spec, registry.name_of(kind, spec)):
                return {"$part": {"kind": kind, "name": name, "params": {}}}
    return entry


def _name_of(cls: type[Any]) -> str:
    """Return the name of this package's estimator that `cls` is or derives from."""
    own = (c for c in cls.__mro__ if c.__module__.partition(".")[0] == "siamesekit")
    return next(own).__name__


# -- reading ----------------------------------------------------------------------------------


def read_description(
    family: Mapping[str, type[Any]], files: Files
) -> tuple[dict[str, Any], type[Any]]:
    """Return the description of a saved estimator, in the newest format, and its class.

    Parameters
    ----------
    family : mapping from name to class
        The estimators that there are.
    files : Files

    Raises
    ------
    SavedModelError
        If it is of none of them, or lacks a section.
    """
    found = files.description
    description = upgraded(found) if found["format"] == 1 else found
    name = description.get("estimator")
    if not isinstance(name, str) or name not in family:
        raise SavedModelError(f"it was saved by {name!r}, and {', '.join(family)} cannot load that")
    for section in ("params", "parts", "fitted"):
        if not isinstance(description.get(section), dict):
            raise SavedModelError(f"its section {section!r} is missing")
    return description, family[name]


def read_params(
    cls: type[Any], saved_by: type[Any], description: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments for `cls` of an estimator that was saved by `saved_by`.

    What only the latter has is left out; what json could not hold, or is not installed here,
    becomes the default, and one warning names all of these.

    Raises
    ------
    SavedModelError
        If they are not those of `saved_by`.

    Warns
    -----
    UserWarning
    """
    saved, known = description["params"], cls._get_param_names()
    strange = sorted(set(saved) - set(saved_by._get_param_names()))
    if strange:
        raise SavedModelError(f"its arguments {strange} are unknown to this version")
    params, lost = {}, []
    for name in known:
        entry = saved.get(name)
        if name in given:
            params[name] = given[name]
        elif _is_omitted(entry):
            lost.append(name)
        elif name == "checkpoint" and entry is not None:
            lost.append(name)  # a file of one run on one machine: no model may name one
        elif name in saved:
            try:
                params[name] = decode(entry)
            except MissingPartError:
                lost.append(name)
    # Trained parts are read apart, and refused there if they are missing.
    lost = [name for name in lost if name not in _NEEDED]
    if "reader" in lost:
        params["reader"] = None  # another one would read other items from the same files
    if lost:
        named = ", ".join(f"{name}={_was(saved[name])}" for name in lost)
        warnings.warn(
            f"Arguments that only training needs were not saved, or are not installed here, and "
            f"have their defaults again (a reader: None): {named}. To train on, or to read paths, "
            "pass them to load.",
            stacklevel=4,
        )
    return params


def restore(
    estimator: Any, description: Mapping[str, Any], files: Files, given: Mapping[str, Any]
) -> None:
    """Set all that was fitted on an estimator that has its arguments.

    Raises
    ------
    SavedModelError
        If the folder does not hold what belongs to it.
    """
    fitted = _Fitted(description["fitted"])
    estimator.input_shape_ = fitted.shape()
    if len(estimator.input_shape_) == 1:
        estimator.n_features_in_ = estimator.input_shape_[0]
    names = fitted.names(estimator.input_shape_)
    if names is not None:
        estimator.feature_names_in_ = names
    estimator.input_kind_ = fitted.input_kind()
    estimator.n_classes_trained_ = fitted.whole("n_classes_trained")
    estimator.calibration_ = fitted.calibration()
    estimator.proba_slope_ = fitted.proba_slope()
    estimator.calibration_source_ = fitted.source()
    # None in models of the first format, which did not record them.
    estimator.trained_classes_ = fitted.classes("trained_classes")
    estimator.chosen_classes_ = fitted.classes("chosen_classes")
    estimator.history_ = fitted.history()
    compared = fitted.comparison()
    if compared is not None:
        estimator.validation_score_, estimator.baselines_ = compared
    # None in models from before there was such a note.
    estimator.training_ = read_made(fitted.get("training"))
    estimator.device_ = _device(estimator.device)
    line, has_loss = _make_line(estimator, description["parts"], files, given)
    estimator.precision_ = line.precision
    estimator.embedding_size_ = _embedding_size(line, estimator)
    if fitted.get("embedding_size", estimator.embedding_size_) != estimator.embedding_size_:
        raise SavedModelError("its embedding_size is not that of its backbone")
    weights = files.tensors("weights", _most_bytes(line))
    example = torch.zeros(2, *estimator.input_shape_, device=estimator.device_)
    _load_weights(line, weights, fitted.get("extra_state", {}), has_loss, example)
    estimator.standardizer_ = _standardizer(weights, estimator.input_shape_)
    estimator.backbone_, estimator.head_ = line.backbone, line.head
    estimator.loss_ = line.loss if has_loss else None


class _Fitted:
    """Reads the section ``fitted``, and refuses what no fit can have left."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._section = section
        self.get = section.get

    def shape(self) -> tuple[int, ...]:
        found = self.get("input_shape")
        if not isinstance(found, list) or len(found) not in (1, 3):
            raise SavedModelError("its input_shape is no shape of an item")
        if not all(type(n) is int and 0 < n < _MOST for n in found):
            raise SavedModelError("its input_shape holds what is no size")
        return tuple(found)

    def whole(self, name: str) -> int:
        found = self.get(name)
        if type(found) is not int or not 0 < found < _MOST:
            raise SavedModelError(f"its {name} is no number of things")
        return found

    def names(self, shape: tuple[int, ...]) -> np.ndarray | None:
        found = self.get("feature_names")
        if found is None:
            return None
        known = isinstance(found, list) and all(isinstance(name, str) for name in found)
        if not known or (len(found),) != shape:
            raise SavedModelError("its feature_names are not one name a feature")
        return np.array(found, dtype=object)

    def input_kind(self) -> InputKind:
        # Models of the first format, which did not say, were trained on bytes.
        found = self.get("input_kind", ["bytes", 0.0, 255.0])
        known = isinstance(found, list) and len(found) == 3 and found[0] in _INPUT_KINDS
        if not known or not all(_is_finite(number) for number in found[1:]):
            raise SavedModelError("its input_kind is none")
        return InputKind.from_state(found)

    def calibration(self) -> tuple[float, ...]:
        found = self.get("calibration")
        if not isinstance(found, list) or len(found) != 2 or not all(map(_is_finite, found)):
            raise SavedModelError("its calibration is no slope and intercept")
        return tuple(found)

    def proba_slope(self) -> float:
        # Models saved before there was one used that of `similarity`.
        found = self.get("proba_slope", self.calibration()[0])
        if not _is_finite(found):
            raise SavedModelError("its proba_slope is no finite number")
        return float(found)

    def source(self) -> str:
        found = self.get("calibration_source", TRAINING)
        if found not in (TRAINING, HELD_OUT):
            raise SavedModelError("its calibration_source is none")
        return str(found)

    def classes(self, name: str) -> np.ndarray | None:
        found = self.get(name)
        return None if found is None else decode_labels(found)

    def comparison(self) -> tuple[float, dict[str, float]] | None:
        own, baselines = self.get("validation_score"), self.get("baselines")
        if own is None and baselines is None:
            return None
        if not isinstance(baselines, dict) or not all(map(_is_share, baselines.values())):
            raise SavedModelError("its baselines are none")
        if own is None or not _is_share(own):
            raise SavedModelError("its validation_score is none")
        return float(own), {str(name): float(score) for name, score in baselines.items()}

    def history(self) -> History:
        found = decode(self.get("history"))
        columns = isinstance(found, dict) and all(
            isinstance(name, str)
            and isinstance(column, list)
            and all(isinstance(number, int | float) for number in column)
            for name, column in found.items()
        )
        if not columns:
            raise SavedModelError("its history is none")
        return History(found)


def _is_finite(number: Any) -> bool:
    return type(number) in (int, float) and abs(number) < 1e308


def _is_share(number: Any) -> bool:
    return type(number) in (int, float) and 0 <= number <= 1


def _is_omitted(entry: Any) -> bool:
    return isinstance(entry, dict) and "$omitted" in entry


def _was(entry: Any) -> str:
    """Return what an argument was, for a warning."""
    if not isinstance(entry, dict):
        return repr(entry)
    (content,) = entry.values()
    return str(content.get("name") if isinstance(content, dict) else content)


def _device(device: Any) -> torch.device:
    try:
        return resolve_device(device)
    except InvalidParameterError as error:
        raise SavedModelError(f"{error} Pass another as load(path, device=...)") from error


def _make_line(
    estimator: Any, saved: Mapping[str, Any], files: Files, given: Mapping[str, Any]
) -> tuple[TrainingLine, bool]:
    """Return a line of the trained parts, their weights not yet read, and whether its loss is."""
    specs = {}
    # Parts that the caller gives may be of any size; what a file makes is bounded by its own.
    room = max(_LEAST_ALLOWANCE, _TIMES * files.size("weights"))
    with allowance(room), drawing_from(0):  # weights that are drawn are replaced at once
        for argument in _PARTS:
            if argument in given:
                specs[argument] = given[argument]
                continue
            try:
                specs[argument] = _read_part(argument, saved.get(argument))
            except MissingPartError:
                if argument in _NEEDED:
                    raise
        has_loss = "loss" in specs
        own = SimpleNamespace(
            **({"loss": "episodic"} | specs), miner=None, precision=estimator.precision
        )
        try:
            line = make_line(
                own, estimator.input_shape_, estimator.n_classes_trained_, estimator.device_
            )
        except SavedModelError:
            raise
        except Exception as error:  # what a file says of a part's sizes may lead to any
            raise SavedModelError(f"its parts cannot be made again: {error}") from error
    return line.eval(), has_loss


def _read_part(argument: str, entry: Any) -> Any:
    if entry is None or _is_omitted(entry):
        what = entry["$omitted"] if entry else "part"
        raise MissingPartError(
            f"{argument} was saved as a {what}, which has no name in the registry or a parameter "
            f"that json cannot hold; pass it as load(path, {argument}=...)"
        )
    try:
        return decode(entry)
    except MissingPartError as error:
        raise MissingPartError(f"{error} Or pass it as load(path, {argument}=...)") from error


def _embedding_size(line: TrainingLine, estimator: Any) -> int:
    example = torch.zeros(2, *estimator.input_shape_, device=estimator.device_)
    with torch.no_grad(), drawing_from(0):
        return int(line.embed(example).shape[1])


def _most_bytes(line: TrainingLine) -> int:
    own = sum(t.nbytes for t in line.state_dict().values() if isinstance(t, Tensor))
    return max(_LEAST_ALLOWANCE, _TIMES * own)


def _load_weights(
    line: TrainingLine, weights: Mapping[str, Tensor], extra: Any, has_loss: bool, example: Tensor
) -> None:
    if not isinstance(extra, dict):
        raise SavedModelError("its extra_state is none")
    state: dict[str, Any] = {**weights, **{name: decode(entry) for name, entry in extra.items()}}
    for argument in _PARTS if has_loss else _NEEDED:
        part: nn.Module = getattr(line, argument)
        own = {
            name.removeprefix(f"{argument}."): value
            for name, value in state.items()
            if name.startswith(f"{argument}.")
        }
        _check_types(argument, part, own)
        try:
            if argument != "backbone":
                part.load_state_dict(own)
            elif load_state(part, own):  # by right, if it works with them
                with torch.no_grad(), drawing_from(0):
                    line.embed(example)
        except Exception as error:  # a module may load its extra state in any way
            raise SavedModelError(f"it was saved with another {argument}: {error}") from error


def _check_types(argument: str, part: nn.Module, state: Mapping[str, Any]) -> None:
    known = part.state_dict()
    trained = {name for name, _ in part.named_parameters(remove_duplicate=False)}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            continue
        expected = known.get(name)
        if isinstance(expected, Tensor) and expected.dtype != value.dtype:
            raise SavedModelError(
                f"its {argument}.{name} holds {value.dtype} in place of {expected.dtype}"
            )
        _check_weights(f"its {argument}.{name}", value, SavedModelError)
        if name in trained and not bool(torch.isfinite(value).all()):
            raise SavedModelError(f"its {argument}.{name} is not finite")


def _standardizer(weights: Mapping[str, Tensor], shape: tuple[int, ...]) -> Standardizer | None:
    names = {name for name in weights if name.startswith("standardizer.")}
    if not names:
        return None
    if names != {"standardizer.offset", "standardizer.scale"}:
        raise SavedModelError("its standardizer is incomplete")
    for name in names:
        value = weights[name]
        if value.shape != shape or value.dtype != torch.float64 or not value.isfinite().all():
            raise SavedModelError(f"its {name} is not one finite number a feature")
    if bool((weights["standardizer.scale"] <= 0).any()):
        raise SavedModelError("its standardizer.scale must be above 0")
    return Standardizer.from_state(weights)
