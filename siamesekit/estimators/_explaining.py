"""Single items, and what stands in their place where a part is hidden."""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_choice, check_number, shown
from siamesekit._types import ItemsLike
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.evaluation import Explanation
from siamesekit.evaluation._inputs import as_array
from siamesekit.evaluation.occlusion import blurred, explain_pair
from siamesekit.training import embed_items
from siamesekit.training.items import as_float, as_protocol
from siamesekit.training.opening import is_stream

__all__ = ["explain"]

_BLUR = 7


def explain(
    estimator: Any,
    a: ItemsLike,
    b: ItemsLike,
    patch: int | None,
    stride: int | None,
    fill: str | float,
) -> Explanation:
    """Return the occlusion maps of two items; see `SiameseEstimator.explain`."""
    first, second = (_one(estimator, item, name) for item, name in ((a, "a"), (b, "b")))

    def embed(items: Tensor) -> Tensor:
        # In full precision, whatever the estimator computes in: a map is made of differences.
        return embed_items(estimator.backbone_, items, estimator.device_, torch.float32)

    return explain_pair(
        embed,
        estimator.head_.pairs,
        first,
        second,
        _hidden(estimator, first, fill),
        _hidden(estimator, second, fill),
        patch,
        stride,
    )


def _one(estimator: Any, item: ItemsLike, name: str) -> Tensor:
    """Return one item as the network takes it, in floats, shape (f,) or (c, h, w)."""
    rank = 1 + len(estimator.input_shape_)
    if isinstance(item, str | os.PathLike):
        item = [item]
    elif not is_stream(item) and getattr(item, "ndim", None) != rank:
        array: Any = item if isinstance(item, Tensor) else as_array(item, name)  # type: ignore[arg-type]
        if array.ndim == 0:
            raise InvalidDataError(
                f"{name} must be an item of shape {estimator.input_shape_}; got {shown(item)}."
            )
        item = array if array.ndim == rank else array[None]
    items = estimator._check_items(item, name)
    if len(items) != 1:
        raise InvalidDataError(f"{name} must be one item; got {len(items)}.")
    return as_float(as_protocol(items).take(torch.zeros(1, dtype=torch.int64)))[0]


def _hidden(estimator: Any, item: Tensor, fill: str | float) -> Tensor:
    """Return what is seen in place of an item's hidden parts, of its shape."""
    if not isinstance(fill, str):
        value = check_number("fill", fill)
        return _one(estimator, np.full(tuple(item.shape), value), "fill")
    check_choice("fill", fill, ("mean", "blur"))
    if item.ndim == 1:
        if fill == "blur" or estimator.standardizer_ is None:
            raise InvalidParameterError(
                "fill must be a number of vectors"
                + (" that are not standardised" if fill == "mean" else ", or 'mean'")
                + f"; got {fill!r}."
            )
        # Standardised features have the mean 0 in training.
        return torch.zeros_like(item)
    if fill == "mean":
        return item.mean((1, 2), keepdim=True).expand_as(item)
    return blurred(item, max(1, min(item.shape[1:]) // _BLUR))
