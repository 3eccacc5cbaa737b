"""What a trial is worth when several classes score best."""

import torch
from torch import Tensor

from siamesekit.errors import InvalidDataError

__all__ = ["share_of_ties"]


def share_of_ties(scores: Tensor, answers: Tensor) -> Tensor:
    """Return what each trial is worth: 1/(number tied) where the answer is among the best, else 0.

    So a constant scorer gets exactly chance, wherever the answer stands. A NaN is never among the
    best.

    Parameters
    ----------
    scores : Tensor of float, shape (..., way)
    answers : Tensor of int64, shape (...)
        Column of the true class, in ``[0, way)``.

    Returns
    -------
    Tensor of float64, shape (...), on the CPU

    Raises
    ------
    InvalidDataError
        If they are no tensors of these shapes, or an answer is no column.
    """
    _check(scores, answers)
    known = ~torch.isnan(scores)
    best = known & (scores == scores.masked_fill(~known, -torch.inf).amax(dim=-1, keepdim=True))
    hit = best.gather(-1, answers.long().unsqueeze(-1)).squeeze(-1)
    # Where nothing is known nothing is best.
    # Not every device has the wide type.
    return hit.cpu().double() / best.sum(-1).clamp(min=1).cpu()


def _check(scores: Tensor, answers: Tensor) -> None:
    for name, values in {"scores": scores, "answers": answers}.items():
        if not isinstance(values, Tensor):
            raise InvalidDataError(f"{name} must be a tensor; got {type(values).__name__}.")
    if not scores.is_floating_point() or scores.ndim == 0 or scores.shape[-1] == 0:
        raise InvalidDataError(
            "scores must be floats of shape (..., way), way at least 1; "
            f"got {scores.dtype} of shape {tuple(scores.shape)}."
        )
    way = scores.shape[-1]
    whole = answers.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if answers.shape != scores.shape[:-1] or not whole:
        raise InvalidDataError(
            f"answers must be integers of shape {tuple(scores.shape[:-1])}, one a trial; "
            f"got {answers.dtype} of shape {tuple(answers.shape)}."
        )
    if bool(((answers < 0) | (answers >= way)).any()):
        wrong = answers[(answers < 0) | (answers >= way)][0]
        raise InvalidDataError(f"answers must lie in [0, {way - 1}]; got {int(wrong)}.")
