"""What a network returns, and the embeddings in it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["embeddings_in"]


def embeddings_in(output: Any, network: object, n_items: int) -> Tensor:
    """Return the embeddings in what `network` returned for `n_items` items, float32, (b, d).

    A tensor is taken as it is. Of what has a ``pooler_output`` (as key or attribute: outputs of
    ``transformers``) that one is taken; of other tuples, lists and mappings the first tensor (so
    the main output of Inception and GoogLeNet in training). The batch of a single item that
    ``squeeze()`` took off is put back.

    Parameters
    ----------
    output : Any
    network : object
        Named where the output is refused.
    n_items : int

    Raises
    ------
    InvalidDataError
        If there is no tensor in it, or the tensor is not of floats and of shape (n_items, d).
    """
    name = type(network).__name__
    embeddings = _tensor_in(output)
    if embeddings is None:
        raise InvalidDataError(
            f"backbone {name} must return embeddings of shape (b, d), alone or first in a tuple, "
            f"list or mapping; got {type(output).__name__}."
        )
    if n_items == 1 and embeddings.ndim == 1 and len(embeddings) > 1:
        embeddings = embeddings[None]
    if embeddings.ndim != 2 or embeddings.shape[0] != n_items or embeddings.shape[1] == 0:
        raise InvalidDataError(
            f"backbone {name} must return embeddings of shape (b, d); "
            f"for a batch of {n_items} it returned {tuple(embeddings.shape)}."
        )
    if embeddings.layout != torch.strided:
        raise InvalidDataError(
            f"backbone {name} must return dense embeddings; got {embeddings.layout}."
        )
    if not embeddings.is_floating_point():
        raise InvalidDataError(
            f"backbone {name} must return embeddings of real numbers; got {embeddings.dtype}."
        )
    return embeddings.to(torch.float32)


def _tensor_in(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        pooled, values = output.get("pooler_output"), list(output.values())
    else:
        pooled = getattr(output, "pooler_output", None)
        values = list(output) if isinstance(output, tuple | list) else []
    tensors = (value for value in (pooled, *values) if isinstance(value, Tensor))
    return next(tensors, None)
