"""Losses that charge each pair by itself."""

from abc import abstractmethod

import torch
from torch import Tensor

from siamesekit._checks import check_flag
from siamesekit._scores import check_scores, in_float32
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.errors import InvalidDataError
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.base import Loss

__all__ = ["PairLoss"]


class PairLoss(Loss):
    """Charges pairs of items for being the same or different; subclasses write `charges`.

    Parameters
    ----------
    balance : bool
        Give the same and the different pairs the same total weight. Of all pairs of a batch, most
        are different: 19 in 20 and more in a batch of 20 classes. A kind that is absent weighs
        nothing.
    """

    def __init__(self, balance: bool = False) -> None:
        super().__init__()
        check_flag("balance", balance)
        self.balance = balance

    @abstractmethod
    def charges(self, scores: Tensor, same: Tensor) -> Tensor:
        """Return the charge of each pair.

        Parameters
        ----------
        scores : Tensor of float, shape (n,)
        same : Tensor of float, shape (n,)
            1 where a pair is of one class, 0 where it is not.

        Returns
        -------
        Tensor of float, shape (n,)
        """

    def pair_loss(self, scores: Tensor, same: Tensor) -> Tensor:
        """Return the mean charge of pairs.

        Parameters
        ----------
        scores : Tensor of float, shape (n,)
        same : Tensor of float, int or bool, shape (n,)
            1 where a pair is of one class, 0 where it is not.

        Returns
        -------
        Tensor of float, shape ()

        Raises
        ------
        InvalidDataError
            If the shapes are not as said.
        """
        if scores.ndim != 1 or scores.shape != same.shape:
            raise InvalidDataError(
                "scores and same must be of one shape (n,); "
                f"got {tuple(scores.shape)} and {tuple(same.shape)}."
            )
        if not len(scores):
            return differentiable_zero(scores)
        scores = in_float32(scores)
        same = same.to(scores.dtype)
        charges = self.charges(scores, same)
        if not self.balance:
            return charges.mean()
        different = 1 - same
        weights = same / same.sum().clamp(min=1) + different / different.sum().clamp(min=1)
        return (weights * charges).sum() / weights.sum()

    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        """Return the mean charge of the chosen pairs.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b)
            Scores; symmetric.
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets, optional
            All pairs ``i < j`` by default. Of triplets, each pair (a, p) or (a, n) that occurs in
            them counts once.

        Returns
        -------
        Tensor of float, shape ()

        Raises
        ------
        InvalidDataError
            If the shapes are not as said.
        """
        check_scores(inputs, labels)
        i, j = _pairs(tuples, len(labels), inputs.device)
        return self.pair_loss(inputs[i, j], labels[i] == labels[j])


def _pairs(tuples: Tuples | None, b: int, device: torch.device) -> Pairs:
    if tuples is None:
        i, j = torch.triu_indices(b, b, offset=1, device=device)
        return Pairs(i, j)
    if isinstance(tuples, Triplets):
        i, j = tuples.a.repeat(2), torch.cat([tuples.p, tuples.n])
        unordered = torch.minimum(i, j) * b + torch.maximum(i, j)
        once: Tensor = torch.unique(unordered)
        return Pairs(once // b, once % b)
    return tuples
