"""What every miner on scores does with its inputs."""

from torch import Tensor

from siamesekit._scores import check_scores, in_float32

__all__ = ["as_distances"]


def as_distances(scores: Tensor, labels: Tensor) -> Tensor:
    """Return minus the scores, without a graph, in float32 (in float64 if they are).

    Raises
    ------
    InvalidDataError
        Unless `scores` is (b, b) of float and `labels` is (b,).
    """
    check_scores(scores, labels)
    return -in_float32(scores.detach())
