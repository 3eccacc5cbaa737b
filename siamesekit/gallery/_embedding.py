"""Embeddings that a gallery is asked about: given as they are, or made of items."""

import copy
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import shown
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.training.fingerprint import digest

__all__ = ["Embedder", "Embeds", "as_vectors"]


@runtime_checkable
class Embeds(Protocol):
    """Whatever embeds items: a fitted estimator of this package, a pipeline of scikit-learn."""

    def transform(self, X: Any) -> Any:
        """Return embeddings of items, float of shape (n, d)."""


class Embedder:
    """An estimator as it is now: what it is fitted to later does not change it.

    Parameters
    ----------
    estimator : Embeds

    Raises
    ------
    InvalidParameterError
        If it has no ``transform``.
    """

    def __init__(self, estimator: Embeds) -> None:
        if isinstance(estimator, type) or not isinstance(estimator, Embeds):
            raise InvalidParameterError(
                "estimator must be fitted and have a method transform(X), which returns embeddings "
                f"of shape (n, d); got {shown(estimator)}."
            )
        self.estimator = _as_now(estimator)
        self.head = getattr(self.estimator, "head_", None)

    def embed(self, items: ArrayLike, name: str) -> Tensor:
        """Return embeddings of items, float32 of shape (n, d)."""
        vectors = as_vectors(self.estimator.transform(items), name)
        device = getattr(self.estimator, "device_", vectors.device)
        return vectors.to(device)

    def fingerprint(self) -> str | None:
        """Return what tells its network from others; None where there is none to be looked at."""
        network = getattr(self.estimator, "backbone_", None)
        if not isinstance(network, torch.nn.Module):
            return None
        beside = [getattr(self.estimator, f"{name}_", None) for name in _BESIDE]
        return digest([dict(network.state_dict()), *map(_plain, beside)])


def _as_now(estimator: Embeds) -> Embeds:
    """Return what a later fit of the estimator does not change, without what is enrolled in it."""
    # A fit puts other parts in the place of the old ones: embeddings of two networks would stand
    # side by side.
    if not hasattr(estimator, "gallery_"):
        return copy.copy(estimator)
    now: Embeds = type(estimator).__new__(type(estimator))
    vars(now).update({k: value for k, value in vars(estimator).items() if k != "gallery_"})
    return now


_BESIDE = ("standardizer", "input_kind")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def as_vectors(vectors: object, name: str) -> Tensor:
    """Return embeddings in float32, checked to be of shape (n, d).

    Raises
    ------
    InvalidDataError
        If they are no float tensor or array of that shape.
    """
    if isinstance(vectors, np.ndarray) and vectors.dtype.kind == "f":
        vectors = torch.from_numpy(np.ascontiguousarray(vectors))
    if not isinstance(vectors, Tensor) or not vectors.is_floating_point() or vectors.ndim != 2:
        got = (
            f"{vectors.dtype} of shape {tuple(vectors.shape)}"
            if isinstance(vectors, Tensor | np.ndarray)
            else f"a {type(vectors).__name__}"
        )
        raise InvalidDataError(f"{name} must be a float tensor of shape (n, d); got {got}.")
    return vectors.detach().float()
