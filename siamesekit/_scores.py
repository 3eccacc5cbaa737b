"""What losses and miners do with their inputs."""

from collections.abc import Sequence
from typing import Literal, TypeGuard

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._types import Pairs, Triplets
from siamesekit.errors import InvalidDataError

__all__ = [
    "check_embeddings",
    "check_scores",
    "check_tuples",
    "in_float32",
    "is_float_matrix",
    "shown",
]


def check_scores(
    scores: object,
    labels: object,
    start: int | None = None,
    kind: Literal["score", "distance"] = "score",
) -> None:
    """Raise an error unless scores and labels are those of a batch, or of some of its rows.

    Parameters
    ----------
    scores : Tensor of float, shape (b, b), or (r, b) with a `start`
    labels : Tensor of int, shape (b,)
    start : int, optional
        Position in the batch of the first row, at most ``b - r``. None wants all rows.
    kind : {"score", "distance"}
        What the matrix holds, for the message.

    Raises
    ------
    InvalidDataError
        If scores or labels are not as said, or the rows are not among the labels.
    InvalidParameterError
        If `start` is no integer of at least 0.
    """
    rows = "" if start is None else ", or some of its rows, (r, b)"
    name = "inputs" if kind == "score" else "distances"
    wanted = f"{name} must be a float {kind} matrix of shape (b, b){rows}"
    if not is_float_matrix(scores):
        raise InvalidDataError(f"{wanted}; got {shown(scores)}.")
    r, b = scores.shape
    # As many labels as rows: the scores are meant to be square.
    if r != b and (start is None or (isinstance(labels, Tensor) and labels.shape == (r,))):
        raise InvalidDataError(f"{wanted}; got {shown(scores)}.")
    _check_labels(labels, b, f"column of the {kind} matrix")
    if start is not None:
        check_integer("start", start, low=0)
        if start + r > b:
            raise InvalidDataError(
                f"start must leave room for the rows among the labels, at most {b} - {r}; "
                f"got {start}."
            )


def check_embeddings(embeddings: object, labels: object, start: int = 0) -> None:
    """Raise an error unless embeddings, labels and `start` are those of a batch.

    Parameters
    ----------
    embeddings : Tensor of float, shape (b, d)
    labels : Tensor of int, shape (b,)
    start : int
        In ``[0, b]``.

    Raises
    ------
    InvalidDataError
        If embeddings or labels are not as said.
    InvalidParameterError
        If `start` is no such integer.
    """
    if not is_float_matrix(embeddings):
        raise InvalidDataError(
            f"embeddings must be a float tensor of shape (b, d); got {shown(embeddings)}."
        )
    _check_labels(labels, len(embeddings), "embedding")
    check_integer("start", start, low=0, high=len(embeddings))


def check_tuples(tuples: object, size: int, start: int = 0, rows: int | None = None) -> None:
    """Raise `InvalidDataError` unless `tuples` is None or what a miner may choose.

    Parameters
    ----------
    tuples : Pairs or Triplets or None
    size : int
        Items in the batch.
    start, rows : int
        The first column must hold one of the rows ``start .. start + rows - 1``; all by default.
    """
    if tuples is None:
        return
    if not isinstance(tuples, Pairs | Triplets):
        raise InvalidDataError(f"tuples must be Pairs, Triplets or None; got {shown(tuples)}.")
    columns: Sequence[object] = tuples
    lengths = {len(x) if isinstance(x, Tensor) and x.ndim == 1 else -1 for x in columns}
    if any(not isinstance(x, Tensor) or x.dtype != torch.int64 for x in columns) or (
        len(lengths) > 1 or -1 in lengths
    ):
        listed = ", ".join(map(shown, columns))
        raise InvalidDataError(
            f"{type(tuples).__name__} must hold int64 tensors of one shape (k,); got {listed}."
        )
    end = size if rows is None else start + rows
    # Elsewhere reading a number back would wait for the device; there indexing finds it out.
    if tuples[0].device.type == "cpu" and len(tuples[0]):
        _check_range(type(tuples)._fields[0], tuples[0], start, end)
        for name, column in zip(type(tuples)._fields[1:], tuples[1:], strict=True):
            _check_range(name, column, 0, size)


def in_float32(scores: Tensor) -> Tensor:
    """Return `scores` in float32, or in float64 if they are."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def shown(value: object) -> str:
    """Return what an error says of a value: a tensor's type and shape, or what else it is."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    return kind if shape is None else f"{kind} of shape {shape}"


def is_float_matrix(value: object) -> TypeGuard[Tensor]:
    """Return whether `value` is a float tensor of two dimensions."""
    return isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()


def _check_labels(labels: object, size: int, of_what: str) -> None:
    if isinstance(labels, Tensor) and labels.shape != (size,):
        raise InvalidDataError(
            f"labels must have shape ({size},), one for each {of_what}; got {tuple(labels.shape)}."
        )
    if not _is_whole(labels):
        raise InvalidDataError(
            f"labels must be a tensor of whole numbers of shape ({size},); got {shown(labels)}."
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, Tensor) and not (
        value.is_floating_point() or value.is_complex() or value.dtype == torch.bool
    )


def _check_range(name: str, positions: Tensor, low: int, end: int) -> None:
    first, last = (int(x) for x in torch.aminmax(positions))
    if first < low or last >= end:
        raise InvalidDataError(
            f"tuples must hold positions of the batch: {name} in [{low}, {end - 1}]; "
            f"got {first if first < low else last}."
        )
