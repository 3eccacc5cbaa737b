"""Embeddings and the scorer that compares them, made ready for an evaluation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from siamesekit import registry
from siamesekit._types import ArrayLike
from siamesekit.errors import InvalidDataError, InvalidParameterError

__all__ = ["Scorer", "as_vectors", "ready"]

Scorer = Callable[[Tensor, Tensor], Tensor]
"""From ``(m, d)`` and ``(n, d)`` to scores ``(m, n)``, higher = more alike: a head is one."""


def as_vectors(name: str, values: ArrayLike) -> Tensor:
    """Return embeddings, or whole items for a scorer that takes these, as a detached tensor.

    Raises
    ------
    InvalidDataError
        If they are not finite numbers of shape (n, d) or (n, ...), or there are none.
    """
    try:
        vectors = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(f"{name} must be an array of numbers: {error}.") from None
    if vectors.ndim < 2 or not vectors.numel():
        raise InvalidDataError(
            f"{name} must have shape (n, d), with n and d of at least 1; "
            f"got {tuple(vectors.shape)}."
        )
    if vectors.is_floating_point() and not bool(torch.isfinite(vectors).all()):
        raise InvalidDataError(f"{name} must be finite; some hold NaN or infinity.")
    return vectors


@contextmanager
def ready(scorer: Scorer | str) -> Iterator[Scorer]:
    """Give the scorer as a checked function that takes what `as_vectors` returns.

    A name stands for the fixed head of that name. A module is in ``eval()`` mode inside the block
    and as it was after it; what it is given is moved to its device and cast to its type.

    Raises
    ------
    InvalidParameterError
        If it is no callable, names a head that must be trained, or returns another shape than
        ``(m, n)``.
    """
    function = _fixed_head(scorer) if isinstance(scorer, str) else scorer
    if not callable(function):
        raise InvalidParameterError(
            f"scorer must be the name of a fixed head or a callable; got {scorer!r}."
        )
    weight = _first_weight(function)

    def score(a: Tensor, b: Tensor) -> Tensor:
        if isinstance(function, nn.Module):
            a, b = (_suit(x, weight) for x in (a, b))
        scores = torch.as_tensor(function(a, b))
        if scores.shape != (len(a), len(b)):
            raise InvalidParameterError(
                f"scorer must return scores of shape (m, n) = ({len(a)}, {len(b)}); "
                f"got {tuple(scores.shape)}."
            )
        return scores

    modules = list(function.modules()) if isinstance(function, nn.Module) else []
    were_training = [module.training for module in modules]
    try:
        if isinstance(function, nn.Module):
            function.eval()
        with torch.inference_mode():
            yield score
    finally:
        for module, was in zip(modules, were_training, strict=True):
            module.training = was


def _fixed_head(name: str) -> nn.Module:
    head: nn.Module = registry.create("heads", name)
    if getattr(head, "learned", True):
        raise InvalidParameterError(
            f"scorer must be the name of a fixed head; {name!r} has weights to learn: "
            "pass the trained head itself."
        )
    return head


def _first_weight(scorer: object) -> Tensor | None:
    return next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None


def _suit(x: Tensor, weight: Tensor | None) -> Tensor:
    if weight is not None:
        return x.to(weight.device, weight.dtype)
    # float64 stays; what a head cannot compute in well becomes float32.
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
