"""Any miner of pytorch-metric-learning, named ``"pml:MultiSimilarityMiner"``.

``from siamesekit.miners.pml import MultiSimilarityMiner`` gives the same class.
"""

import inspect
from functools import lru_cache
from typing import Any, ClassVar, Literal

from torch import Tensor

from siamesekit import _pml
from siamesekit._scores import check_embeddings
from siamesekit._types import Tuples
from siamesekit.errors import InvalidParameterError
from siamesekit.miners.base import Miner
from siamesekit.registry import register_family

__all__ = ["UNFIT", "PMLMiner", "adapter", "fitting"]

UNFIT = {
    "BaseMiner": "it is a base class",
    "EmbeddingsAlreadyPackagedAsTriplets": "it takes the items in the order anchor, positive, …",
}
"""Public names of pytorch-metric-learning's miners that are left out, and why."""


class PMLMiner(Miner):
    """Adapter of one miner of pytorch-metric-learning; subclasses are made by `adapter`.

    Parameters are those of the wrapped miner (``collect_stats`` apart).

    Notes
    -----
    Where it draws random numbers, it draws them from torch's default generator, which ``fit``
    isolates.
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "embeddings"
    wrapped: ClassVar[type[Any]]
    signature: ClassVar[inspect.Signature]

    def __init__(self, **params: Any) -> None:
        bound = _pml.bind(self.signature, params)
        for name, value in bound.items():
            setattr(self, name, value)
        try:
            self.inner = self.wrapped(**bound)
        except (TypeError, ValueError, AssertionError) as error:
            raise InvalidParameterError(
                f"pml:{type(self).__name__} refuses its parameters: {error}"
            ) from error

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tuples:
        """Return the chosen pairs or triplets.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, d)
            Embeddings.
        labels : Tensor of int64, shape (b,)

        Returns
        -------
        Pairs or Triplets
            None of an embedding that is not finite, or too large for its square.

        Raises
        ------
        InvalidDataError
            If embeddings or labels are not as said.
        """
        check_embeddings(inputs, labels)
        return _pml.from_pml(_pml.mine(self.inner, inputs, labels))


@lru_cache
def adapter(name: str) -> type[PMLMiner]:
    """Return the adapter class of the miner `name`.

    Raises
    ------
    PluginImportError
        If pytorch-metric-learning is not installed.
    UnknownPartError
        If it has no such miner, or the miner does not fit.
    """
    wrapped = _pml.find_class("miners", name, UNFIT)
    signature, _ = _pml.constructor_signature(wrapped)
    members = {
        "wrapped": wrapped,
        "signature": signature,
        "__signature__": signature,
        "__doc__": f"``pytorch_metric_learning.miners.{name}``; see `PMLMiner`.",
        "__module__": __name__,
    }
    return type(name, (PMLMiner,), members)


def fitting() -> list[str]:
    """Return the sorted names of the miners that fit; none where the package is absent."""
    return _pml.fitting("miners", UNFIT)


def __getattr__(name: str) -> type[PMLMiner]:
    # Lets pickle, and `from siamesekit.miners.pml import …`, find what `adapter` makes.
    if name.startswith("_") or name not in fitting():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return adapter(name)


register_family("miners", "pml", adapter, fitting, distribution="pytorch-metric-learning")
