"""A fitted estimator as a folder that NumPy and onnxruntime serve.

``serving.json`` names all other files by their contents, so that one ``os.replace`` of it takes the
folder from an old model to a new one.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamesekit._checks import first_line
from siamesekit._copying import copied
from siamesekit._files import alone_in, mode_of, read_bounded, sync_folder, write_whole
from siamesekit._types import Shape
from siamesekit.backbones.outputs import embeddings_in
from siamesekit.errors import InvalidParameterError, ModelNotWrittenError, PluginImportError
from siamesekit.estimators._affine_norms import with_affine_norms
from siamesekit.estimators._reader import Reader
from siamesekit.heads import Head
from siamesekit.training.embedding import embed_items

__all__ = [
    "FORMAT",
    "check_backbone",
    "check_head",
    "check_packages",
    "export",
    "known_head",
    "written_backbone",
    "written_head",
]

FORMAT = 1
_FACTS = "serving.json"
_READER = "reader.py"
_CARD = "CARD.md"
_MOST_TEXT = 2**28
# Heads that the reader computes itself.
_KNOWN = ("cosine", "euclidean", "sqeuclidean", "l1", "squared")
# By how much the exported network may differ, of numbers as large as 1.
_TOLERANCE = 1e-4


def export(
    estimator: Any, path: Path, own: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write all that is needed to use an estimator to a folder.

    Parameters
    ----------
    estimator : fitted estimator
    path : Path
        New, an empty folder, or one exported to before.
    own : mapping
        What is kept beside the network: facts that json can hold.
    arrays : mapping from name to ndarray
        And numbers.

    Raises
    ------
    PluginImportError
        If onnx, onnxscript or onnxruntime is not installed.
    InvalidParameterError
        If `path` holds something else, or the network cannot be written as ONNX, or gives other
        numbers there.
    ModelNotWrittenError
        If the disk is full, or the folder may not be written to.
    """
    check_packages()
    _refuse_foreign(path)
    backbone, shape = estimator.backbone_, estimator.input_shape_
    embedder = written_backbone(backbone, shape)
    check_backbone(embedder, backbone, shape, estimator.device_)
    name, numbers, files = _exported_head(estimator.head_, estimator.embedding_size_)
    numbers |= arrays
    if estimator.standardizer_ is not None:
        numbers |= {k: v.numpy() for k, v in estimator.standardizer_._asdict().items()}
    facts = {
        "format": FORMAT,
        "siamesekit": version("siamesekit"),
        "estimator": type(estimator).__name__,
        "input_shape": list(estimator.input_shape_),
        "input_kind": list(estimator.input_kind_),
        "head": name,
        "calibration": [float(number) for number in estimator.calibration_],
        "calibration_source": estimator.calibration_source_,
        "proba_slope": float(estimator.proba_slope_),
        **own,
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **numbers)
    contents = {"embedder": (embedder, "onnx"), "arrays": (buffer.getvalue(), "npz")}
    contents |= {stem: (data, "onnx") for stem, data in files.items()}
    try:
        _write(path, facts, contents, _card(estimator, facts))
    except OSError as error:
        raise ModelNotWrittenError(
            error.errno, f"{path} cannot be written, what was there before is kept: {error}"
        ) from error


def written_backbone(backbone: nn.Module, shape: Shape) -> bytes:
    """Return a backbone as ONNX.

    Parameters
    ----------
    backbone : nn.Module
        It stays as it is.
    shape : tuple of int
        Of an item.

    Raises
    ------
    InvalidParameterError
        If it cannot be written.
    """
    network = _Embeds(backbone)
    return _onnx(network, (_examples(shape, 3),), ("items",), "backbone", network.name)


def check_backbone(data: bytes, backbone: nn.Module, shape: Shape, device: torch.device) -> None:
    """Raise `InvalidParameterError` unless ONNX embeds batches of any size as the backbone does."""
    name = type(backbone).__name__
    for n in (1, 5):
        items = _examples(shape, n)
        own = embed_items(backbone, items, device, torch.float32)
        _check_close(_run(data, {"items": items}, "backbone", name), own, "backbone", name)


def written_head(head: Head, dim: int) -> bytes:
    """Return a head's `pairs` as ONNX; parameters and errors as of `written_backbone`."""
    return _onnx(_Scores(head), _pair(3, dim), ("a", "b"), "head", type(head).__name__)


def check_head(data: bytes, head: Head, dim: int) -> None:
    """Raise `InvalidParameterError` unless ONNX compares pairs as the head does."""
    module, name = _Scores(head), type(head).__name__
    for n in (1, 5):
        a, b = _pair(n, dim)
        with torch.no_grad():
            own = module(a, b)
        _check_close(_run(data, {"a": a, "b": b}, "head", name), own, "head", name)


class _Embeds(nn.Module):
    """A network on the processor, from float32 to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copied(network).cpu().eval()
        self.name = type(network).__name__
        types = {p.dtype for p in network.parameters() if p.is_floating_point()}
        self.dtype = types.pop() if len(types) == 1 else torch.float32

    def forward(self, items: Tensor) -> Tensor:
        return embeddings_in(self.network(items.to(self.dtype)), self.network, items.shape[0])


class _Scores(nn.Module):
    """A head that compares row by row."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = copied(head).cpu().eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        scores: Tensor = self.head.pairs(a, b)
        return scores


def _exported_head(
    head: Head, dim: int
) -> tuple[str | None, dict[str, np.ndarray], dict[str, bytes]]:
    """Return the name by which the reader knows a head, and its numbers; or it as ONNX."""
    known = known_head(head, dim)
    if known is not None:
        return *known, {}
    data = written_head(head, dim)
    check_head(data, head, dim)
    return None, {}, {"head": data}


def known_head(head: Head, dim: int) -> tuple[str, dict[str, np.ndarray]] | None:
    """Return the name by which the reader knows a head, and its numbers; None if it does not.

    Parameters
    ----------
    head : Head
        Built.
    dim : int

    Raises
    ------
    InvalidParameterError
        If the reader knows no head of that name, or one that compares in another way.
    """
    # A subclass may compare in another way than what it inherits says.
    known = head.export() if "export" in vars(type(head)) else None
    if known is None:
        return None
    name, weights = known
    what = f"head {type(head).__name__} exports itself as {name!r}"
    if name not in _KNOWN:
        raise InvalidParameterError(
            f"{what}, and the reader knows {', '.join(_KNOWN)}; without a method export of its own "
            "it is written as ONNX."
        )
    numbers = {key: value.detach().cpu().double().numpy() for key, value in weights.items()}
    a, b = _pair(5, dim)
    with torch.no_grad():
        own = _Scores(head)(a, b).numpy()
    try:
        found = _read(name, numbers, a.numpy(), b.numpy())
    except (KeyError, ValueError) as error:
        raise InvalidParameterError(
            f"{what}, which needs other weights than it gives: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    if not np.allclose(found, own, _TOLERANCE, _TOLERANCE):
        raise InvalidParameterError(f"{what}, which compares in another way than it does.")
    return name, numbers


def _read(name: str, numbers: dict[str, np.ndarray], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    reader = Reader.__new__(Reader)  # of no folder
    reader.facts, reader.arrays, reader.networks = {"head": name}, numbers, {}
    found: np.ndarray = reader._pairs(reader._ready(a), reader._ready(b))
    return found


def _pair(n: int, dim: int) -> tuple[Tensor, Tensor]:
    z = torch.linspace(-1, 1, 2 * n * dim).sin().view(2, n, dim)
    return z[0], z[1]


def _onnx(
    module: nn.Module, given: tuple[Tensor, ...], names: tuple[str, ...], what: str, name: str
) -> bytes:
    """Return a module as ONNX for batches of any size.

    Where torch cannot convert it, it may once its batch normalisations are replaced: torch 2.6
    fails at them beside the newest onnxscript.
    """
    module = module.eval()
    try:
        return _converted(module, given, names)
    except Exception as error:  # of a network anything can fail
        with suppress(Exception):
            if with_affine_norms(module):
                return _converted(module, given, names)
        raise InvalidParameterError(
            f"{what} {name} cannot be written as ONNX: {type(error).__name__}: {first_line(error)}"
        ) from error


def _converted(module: nn.Module, given: tuple[Tensor, ...], names: tuple[str, ...]) -> bytes:
    # Of a pair both are as many, which is found out.
    batch = torch.export.Dim.AUTO if len(given) > 1 else torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            given,
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in given),
            input_names=list(names),
            verbose=False,
        )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def _examples(shape: Shape, n: int) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def _run(data: bytes, given: Mapping[str, Tensor], what: str, name: str) -> np.ndarray:
    feed = {key: value.numpy() for key, value in given.items()}
    try:
        found: np.ndarray = _session(data).run(None, feed)[0]
    except Exception as error:  # onnxruntime has many of its own
        n = len(next(iter(feed.values())))
        raise InvalidParameterError(
            f"{what} {name} cannot be run as ONNX on a batch of {n}: {error}"
        ) from error
    return found


def _check_close(found: np.ndarray, own: Tensor, what: str, name: str) -> None:
    wanted = own.cpu().numpy()
    if found.shape != wanted.shape or not np.allclose(found, wanted, _TOLERANCE, _TOLERANCE):
        raise InvalidParameterError(
            f"{what} {name} gives other numbers as ONNX: nothing that is random or keeps state in "
            "eval() mode can be exported."
        )


def check_packages() -> None:
    """Raise `PluginImportError` unless what writes and runs ONNX is installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ImportError as error:
            raise PluginImportError(
                f'export needs {name}: pip install "siamesekit[export]".'
            ) from error


def _session(data: bytes) -> Any:
    from onnxruntime import InferenceSession

    return InferenceSession(data, providers=["CPUExecutionProvider"])


# -- the folder -------------------------------------------------------------------------------


def _write(
    path: Path, facts: dict[str, Any], contents: Mapping[str, tuple[bytes, str]], card: str
) -> None:
    folder = Path(os.path.realpath(path))
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        _refuse_foreign(path)  # now that nobody else writes
        mode, before = mode_of(folder / _FACTS), _files_of(folder)
        entries = {}
        for stem, (data, suffix) in contents.items():
            digest = hashlib.sha256(data).hexdigest()
            entries[stem] = {"file": f"{stem}-{digest[:16]}.{suffix}", "sha256": digest}
            write_whole(folder / str(entries[stem]["file"]), data, mode)
        source = Path(__file__).with_name("_reader.py").read_bytes()
        write_whole(folder / _READER, source, mode)
        write_whole(folder / _CARD, card.encode(), mode)
        text = json.dumps(facts | {"files": entries}, indent=1, allow_nan=False)
        sync_folder(folder)
        write_whole(folder / _FACTS, text.encode(), mode)
        sync_folder(folder)
        for name in before - {str(entry["file"]) for entry in entries.values()}:
            with suppress(OSError):
                os.unlink(folder / name)


def _refuse_foreign(path: Path) -> None:
    """Raise an error unless the folder is new, empty, or one that was exported to."""
    folder = Path(os.path.realpath(path))
    what = "is a file"
    if folder.is_dir() or not os.path.lexists(folder):
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        if not names or _files_of(folder):
            return
        what = f"holds {names[0]!r} and no exported model"
    raise InvalidParameterError(
        f"folder must be new, empty or one exported to before; {path} is none: it {what}."
    )


def _files_of(folder: Path) -> set[str]:
    """Return the names of the files that an exported folder refers to; none of another."""
    try:
        found = json.loads(read_bounded(folder / _FACTS, _MOST_TEXT))
        names = {str(entry["file"]) for entry in found["files"].values()}
        ours = type(found["format"]) is int and isinstance(found["siamesekit"], str)
        return {name for name in names if Path(name).name == name} if ours else set()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return set()


def _card(estimator: Any, facts: Mapping[str, Any]) -> str:
    kind, low, high = facts["input_kind"]
    trained = estimator.trained_classes_
    known = "not recorded" if trained is None else f"{len(trained)}"
    head = type(estimator.head_).__name__
    slope, intercept = facts["calibration"]
    least = "none" if facts["threshold"] is None else f"{facts['threshold']:.6g}"
    return f"""# {facts["estimator"]}, exported by siamesekit {facts["siamesekit"]}

`from reader import Reader; Reader("this folder").predict(X)`, with NumPy and onnxruntime alone.

| | |
| --- | --- |
| items | shape {tuple(facts["input_shape"])}, {kind}, {low:g} to {high:g} in training |
| embedding | {estimator.embedding_size_} numbers, backbone {type(estimator.backbone_).__name__} |
| head | {head}, higher = more alike |
| classes trained on | {known} |
| classes enrolled | {len(facts["classes"]["values"])}, examples by {facts["aggregate"]} |
| probability of *same* | sigmoid({slope:.6g} score + {intercept:.6g}) |
| fitted to | {facts["calibration_source"]} |
| threshold | {least}{facts.get("promise", "")} |

Answers are those of the estimator as it was, to 1e-4; all classes are compared, whatever index the
estimator has. No one is enrolled or forgotten here: export again.
"""
