"""What every miner is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from siamesekit._params import Part
from siamesekit._types import Tuples

__all__ = ["Miner"]


class Miner(Part, ABC):
    """Chooses the pairs or triplets of a batch that are worth training on.

    With distance = minus score, ``t = d(a, n) - d(a, p)`` and margin ``m``, a triplet is *easy*
    where ``t > m``, *semi-hard* where ``0 < t <= m`` and *hard* where ``t <= 0``. What has a score
    that is not a number is chosen by none.

    Attributes
    ----------
    takes : {"scores", "embeddings"}
        What the training line hands over as the first argument, as for a loss.
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "scores"

    @abstractmethod
    def __call__(self, inputs: Tensor, labels: Tensor) -> Tuples:
        """Return the chosen tuples.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, b) or (b, d)
            Scores (higher = more alike) or embeddings, as `takes` says.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs or Triplets
            Index tensors of int64 on the device of `inputs`; nothing in them is differentiated.
        """
