"""What every head is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

from siamesekit._checks import check_integer
from siamesekit._params import Part
from siamesekit.heads._best_pairs import best_of_all, without

__all__ = ["Head", "is_of_any_length"]


class Head(Part, nn.Module, ABC):
    """Compares embeddings: a higher score means more alike.

    `forward` is the cross form and `pairs` the pair form; ``pairs(a, b)`` equals the diagonal of
    ``forward(a, b)``. A head is symmetric, ``head(a, b) == head(b, a).T``, and never builds an
    ``(m, n, d)`` tensor.

    Attributes
    ----------
    gives : {"logit", "distance"}
        What a score is: a logit of *same*, from trained weights, or minus a distance.
    of_any_length : bool
        Whether k copies of each embedding side by side, divided by the square root of k, score as
        one does, as under the Euclidean distance. Training may then compare one. What a subclass
        inherits does not count, for it may compare in another way.
    """

    gives: ClassVar[Literal["logit", "distance"]]
    of_any_length: ClassVar[bool] = False

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
        InvalidParameterError
            If `dim` is no integer of at least 1.
        InvalidDataError
            If the head was built for another `dim`.
        """
        check_integer("dim", dim, low=1)
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

    def prepare(self, z: Tensor) -> Tensor:
        """Return what the head compares of embeddings: done once for what is compared often.

        Here the embeddings themselves. A head that looks at their direction alone returns them
        with length 1, say; the mean of several is then one of directions, and no long embedding
        outweighs the others.

        Parameters
        ----------
        z : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float, shape (n, d)
            To prepare it again changes nothing but the last digits.
        """
        return z

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Return ``self(a, b)`` for what `prepare` returned, without preparing it again.

        Parameters
        ----------
        a : Tensor of float, shape (m, d)
        b : Tensor of float, shape (n, d)

        Returns
        -------
        Tensor of float, shape (m, n)
        """
        scores: Tensor = self(a, b)
        return scores

    def metric(self, z: Tensor) -> tuple[Literal["cosine", "euclidean", "dot"], Tensor] | None:
        """Return by which metric an index finds what scores high, and what it is to hold.

        What scores highest need not be nearest by it; a gallery compares what is near by the head.

        Parameters
        ----------
        z : Tensor of float, shape (n, d)

        Returns
        -------
        metric : {"cosine", "euclidean", "dot"}
        vectors : Tensor of float, shape (n, e)
            Or None in place of both, where no index can help. Here the Euclidean distance of what
            `prepare` returns.
        """
        return "euclidean", self.prepare(z)

    def export(self) -> tuple[str, dict[str, Tensor]] | None:
        """Return by what name an exported folder's reader knows the head, and its weights.

        Only for a head that the reader can compute; others are exported as ONNX, of `pairs`. What
        a subclass inherits does not count, for it may compare in another way.

        Returns
        -------
        name : str
        weights : dict of str to Tensor
            Or None in place of both, as here.
        """
        return None

    def for_best(self, b: Tensor) -> Tensor | None:
        """Return what `best_pairs` needs to know of `b`: worked out once for what is asked often.

        Parameters
        ----------
        b : Tensor of float, shape (n, d)
            As `prepare` returned it.

        Returns
        -------
        Tensor of float, shape (n, e), or None
            A row for each of `b`. None where `best_pairs` would not be faster than `compare`.
        """
        return None

    def best_pairs(
        self, a: Tensor, b: Tensor, known: Tensor, gone: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pairs of ``self.compare(a, b)`` that are the best of their row.

        A head may find in a hurry which pairs are worth a careful look.

        Parameters
        ----------
        a : Tensor of float, shape (m, d)
        b : Tensor of float, shape (n, d)
        known : Tensor of float, shape (n, e)
            What `for_best` returned of `b`.
        gone : Tensor of int64, shape (g,), optional
            Columns that are passed over.

        Returns
        -------
        rows, columns : Tensor of int64, shape (p,)
            Of pairs among which are all that are the best of their row. Where the best is NaN, one
            pair stands for it.
        scores : Tensor of float, shape (p,)
            As `compare` gives them.
        """
        return best_of_all(without(self.compare(a, b), gone))


def is_of_any_length(head: Head) -> bool:
    """Return whether a head's own class says that it is ``of_any_length``."""
    return "of_any_length" in vars(type(head)) and head.of_any_length
