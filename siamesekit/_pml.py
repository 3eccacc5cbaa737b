"""What the adapters of pytorch-metric-learning's losses and miners share."""

import inspect
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from siamesekit._checks import near_matches
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.errors import PluginImportError, UnknownPartError

__all__ = [
    "SIZES",
    "bind",
    "constructor_signature",
    "find_class",
    "fitting",
    "from_pml",
    "import_pml",
    "mine",
    "to_pml",
    "with_cosines_below_one",
]

SIZES = {
    "num_classes": "n_classes",
    "embedding_size": "dim",
    "descriptors_dim": "dim",
    "l": "dim",
}
"""Constructor arguments that are sizes of the data, and what `Loss.build` calls them."""

# Passed on by subclasses themselves, or of no use here.
_HIDDEN = {"collect_stats", "mat_based_loss", "loss"}
_FIXED = {"BatchHardMiner": {"pos_strategy", "neg_strategy"}}

# Losses of cosines that fail at 1, and the largest cosine that they are shown.
_NOT_ONE = {"HistogramLoss", "TupletMarginLoss"}
_NEARLY_ONE = 1 - 1e-6

# RankedListLoss has no defaults; these are the paper's (Wang et al., CVPR 2019, §4.2).
_DEFAULTS: dict[str, dict[str, Any]] = {"RankedListLoss": {"margin": 0.4, "Tn": 10.0}}


def import_pml(folder: str) -> ModuleType:
    """Return ``pytorch_metric_learning.<folder>``.

    Raises
    ------
    PluginImportError
        If it fails to import, or was taken away.
    """
    try:
        import pytorch_metric_learning.losses
        import pytorch_metric_learning.miners
    except ImportError as error:
        raise PluginImportError(
            'names that begin with "pml:" need pytorch-metric-learning, which is installed with '
            f"siamesekit but fails to import: {error}"
        ) from error
    module: ModuleType = getattr(pytorch_metric_learning, folder)
    return module


def fitting(folder: str, unfit: dict[str, str]) -> list[str]:
    """Return the sorted names of the classes that fit; none where the package is absent."""
    try:
        module = import_pml(folder)
    except PluginImportError:
        return []
    return [name for name, _ in inspect.getmembers(module, inspect.isclass) if name not in unfit]


def find_class(folder: str, name: str, unfit: dict[str, str]) -> type[Any]:
    """Return the class `name` of ``pytorch_metric_learning.<folder>``.

    Raises
    ------
    PluginImportError
        If the package is not installed.
    UnknownPartError
        If there is no such class, or it does not fit the training line (the reason is said).
    """
    module = import_pml(folder)
    if name in unfit:
        raise UnknownPartError(f"'pml:{name}' does not fit the training line: {unfit[name]}.")
    known = fitting(folder, unfit)
    if name not in known:
        raise UnknownPartError(
            f"pytorch-metric-learning has no {name!r} in its {folder}.{near_matches(name, known)}"
        )
    found: type[Any] = getattr(module, name)
    return found


def constructor_signature(cls: type[Any]) -> tuple[inspect.Signature, tuple[str, ...]]:
    """Return the constructor's own parameters, and the names of its sizes.

    The constructors of pytorch-metric-learning hand ``*args`` and ``**kwargs`` up; here every
    class of the hierarchy adds what it names, by keyword only or not. The default is that of the
    first class that names it.
    """
    hidden = _HIDDEN | _FIXED.get(cls.__name__, set())
    defaults = _DEFAULTS.get(cls.__name__, {})
    parameters: dict[str, inspect.Parameter] = {}
    sizes = []
    for ancestor in cls.__mro__:
        if "__init__" not in vars(ancestor) or "pytorch_metric" not in ancestor.__module__:
            continue
        own = inspect.signature(vars(ancestor)["__init__"]).parameters
        for parameter in list(own.values())[1:]:
            name, required = parameter.name, parameter.default is inspect.Parameter.empty
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not named or name in hidden or name in parameters or name in sizes:
                continue
            if name in SIZES and required:
                sizes.append(name)
            else:
                default = defaults.get(name, parameter.default)
                parameters[name] = inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default
                )
    return inspect.Signature(list(parameters.values())), tuple(sizes)


def bind(signature: inspect.Signature, given: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a constructor; a misspelt one raises ``TypeError``."""
    bound = signature.bind(**given)
    bound.apply_defaults()
    return dict(bound.arguments)


def mine(
    miner: Any,
    embeddings: Tensor,
    labels: Tensor,
    references: Tensor | None = None,
    reference_labels: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return the ``indices_tuple`` that a miner of pytorch-metric-learning chooses, in float32.

    Items that are not `usable` are shown to no miner, and so are in no tuple.

    Parameters
    ----------
    miner : object
        The wrapped one.
    embeddings : Tensor of float, shape (b, d)
    labels : Tensor of int64, shape (b,)
    references : Tensor of float, shape (r, d), optional
        What the batch is compared with; itself by default.
    reference_labels : Tensor of int64, shape (r,), optional
    """
    with torch.no_grad(), torch.autocast(embeddings.device.type, enabled=False):
        rows, some = _usable_rows(embeddings.detach().float(), labels)
        if not len(rows):
            return tuple(Triplets.empty(embeddings.device))
        columns, others = rows, some
        if references is not None and reference_labels is not None:
            columns, others = _usable_rows(references.float(), reference_labels)
        chosen: tuple[Tensor, ...] = miner(*some) if references is None else miner(*some, *others)
        # Of triplets the first column holds rows; of pairs the first and the third do.
        sides = (rows, columns, columns) if len(chosen) == 3 else (rows, columns, rows, columns)
        return tuple(side[index] for side, index in zip(sides, chosen, strict=True))


def usable(embeddings: Tensor) -> Tensor:
    """Return which embeddings have a length in float32: a mask of shape (b,).

    The wrapped parts divide by the length; where its square overflows, they would give numbers
    that mean nothing.
    """
    return embeddings.detach().float().square().sum(1).isfinite()


def _usable_rows(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    rows = usable(embeddings).nonzero().squeeze(1)
    return rows, (embeddings[rows], labels[rows])


def with_cosines_below_one(loss: Any) -> Any:
    """Return a wrapped loss that stands equal items.

    Their cosine is 1, or the next number above, for which `HistogramLoss` has no bin and
    `TupletMarginLoss` no slope.
    """
    distance: Any = getattr(loss, "distance", None)
    if type(loss).__name__ in _NOT_ONE and distance.is_inverted and distance.normalize_embeddings:
        distance.register_forward_hook(_clamped)
    return loss


def _clamped(distance: Any, inputs: Any, cosines: Tensor) -> Tensor:
    return cosines.clamp(-_NEARLY_ONE, _NEARLY_ONE)


def to_pml(tuples: Tuples | None, labels: Tensor) -> tuple[Tensor, ...] | None:
    """Return chosen tuples as pytorch-metric-learning's ``indices_tuple``."""
    if isinstance(tuples, Pairs):
        same = labels[tuples.i] == labels[tuples.j]
        return (tuples.i[same], tuples.j[same], tuples.i[~same], tuples.j[~same])
    return tuple(tuples) if tuples is not None else None


def from_pml(indices: tuple[Tensor, ...]) -> Tuples:
    """Return pytorch-metric-learning's ``indices_tuple`` as tuples of ours."""
    if len(indices) == 3:
        return Triplets(*(index.long() for index in indices))
    first, positive, second, negative = indices
    return Pairs(torch.cat([first, second]).long(), torch.cat([positive, negative]).long())
