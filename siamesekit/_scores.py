"""What losses and miners on scores do with their inputs."""

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["check_scores", "in_float32"]


def check_scores(scores: Tensor, labels: Tensor) -> None:
    """Raise `InvalidDataError` unless `scores` is (b, b) of float and `labels` is (b,)."""
    if scores.ndim != 2 or len(scores) != scores.shape[1] or not scores.is_floating_point():
        raise InvalidDataError(
            "inputs must be a float score matrix of shape (b, b); "
            f"got {scores.dtype} of shape {tuple(scores.shape)}."
        )
    if labels.shape != scores.shape[:1]:
        raise InvalidDataError(
            f"labels must have shape ({len(scores)},), one for each row of the scores; "
            f"got {tuple(labels.shape)}."
        )


def in_float32(scores: Tensor) -> Tensor:
    """Return `scores` in float32, or in float64 if they are."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
