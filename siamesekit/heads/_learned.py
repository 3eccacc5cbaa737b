"""Heads with weights: made by `build`, once the length of an embedding is known."""

from abc import abstractmethod
from typing import Self

from siamesekit._checks import check_integer
from siamesekit.errors import InvalidDataError, NotBuiltError
from siamesekit.heads._checked import CheckedHead

__all__ = ["LearnedHead"]


class LearnedHead(CheckedHead):
    """A head whose scores are logits of *same*; subclasses make their weights in `make`.

    Attributes
    ----------
    dim : int or None
        Length of the embeddings the head was built for; None before `build`.
    """

    gives = "logit"

    def __init__(self) -> None:
        super().__init__()
        self.dim: int | None = None

    @abstractmethod
    def make(self, dim: int) -> None:
        """Make the weights for embeddings of `dim` numbers, drawing from torch's generator."""

    def build(self, dim: int) -> Self:
        """Make the weights for embeddings of `dim` numbers; keep those that are there already.

        Weights are drawn from torch's default generator, which the trainer isolates.

        Parameters
        ----------
        dim : int
            At least 1.

        Returns
        -------
        Head
            Itself.

        Raises
        ------
        InvalidParameterError
            If `dim` is not allowed.
        InvalidDataError
            If the head was built for another `dim`.
        """
        check_integer("dim", dim, low=1)
        if self.dim is None:
            self.make(dim)
            self.dim = dim
        self.check_dim(dim)
        return self

    def check_dim(self, dim: int) -> None:
        if self.dim is None:
            raise NotBuiltError(f"{type(self).__name__}: call build(dim) first.")
        if dim != self.dim:
            raise InvalidDataError(
                f"{type(self).__name__} was built for embeddings of {self.dim} numbers; got {dim}."
            )
