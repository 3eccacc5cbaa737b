"""What a trial is worth when several classes score best."""

import torch
from torch import Tensor

__all__ = ["share_of_ties"]


def share_of_ties(scores: Tensor, answers: Tensor) -> Tensor:
    """Return what each trial is worth: 1/(number tied) where the answer is among the best, else 0.

    So a constant scorer gets exactly chance, wherever the answer stands. A NaN is never among the
    best.

    Parameters
    ----------
    scores : Tensor of float, shape (..., way)
    answers : Tensor of int64, shape (...)
        Column of the true class.

    Returns
    -------
    Tensor of float64, shape (...)
    """
    scores = torch.nan_to_num(scores, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    best = scores == scores.max(dim=-1, keepdim=True).values
    hit = best.gather(-1, answers.unsqueeze(-1)).squeeze(-1)
    return hit.double() / best.sum(-1)
