"""What every head is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

from siamesekit._params import Part

__all__ = ["Head"]


class Head(Part, nn.Module, ABC):
    """Compares embeddings: a higher score means more alike.

    `forward` is the cross form and `pairs` the pair form; ``pairs(a, b)`` equals the diagonal of
    ``forward(a, b)``. A head is symmetric, ``head(a, b) == head(b, a).T``, and never builds an
    ``(m, n, d)`` tensor.

    Attributes
    ----------
    gives : {"logit", "distance"}
        What a score is: a logit of *same*, from trained weights, or minus a distance.
    """

    gives: ClassVar[Literal["logit", "distance"]]

    def build(self, dim: int) -> Self:
        """Make the weights for embeddings of `dim` numbers; keep those that are there already.

        Parameters
        ----------
        dim : int

        Returns
        -------
        Head
            Itself.

        Raises
        ------
        InvalidDataError
            If the head was built for another `dim`.
        """
        return self

    @abstractmethod
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of all of `a` against all of `b`.

        Parameters
        ----------
        a : Tensor of float, shape (m, d)
        b : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float, shape (m, n)
        """

    @abstractmethod
    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores of `a` against `b`, row by row.

        Parameters
        ----------
        a, b : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float, shape (n,)
        """
