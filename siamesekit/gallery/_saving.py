"""A gallery as one file: whole at every moment, and never written over another's work.

The file holds the examples that are enrolled, what compares them, and nothing of who was forgotten.
It begins with a digest of all else. A gallery remembers the digest of the file that it was loaded
from or saved to; where another one stands in its place, somebody else saved meanwhile. Writers hold
the folder against one another, so that nothing comes between the look and the writing.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamesekit._allowance import allowance
from siamesekit._copying import load_state
from siamesekit._files import alone_in, is_stale, mode_of, sync_folder, write_whole
from siamesekit._random import drawing_from
from siamesekit._types import AGGREGATES, Aggregate, IntArray
from siamesekit._values import CannotWriteError, decode, decode_labels, encode, encode_labels
from siamesekit.errors import (
    GalleryChangedError,
    InvalidParameterError,
    ModelNotWrittenError,
    SavedModelError,
)
from siamesekit.gallery._background import Background
from siamesekit.gallery._snapshot import Growth, Snapshot
from siamesekit.gallery._storage import storage_named
from siamesekit.gallery.compact import Projection, projection_of, projection_state
from siamesekit.gallery.indexes import Index, _container
from siamesekit.heads import Head

__all__ = ["Origin", "Saved", "head_of", "index_of", "read", "write"]

_KIND, _WHAT = "gallery", "a gallery"
# A head made by what a file says may take this much, or a few times what its weights take.
_LEAST_ALLOWANCE, _TIMES = 2**28, 8


class Origin(NamedTuple):
    """The file in which a gallery stands as it was saved last.

    Attributes
    ----------
    path : str
        Without links.
    digest : bytes
    """

    path: str
    digest: bytes


class Saved(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    snapshot : Snapshot
    aggregate : {"prototype", "mean", "max"}
    head : dict
        As json has it; see `head_of`.
    weights : dict from name to Tensor
        Of the head.
    projection : Projection or None
    model : str or None
        Fingerprint of the network that made the embeddings.
    background : Background or None
        People who are not enrolled.
    trained : ndarray, shape (c,)
        Classes that training saw.
    index : object
        As json has it; see `index_of`.
    n_candidates : int
    """

    snapshot: Snapshot
    aggregate: Aggregate
    head: dict[str, Any]
    weights: dict[str, Tensor]
    projection: Projection | None
    model: str | None
    background: Background | None
    trained: np.ndarray
    index: Any
    n_candidates: int


# -- writing ----------------------------------------------------------------------------------


def write(
    path: Path,
    now: Snapshot,
    head: Head,
    aggregate: Aggregate,
    projection: Projection | None,
    model: str | None,
    background: Background | None,
    trained: np.ndarray,
    origin: Origin | None,
    overwrite: bool,
    search: Mapping[str, Any],
) -> Origin:
    """Write a gallery; return where it stands now.

    Raises
    ------
    GalleryChangedError
        If another gallery stands there than that of `origin`, unless `overwrite`.
    InvalidParameterError
        If something stands there that is no gallery, or head or labels cannot be written.
    ModelNotWrittenError
        If the disk is full, or the folder may not be written to.
    """
    data = _packed(now, head, aggregate, projection, model, background, trained, search)
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(target.parent) as alone:
            _check_untouched(target, path, origin, overwrite)
            _sweep(target, alone)
            write_whole(target, data, mode_of(target))
            sync_folder(target.parent)
    except (GalleryChangedError, InvalidParameterError):
        raise
    except OSError as error:
        raise ModelNotWrittenError(
            error.errno, f"{path} cannot be written, what was saved before is kept: {error}"
        ) from error
    return Origin(str(target), data[:32])


def _packed(
    now: Snapshot,
    head: Head,
    aggregate: Aggregate,
    projection: Projection | None,
    model: str | None,
    background: Background | None,
    trained: np.ndarray,
    search: Mapping[str, Any],
) -> bytes:
    facts, arrays = _head_state(head, now)
    kept = Growth(now).now  # without who was forgotten
    facts |= {
        "siamesekit": version("siamesekit"),
        "aggregate": aggregate,
        "next_id": kept.next_id,
        "model": model,
        "storage": kept.storage.name,
        "index": _encoded(search["index"]),
        "n_candidates": search["n_candidates"],
    }
    if projection is not None:
        own, more = projection_state(projection)
        facts, arrays = facts | own, arrays | more
    arrays |= {"vectors": kept.all_rows.cpu().numpy(), "ids": kept.all_ids}
    arrays |= _labels_state("labels", kept.names, kept.codes)
    if background is not None:
        vectors, labels, groups, searching = background
        names, codes = np.unique(labels, return_inverse=True)
        arrays |= {"background": vectors.cpu().numpy()}
        arrays |= _labels_state("background.labels", names, codes)
        if groups is not None:
            arrays |= {"background.groups": groups}
        if searching is not None:
            arrays |= {"background.searching": searching.astype(np.int64)}
    arrays |= _labels_state("trained", trained, np.arange(len(trained)))
    return _container.pack(_KIND, facts, arrays)


def _labels_state(name: str, names: np.ndarray, codes: IntArray) -> dict[str, np.ndarray]:
    """Return classes and the class of each example; as bytes, since a header may not be long."""
    try:
        text = json.dumps(encode_labels(names), allow_nan=False).encode("ascii")
    except CannotWriteError as error:
        raise InvalidParameterError(f"labels must be such as can be saved: {error}.") from error
    return {name: np.frombuffer(text, np.uint8), f"{name}.codes": codes.astype(np.int64)}


def _head_state(head: Head, now: Snapshot) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    entry = _encoded(head)
    dim = getattr(head, "dim", None) or now.dim
    state = {name: value for name, value in head.state_dict().items() if isinstance(value, Tensor)}
    weights = {f"head.{name}": value.detach().cpu().numpy() for name, value in state.items()}
    return {"head": entry, "dim": int(dim)}, weights


def _encoded(part: object) -> Any:
    """Return a part as json has it, or that it is left out, having no name in the registry."""
    try:
        return encode(part)
    except CannotWriteError:
        return {"$omitted": f"{type(part).__module__}.{type(part).__qualname__}"}


def _check_untouched(target: Path, path: Path, origin: Origin | None, overwrite: bool) -> None:
    """Raise an error if something stands there that is not what was left there."""
    if not os.path.lexists(target):
        return
    found = _container.content_of(target) if target.is_file() else None
    if found is None or found.kind != _KIND:
        raise InvalidParameterError(
            f"path must be new or a gallery saved before; {path} holds something else."
        )
    if not overwrite and origin != Origin(str(target), found.digest):
        since = "was changed since" if origin and origin.path == str(target) else "is not where"
        raise GalleryChangedError(
            f"{path} {since} this gallery was loaded or saved: another one stands there. Load it "
            "and enroll again what is new, save this one elsewhere, or give overwrite=True to "
            "lose the other."
        )


def _sweep(target: Path, alone: bool) -> None:
    """Remove what killed saves of this file left behind."""
    partial = re.compile(rf"\.{re.escape(target.name)}-[0-9a-f]{{16}}\.partial")
    for file in target.parent.iterdir():
        if partial.fullmatch(file.name):
            with suppress(OSError):
                if alone or is_stale(file):
                    file.unlink()


# -- reading ----------------------------------------------------------------------------------


def read(path: Path) -> tuple[Saved, Origin]:
    """Return what a file holds.

    Raises
    ------
    SavedModelError
        If it is missing, damaged or no gallery.
    """
    if not path.is_file():
        found = "it is no file" if path.exists() else "there is nothing"
        raise SavedModelError(f"{path} cannot be loaded: {found}.")
    facts, arrays, digest = _container.unpack(path, _KIND, _WHAT)
    try:
        saved = _saved(facts, arrays)
    except (KeyError, TypeError, ValueError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise SavedModelError(f"{path} cannot be loaded: {said}") from error
    return saved, Origin(os.path.realpath(path), digest)


def _saved(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Saved:
    aggregate, model = facts["aggregate"], facts["model"]
    if aggregate not in AGGREGATES or not isinstance(model, str | None):
        raise SavedModelError("its aggregate or its model is none.")
    weights = {
        name.removeprefix("head."): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith("head.")
    }
    background = None
    if "background" in arrays:
        vectors = _vectors(arrays["background"])
        labels = _labels("background.labels", arrays, len(vectors))
        groups, searching = (
            _numbers(f"background.{name}", arrays, len(vectors)) for name in ("groups", "searching")
        )
        searches = None if searching is None else searching > 0
        background = Background(vectors, labels, groups, searches)
    trained = _labels("trained", arrays, len(arrays["trained.codes"]))
    head = {"entry": facts["head"], "dim": facts["dim"]}
    index, n = facts.get("index"), facts.get("n_candidates", 1)
    if type(n) is not int or n < 1:
        raise SavedModelError("its n_candidates is none.")
    projection = projection_of(facts, arrays)
    snapshot = _snapshot(facts, arrays)
    people = background, trained
    return Saved(snapshot, aggregate, head, weights, projection, model, *people, index, n)


def _snapshot(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Snapshot:
    storage, ids, next_id = storage_named(facts["storage"]), arrays["ids"], facts["next_id"]
    rows = torch.from_numpy(arrays["vectors"].copy())
    if rows.ndim != 2 or rows.dtype != storage.dtype:
        raise SavedModelError("it holds no embeddings.")
    if not bool(storage.unpack(rows).isfinite().all()):
        raise SavedModelError("its embeddings are not finite.")
    labels = _labels("labels", arrays, len(rows))
    if type(next_id) is not int or not 0 <= next_id <= 2**63:
        raise SavedModelError("its next_id is none.")
    known = ids.dtype == np.int64 and ids.shape == (len(rows),)
    if not known or (len(ids) and int(ids.min()) < 0) or len(np.unique(ids)) < len(ids):
        raise SavedModelError("its ids are not one an example.")
    return Snapshot.of(rows, labels, ids, next_id, storage)


def _vectors(array: np.ndarray) -> Tensor:
    if array.ndim != 2 or array.dtype != np.float32 or not np.isfinite(array).all():
        raise SavedModelError("it holds no embeddings.")
    return torch.from_numpy(array.copy() if not array.flags.writeable else array)


def _numbers(name: str, arrays: dict[str, np.ndarray], n: int) -> IntArray | None:
    """Return a number for each item; None where there are none."""
    numbers = arrays.get(name)
    if numbers is not None and (numbers.dtype != np.int64 or numbers.shape != (n,)):
        raise SavedModelError(f"its {name} are not one an item.")
    return numbers


def _labels(name: str, arrays: dict[str, np.ndarray], n: int) -> np.ndarray:
    names = decode_labels(json.loads(arrays[name].tobytes()))
    codes = arrays[f"{name}.codes"]
    if codes.dtype != np.int64 or codes.shape != (n,):
        raise SavedModelError("its labels are not one an example.")
    if n and not 0 <= int(codes.min()) <= int(codes.max()) < len(names):
        raise SavedModelError("its labels are not those of its classes.")
    labels: np.ndarray = names[codes]
    return labels


def head_of(saved: Saved) -> Head:
    """Return the head that a file names, with its weights.

    Raises
    ------
    SavedModelError
        If it has no name in the registry, or its weights do not fit.
    """
    entry, dim = saved.head["entry"], saved.head["dim"]
    if not isinstance(entry, dict) or "$omitted" in entry:
        raise SavedModelError(
            "its head has no name in the registry, or a parameter that json cannot hold; pass it "
            "as load(path, head=...)."
        )
    size = sum(value.nbytes for value in saved.weights.values())
    try:
        with allowance(max(_LEAST_ALLOWANCE, _TIMES * size)), drawing_from(0):
            head = decode(entry)
            if not isinstance(head, Head):
                raise SavedModelError("its head is none.")
            if dim:
                head.build(dim)
        load_state(head, saved.weights)
    except SavedModelError:
        raise
    except Exception as error:  # what a file says of a part's sizes may lead to any
        raise SavedModelError(f"its head cannot be made again: {error}") from error
    return head.eval()


def index_of(saved: Saved) -> Index | type[Index] | None:
    """Return the index that a file names, empty.

    Raises
    ------
    SavedModelError
        If it has no name in the registry, or keeps its vectors in a store.
    """
    entry = saved.index
    if isinstance(entry, dict) and "$omitted" in entry:
        raise SavedModelError(
            "its index has no name in the registry, or a parameter that json cannot hold; pass it "
            "as load(path, index=...)."
        )
    index = decode(entry)
    is_class = isinstance(index, type) and issubclass(index, Index)
    if index is not None and not is_class and not isinstance(index, Index):
        raise SavedModelError("its index is none.")
    if isinstance(index, Index) and index.is_elsewhere:
        raise SavedModelError(
            f"its index was a {type(index).__name__}; pass it as load(path, index=...), for no "
            "file is to say where to connect to, or index=None to compare with all classes."
        )
    return index  # type: ignore[no-any-return]
