"""Losses on scores, which charge the anchors of some rows of a batch."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from siamesekit._checks import check_integer
from siamesekit._scores import check_scores, check_tuples, in_float32
from siamesekit._types import Tuples
from siamesekit.losses._inputs import unless_nan
from siamesekit.losses.base import Loss

__all__ = ["RowLoss", "Share"]


class Share(NamedTuple):
    """What some rows add to the loss of a batch.

    The loss of the batch is ``sum(total) / sum(weight)`` over blocks of rows that make it up. So
    ranks that hold some rows each exchange their weights, two numbers without a gradient, and
    every rank's gradient is that of the whole batch's loss.

    Attributes
    ----------
    total : Tensor of float, shape ()
        Sum of the charges of these rows, each by its weight.
    weight : Tensor, shape ()
        Sum of the weights, without a gradient; 0 where nothing is charged.
    counted : tuple of two Tensors of int64, shape (), or None
        How many triplets cost something, and how many there are, where the loss has counted all
        of these rows: no one need count them again.
    """

    total: Tensor
    weight: Tensor
    counted: tuple[Tensor, Tensor] | None = None

    def mean(self) -> Tensor:
        """Return the loss of these rows alone: the mean charge, or a differentiable 0."""
        return self.total / torch.where(self.weight > 0, self.weight, 1).to(self.total.dtype)


class RowLoss(Loss):
    """A loss whose charges belong to an anchor each, so that it can be given some rows alone.

    Subclasses write `charge_rows`.

    Attributes
    ----------
    splits_choices : bool
        Whether what a miner chose for a batch is charged alike when each of several processes sees
        only what was chosen for its own anchors.
    """

    splits_choices: ClassVar[bool] = True

    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        """Return the mean charge of the rows given.

        Parameters
        ----------
        inputs : Tensor of float, shape (r, b)
            Scores of the anchors ``start .. start + r - 1`` and every item of the batch; of a
            whole batch (b, b).
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets, optional
            What the miner chose for these anchors: positions in the batch, in the first column
            those of these rows. All there are by default.
        start : int
            Position of the first row in the batch.

        Returns
        -------
        Tensor of float, shape ()
            Not-a-number if any score is.

        Raises
        ------
        InvalidDataError
            If shapes, types or positions are not as said.
        InvalidParameterError
            If `tuples` are none that this loss takes.
        """
        return self.share(inputs, labels, tuples, start).mean()

    def share(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Share:
        """Return what the rows given add to the loss of the batch; parameters as of `forward`.

        Returns
        -------
        Share
        """
        check_integer("start", start, low=0)
        check_scores(inputs, labels, start)
        check_tuples(tuples, len(labels), start, len(inputs))
        share = self.charge_rows(in_float32(inputs), labels, tuples, start)
        return share._replace(total=unless_nan(share.total, inputs))

    @abstractmethod
    def charge_rows(
        self, scores: Tensor, labels: Tensor, tuples: Tuples | None, start: int
    ) -> Share:
        """Return sum and weight of the charges.

        Parameters
        ----------
        scores : Tensor of float32 or float64, shape (r, b)
            Checked, as are the others. What is not a number in them is seen to elsewhere.
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets or None
        start : int
        """
