"""What every loss is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

from siamesekit._checks import check_integer
from siamesekit._params import Part
from siamesekit._types import Tuples

__all__ = ["Loss"]


class Loss(Part, nn.Module, ABC):
    """Charges for wrong comparisons: a scalar to be made small.

    An empty choice of tuples gives a 0 that can be differentiated; not-a-number in gives
    not-a-number out, at once.

    Attributes
    ----------
    takes : {"scores", "embeddings"}
        What the training line hands over as the first argument: scores of the head, all ``(b, b)``
        or some rows of them, or the ``(b, d)`` embeddings (the zoo of pytorch-metric-learning).
    wants : {"logit", "distance"} or None
        What a score must be, as ``Head.gives`` says it: a logit of *same*, or minus a distance.
        None, where any score will do that is higher for what is more alike.
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "scores"
    wants: ClassVar[Literal["logit", "distance"] | None] = None

    def build(self, dim: int, n_classes: int) -> Self:
        """Make the loss's own weights, if it has any; keep those that are there already.

        Parameters
        ----------
        dim : int
            Length of an embedding.
        n_classes : int
            Number of classes in training; labels are ``0 .. n_classes - 1``.

        Returns
        -------
        Loss
            Itself.

        Raises
        ------
        InvalidParameterError
            If `dim` or `n_classes` is no integer of at least 1.
        """
        check_integer("dim", dim, low=1)
        check_integer("n_classes", n_classes, low=1)
        return self

    @abstractmethod
    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        """Return the loss of a batch, or of some rows of it.

        Parameters
        ----------
        inputs : Tensor of float, shape (r, b) or (b, d)
            As `takes` says: scores (higher = more alike) of the anchors
            ``start .. start + r - 1`` and every item of the batch, or embeddings of all of it.
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets, optional
            What the miner chose, of these anchors; all there are by default.
        start : int
            Position in the batch of the first row. A loss on embeddings has no rows: whatever
            `start` is, it charges the whole batch, on each rank alike.

        Returns
        -------
        Tensor of float, shape ()
        """
