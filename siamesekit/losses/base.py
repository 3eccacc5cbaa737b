"""What every loss is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

from siamesekit._params import Part
from siamesekit._types import Tuples

__all__ = ["Loss"]


class Loss(Part, nn.Module, ABC):
    """Charges for wrong comparisons: a scalar to be made small.

    An empty choice of tuples gives a 0 that can be differentiated.

    Attributes
    ----------
    takes : {"scores", "embeddings"}
        What the training line hands over as the first argument: the ``(b, b)`` score matrix of
        the head, or the ``(b, d)`` embeddings (the zoo of pytorch-metric-learning).
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "scores"

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
        """
        return self

    @abstractmethod
    def forward(self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b) or (b, d)
            Scores (higher = more alike) or embeddings, as `takes` says.
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets, optional
            What the miner chose; all there are by default.

        Returns
        -------
        Tensor of float, shape ()
        """
