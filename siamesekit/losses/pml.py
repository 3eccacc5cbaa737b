"""The loss zoo: any loss of pytorch-metric-learning, named ``"pml:NTXentLoss"``.

``from siamesekit.losses.pml import NTXentLoss`` gives the same class.
"""

import inspect
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from siamesekit import _pml
from siamesekit._checks import first_line
from siamesekit._scores import check_embeddings, check_tuples
from siamesekit._types import Tuples
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.losses._inputs import differentiable_zero, unless_nan
from siamesekit.losses.base import Loss
from siamesekit.registry import register_family

__all__ = ["UNFIT", "PMLLoss", "adapter", "fitting"]

UNFIT = {
    "BaseLossWrapper": "it is a base class",
    "BaseMetricLossFunction": "it is a base class",
    "CrossBatchMemory": (
        "its queue's place is no part of its state, so that no checkpoint restores it; "
        "use loss 'cross-batch-memory'"
    ),
    "DynamicSoftMarginLoss": "it takes the items in the order anchor, positive, anchor, …",
    "EmbeddingRegularizerMixin": "it is a base class",
    "GenericPairLoss": "it is a base class",
    "InstanceLoss": "its embeddings are meant to be the scores of classes",
    "ManifoldLoss": "it learns without labels",
    "MultipleLosses": "it is a sum of other losses",
    "SelfSupervisedLoss": "it compares two views of unlabelled items",
    "SmoothAPLoss": (
        "it goes by the places of items in a batch, not by their labels: right only where classes "
        "lie side by side, as many of them as each has items"
    ),
    "VICRegLoss": "it compares two views of unlabelled items",
    "WeightRegularizerMixin": "it is a base class",
}
"""Public names of pytorch-metric-learning's losses that are left out, and why."""


class PMLLoss(Loss):
    """Adapter of one loss of pytorch-metric-learning; subclasses are made by `adapter`.

    Parameters are those of the wrapped loss (``collect_stats`` apart). Those that are sizes of
    the data (``num_classes``, ``embedding_size``) are given by `build`; weights of the wrapped
    loss are trained and saved with this one's.

    Notes
    -----
    The loss computes in float32. Where it draws random numbers, it draws them from torch's
    default generator, which ``fit`` isolates.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie, S.-N. Lim, "PyTorch Metric Learning", arXiv 2008.09164, 2020.
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "embeddings"
    wrapped: ClassVar[type[Any]]
    signature: ClassVar[inspect.Signature]
    sizes: ClassVar[tuple[str, ...]]

    def __init__(self, **params: Any) -> None:
        super().__init__()
        for name, value in _pml.bind(self.signature, params).items():
            setattr(self, name, value)
        self.inner: nn.Module | None = None
        if not self.sizes:
            self._make({})

    def build(self, dim: int, n_classes: int) -> Self:
        """Give the wrapped loss its sizes; keep its weights if it is built already.

        Parameters
        ----------
        dim : int
            Length of an embedding.
        n_classes : int
            Number of classes in training.
        """
        super().build(dim, n_classes)
        if self.inner is None:
            known = {"dim": dim, "n_classes": n_classes}
            self._make({name: known[_pml.SIZES[name]] for name in self.sizes})
        return self

    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, d)
            Embeddings.
        labels : Tensor of int64, shape (b,)
        tuples : Pairs or Triplets, optional
        start : int
            Without effect: the wrapped losses know whole batches only. Ranks that have gathered
            the embeddings compute the same loss each, and each gets the gradient of its own.

        Returns
        -------
        Tensor of float, shape ()
            Not-a-number if any embedding is, or is too large for its square.

        Raises
        ------
        InvalidDataError
            If embeddings, labels or tuples are not as said.
        NotBuiltError
            If the loss has weights and `build` was not called.
        """
        check_embeddings(inputs, labels, start)
        check_tuples(tuples, len(labels))
        if tuples is not None and not len(tuples[0]):
            # The wrapped losses with proxies take an empty choice for the whole batch.
            return unless_nan(differentiable_zero(inputs), inputs)
        return self.charge(inputs, labels, _pml.to_pml(tuples, labels))

    def charge(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices: tuple[Tensor, ...] | None = None,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch against other items.

        Parameters
        ----------
        embeddings : Tensor of float, shape (b, d)
        labels : Tensor of int64, shape (b,)
        indices : tuple of Tensor of int64, optional
            The chosen comparisons, as pytorch-metric-learning's ``indices_tuple``: rows of
            `embeddings` beside rows of `references`.
        references : Tensor of float, shape (r, d), optional
            What the batch is compared with; itself by default.
        reference_labels : Tensor of int64, shape (r,), optional

        Returns
        -------
        Tensor of float, shape ()
            Not-a-number if any embedding of the batch is, or is too large for its square.

        Raises
        ------
        InvalidDataError
            If the wrapped loss does not take such a batch or such a choice.
        NotBuiltError
            If the loss has weights and `build` was not called.
        """
        if self.inner is None:
            raise NotBuiltError(f"{type(self).__name__}: call build(dim, n_classes) first.")
        if not _pml.usable(embeddings).all():
            # Some of the wrapped losses raise an error here, others give a number.
            return embeddings.float().sum() * torch.nan
        with torch.autocast(embeddings.device.type, enabled=False):
            try:
                value: Tensor = self.inner(
                    embeddings.float(), labels, indices, references, reference_labels
                )
            except (ValueError, AssertionError, IndexError, NotImplementedError) as error:
                raise self._refused(error, indices) from error
        return value

    def _refused(self, error: Exception, indices: object) -> InvalidDataError:
        """Return the error of a batch that the wrapped loss does not take."""
        said = (first_line(error) or type(error).__name__).rstrip(".")
        hint = "" if indices is None else " Does it go without a miner (miner=None)?"
        return InvalidDataError(
            f"loss 'pml:{type(self).__name__}' cannot charge the batch: {said}.{hint}"
        )

    def _make(self, sizes: dict[str, int]) -> None:
        params = {name: getattr(self, name) for name in self.signature.parameters}
        try:
            self.inner = _pml.with_cosines_below_one(self.wrapped(**params, **sizes))
        except (TypeError, ValueError, AssertionError) as error:
            raise InvalidParameterError(
                f"pml:{type(self).__name__} refuses its parameters: {error}"
            ) from error


@lru_cache
def adapter(name: str) -> type[PMLLoss]:
    """Return the adapter class of the loss `name`.

    Raises
    ------
    PluginImportError
        If pytorch-metric-learning is not installed.
    UnknownPartError
        If it has no such loss, or the loss does not fit.
    """
    wrapped = _pml.find_class("losses", name, UNFIT)
    signature, sizes = _pml.constructor_signature(wrapped)
    summary = f"``pytorch_metric_learning.losses.{name}``; see `PMLLoss`."
    members = {
        "wrapped": wrapped,
        "signature": signature,
        "sizes": sizes,
        "__signature__": signature,
        "__doc__": summary,
        "__module__": __name__,
    }
    return type(name, (PMLLoss,), members)


def fitting() -> list[str]:
    """Return the sorted names of the losses that fit; none where the package is absent."""
    return _pml.fitting("losses", UNFIT)


def __getattr__(name: str) -> type[PMLLoss]:
    # Lets pickle, and `from siamesekit.losses.pml import NTXentLoss`, find what `adapter` makes.
    if name.startswith("_") or name not in fitting():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return adapter(name)


register_family("losses", "pml", adapter, fitting, distribution="pytorch-metric-learning")
