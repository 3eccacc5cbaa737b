"""Losses that charge each pair by itself."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from siamesekit._checks import check_flag
from siamesekit._scores import in_float32, shown
from siamesekit._types import Pairs, Triplets, Tuples
from siamesekit.errors import InvalidDataError
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.rows import RowLoss, Share

__all__ = ["PairLoss"]


class PairLoss(RowLoss):
    """Charges pairs of items for being the same or different; subclasses write `charges`.

    Without a miner a batch is charged for all of its pairs ``i < j``, and some rows of it for the
    pairs of each of their items with every other, so that over blocks of rows a pair counts twice:
    the scores must be symmetric. Of triplets, each pair (a, p) or (a, n) that occurs in them counts
    once: of a batch in either order, of some rows with the anchor first.

    Parameters
    ----------
    balance : bool
        Give the same and the different pairs the same total weight. Of all pairs of a batch, most
        are different: 19 in 20 and more in a batch of 20 classes. A kind that is absent weighs
        nothing.
    """

    # A pair that was chosen from both of its ends counts once, and who sees one end knows not.
    splits_choices: ClassVar[bool] = False

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
            If the shapes or values are not as said.
        """
        return self.pair_share(scores, same).mean()

    def pair_share(self, scores: Tensor, same: Tensor, numbers: Tensor | None = None) -> Share:
        """Return what some of a batch's pairs add to its loss; parameters as of `pair_loss`.

        Parameters
        ----------
        scores, same : Tensor, shape (n,)
        numbers : Tensor of int64, shape (2,), optional
            Of different and of same pairs in the whole batch, for `balance`; those given by
            default.

        Returns
        -------
        Share
        """
        _check_pairs(scores, same)
        return self._share(in_float32(scores), same.bool(), numbers)

    def charge_rows(  # noqa: D102
        self, scores: Tensor, labels: Tensor, tuples: Tuples | None, start: int
    ) -> Share:
        b = len(labels)
        whole = len(scores) == b
        if tuples is None:
            i, j = _every_pair(b, labels.device) if whole else _pairs_of_rows(scores, start)
        else:
            i, j = _distinct(tuples, b, whole) if isinstance(tuples, Triplets) else tuples
        numbers = _kinds(labels) if self.balance and tuples is None and not whole else None
        return self._share(scores[i - start, j], labels[i] == labels[j], numbers)

    def _share(self, scores: Tensor, same: Tensor, numbers: Tensor | None) -> Share:
        """Return sum and weight of the charges of pairs.

        Parameters
        ----------
        scores : Tensor of float32 or float64, shape (n,)
        same : Tensor of bool, shape (n,)
        numbers : Tensor, shape (2,), optional
            Of different and of same pairs in the whole batch, for `balance`; the given ones by
            default.
        """
        number = torch.full((), len(scores), device=scores.device)
        if not len(scores):
            return Share(differentiable_zero(scores), number)
        charges = self.charges(scores, same.to(scores.dtype))
        if not self.balance:
            return Share(charges.sum(), number)
        if numbers is None:
            numbers = torch.stack([(~same).sum(), same.sum()])
        weights = (1 / numbers.clamp(min=1).to(scores.dtype))[same.long()]
        return Share((weights * charges).sum(), weights.sum())


def _check_pairs(scores: object, same: object) -> None:
    if not isinstance(scores, Tensor) or not isinstance(same, Tensor):
        raise InvalidDataError(
            f"scores and same must be tensors; got {shown(scores)} and {shown(same)}."
        )
    if scores.ndim != 1 or scores.shape != same.shape:
        raise InvalidDataError(
            "scores and same must be of one shape (n,); "
            f"got {tuple(scores.shape)} and {tuple(same.shape)}."
        )
    if not scores.is_floating_point():
        raise InvalidDataError(f"scores must be of float; got {shown(scores)}.")
    # The training line's own are bool, and so cost no look at their values.
    if same.dtype != torch.bool and not ((same == 0) | (same == 1)).all():
        odd = same[(same != 0) & (same != 1)][0].item()
        raise InvalidDataError(f"same must hold 1 (same class) and 0 (another); got {odd}.")


def _kinds(labels: Tensor) -> Tensor:
    """Return how many of a batch's pairs are different and same, each counted in both orders."""
    sizes = torch.unique(labels, return_counts=True)[1]
    same = (sizes * (sizes - 1)).sum()
    return torch.stack([len(labels) * (len(labels) - 1) - same, same])


def _every_pair(b: int, device: torch.device) -> Pairs:
    i, j = torch.triu_indices(b, b, offset=1, device=device)
    return Pairs(i, j)


def _pairs_of_rows(scores: Tensor, start: int) -> Pairs:
    r, b = scores.shape
    i = torch.arange(start, start + r, device=scores.device)[:, None].expand(r, max(0, b - 1))
    j = torch.arange(max(0, b - 1), device=scores.device).expand(r, -1)
    # The item itself is passed over.
    j = j + (j >= i)
    return Pairs(i.reshape(-1), j.reshape(-1))


def _distinct(triplets: Triplets, b: int, whole: bool) -> Pairs:
    i, j = triplets.a.repeat(2), torch.cat([triplets.p, triplets.n])
    if whole:
        i, j = torch.minimum(i, j), torch.maximum(i, j)
    once: Tensor = torch.unique(i * b + j)
    return Pairs(once // b, once % b)
