"""What every miner on scores does with its inputs."""

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["as_distances"]


def as_distances(scores: Tensor, labels: Tensor) -> Tensor:
    """Return minus the scores, without a graph, in float32 (in float64 if they are).

    Raises
    ------
    InvalidDataError
        Unless `scores` is (b, b) of float and `labels` is (b,).
    """
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
    return -scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
