"""A memory of earlier embeddings, so that a small batch meets many items."""

from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from siamesekit import _pml, registry
from siamesekit._checks import check_integer
from siamesekit._params import Part
from siamesekit._scores import check_embeddings
from siamesekit._types import Tuples
from siamesekit.errors import InvalidDataError, InvalidParameterError, NotBuiltError
from siamesekit.losses.base import Loss
from siamesekit.losses.pml import PMLLoss
from siamesekit.registry import register

__all__ = ["FITTING", "CrossBatchMemory"]

FITTING = (
    "AngularLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "GeneralizedLiftedStructureLoss",
    "IntraPairVarianceLoss",
    "LiftedStructureLoss",
    "MarginLoss",
    "MultiSimilarityLoss",
    "NCALoss",
    "NTXentLoss",
    "SignalToNoiseRatioContrastiveLoss",
    "SupConLoss",
    "TripletMarginLoss",
    "TupletMarginLoss",
)
"""Losses of pytorch-metric-learning that compare a batch with other items than its own."""


@register("losses", "cross-batch-memory")
class CrossBatchMemory(Loss):
    """Compares the batch with itself and with the embeddings of earlier batches.

    The cross-batch memory of [1]_. Late in training a network changes slowly, and an embedding of
    some steps ago is nearly what the network would give now. So a queue of them offers each item
    of a small batch many more positives and negatives, at the price of a comparison and not of a
    forward pass. Nothing remembered is differentiated, nor is the batch where it is compared
    *with*: gradients reach it as anchors only. No item is its own positive.

    Parameters
    ----------
    loss : str, type or PMLLoss
        The loss that charges: one of pytorch-metric-learning's that compare a batch with other
        items (see `FITTING`), by name (``"pml:NTXentLoss"``), class or instance.
    memory_size : int
        Embeddings to remember, the present batch included; the oldest leave first.
    miner : str, type, PMLMiner or None
        Chooses among the comparisons of the batch with the memory; all of them by default.
        Losses on triplets want one: all triplets with a full memory are very many.

    Attributes
    ----------
    memory : Tensor of float32, shape (memory_size, d)
        Remembered embeddings; None before `build`.
    memory_labels : Tensor of int64, shape (memory_size,)
    position : Tensor of int64, shape ()
        Row that is written next.
    count : Tensor of int64, shape ()
        Rows that are filled.

    Raises
    ------
    InvalidParameterError
        If a parameter is not allowed, or `loss` cannot compare with a memory.
    PluginImportError
        If pytorch-metric-learning is not installed.

    Notes
    -----
    The whole memory is part of ``state_dict``, so that resumed training goes on as it would have.
    In ``eval()`` mode nothing is remembered. Embeddings that are not finite never are: one of them
    would spoil every batch until it left.

    References
    ----------
    .. [1] X. Wang, H. Zhang, W. Huang, M. R. Scott, "Cross-batch memory for embedding learning",
       CVPR 2020, §3.3. The paper fills the memory after a warm-up; here it fills from the start.
    """

    takes: ClassVar[Literal["scores", "embeddings"]] = "embeddings"
    memory: Tensor | None
    memory_labels: Tensor
    position: Tensor
    count: Tensor

    def __init__(
        self,
        loss: str | type[PMLLoss] | PMLLoss = "pml:ContrastiveLoss",
        memory_size: int = 1024,
        miner: str | type[Part] | Part | None = None,
    ) -> None:
        super().__init__()
        check_integer("memory_size", memory_size, low=1)
        self.loss = loss
        self.memory_size = memory_size
        self.miner = miner
        # A loss given as an instance is a submodule as it stands; a second name for it would put
        # its weights into the state twice.
        made = _make_loss(loss)
        self._made = None if made is loss else made
        self._chooser = None if miner is None else _make_miner(miner)
        self.register_buffer("memory", None)

    @property
    def charging(self) -> PMLLoss:
        """The loss that charges."""
        charging = self.loss if self._made is None else self._made
        assert isinstance(charging, PMLLoss)
        return charging

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with `deep`, those of the loss and the miner too."""
        params = super().get_params(deep=False)
        if deep:
            parts = {"loss": self.charging, "miner": self._chooser}
            for argument, part in parts.items():
                inner = {} if part is None else part.get_params()
                params.update({f"{argument}__{key}": value for key, value in inner.items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``loss__temperature=0.1`` reaches into the loss, however it was given."""
        for argument, kind in (("loss", "losses"), ("miner", "miners")):
            given = params.get(argument, getattr(self, argument))
            reached_into = any(key.startswith(f"{argument}__") for key in params)
            if reached_into and isinstance(given, str | type):
                params[argument] = registry.make(kind, given)
        return super().set_params(**params)

    def build(self, dim: int, n_classes: int) -> Self:
        """Make an empty memory; keep what is there already.

        Parameters
        ----------
        dim : int
            Length of an embedding.
        n_classes : int
            Number of classes in training.

        Raises
        ------
        InvalidDataError
            If the memory was made for another `dim`.
        """
        super().build(dim, n_classes)
        self.charging.build(dim, n_classes)
        if self.memory is None:
            self.register_buffer("memory", torch.zeros(self.memory_size, dim))
            of_items = torch.zeros(self.memory_size, dtype=torch.int64)
            self.register_buffer("memory_labels", of_items)
            self.register_buffer("position", torch.zeros((), dtype=torch.int64))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        elif self.memory.shape[1] != dim:
            raise InvalidDataError(
                f"CrossBatchMemory was built for embeddings of {self.memory.shape[1]} numbers; "
                f"got {dim}."
            )
        return self

    def forward(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None = None, start: int = 0
    ) -> Tensor:
        """Return the loss of a batch against itself and the memory; then remember it.

        Parameters
        ----------
        inputs : Tensor of float, shape (b, d)
            Embeddings. Of a batch larger than the memory, its last rows are remembered.
        labels : Tensor of int64, shape (b,)
        tuples : None
            A choice within the batch would leave the memory out.
        start : int
            Without effect, as for every loss on embeddings: ranks that have gathered the
            embeddings charge and remember all of them, each the same.

        Returns
        -------
        Tensor of float, shape ()
            Not-a-number if any embedding is, or is too large for its square.

        Raises
        ------
        InvalidDataError
            If embeddings and labels are none of a batch, or the embeddings are not of the length
            that the memory was built for.
        InvalidParameterError
            If there is a miner outside this loss.
        NotBuiltError
            If `build` was not called.
        """
        if tuples is not None:
            raise InvalidParameterError(
                "loss 'cross-batch-memory' chooses among batch and memory, where an outer miner "
                "sees the batch alone; set miner=None and give the miner to the loss "
                "(loss__miner='pml:MultiSimilarityMiner')."
            )
        memory = self.memory
        if memory is None:
            raise NotBuiltError("CrossBatchMemory: call build(dim, n_classes) first.")
        check_embeddings(inputs, labels, start)
        if inputs.shape[1] != memory.shape[1]:
            raise InvalidDataError(
                f"inputs must be embeddings of shape (b, {memory.shape[1]}); "
                f"got {tuple(inputs.shape)}."
            )
        references, reference_labels = self._references(memory, inputs, labels)
        indices = self._choose(inputs, labels, references, reference_labels)
        value = self.charging.charge(inputs, labels, indices, references, reference_labels)
        if self.training:
            self._remember(memory, inputs.detach(), labels)
        return value

    def _references(self, memory: Tensor, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch itself, then what the memory keeps beside it, the newest first."""
        kept = min(int(self.count), max(0, self.memory_size - len(inputs)))
        ago = torch.arange(1, kept + 1, device=memory.device)
        rows = (self.position - ago) % self.memory_size
        embeddings = torch.cat([inputs.detach().to(memory.dtype), memory[rows]])
        return embeddings, torch.cat([labels, self.memory_labels[rows]])

    def _choose(
        self, inputs: Tensor, labels: Tensor, references: Tensor, reference_labels: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the comparisons as pytorch-metric-learning's tuple of rows and references."""
        if self._chooser is None:
            same = labels[:, None] == reference_labels[None, :]
            different = (~same).nonzero(as_tuple=True)
            # The batch stands first among the references, so item i is reference i.
            return (*same.fill_diagonal_(False).nonzero(as_tuple=True), *different)
        anchor, positive, *others = _pml.mine(
            self._chooser.inner, inputs, labels, references, reference_labels
        )
        another = anchor != positive
        # Of triplets all three columns belong together; of pairs the last two are others.
        others = others if len(others) == 2 else [column[another] for column in others]
        return (anchor[another], positive[another], *others)

    def _remember(self, memory: Tensor, embeddings: Tensor, labels: Tensor) -> None:
        finite = _pml.usable(embeddings)
        newest = embeddings[finite][-self.memory_size :].to(memory.dtype)
        rows = (self.position + torch.arange(len(newest), device=memory.device)) % self.memory_size
        memory[rows] = newest
        self.memory_labels[rows] = labels[finite][-self.memory_size :]
        self.position.add_(len(newest)).remainder_(self.memory_size)
        self.count.add_(len(newest)).clamp_(max=self.memory_size)


def _make_loss(spec: object) -> PMLLoss:
    part = spec if isinstance(spec, Loss) else registry.make("losses", spec)
    if not isinstance(part, PMLLoss) or type(part).__name__ not in FITTING:
        shown = registry.name_of("losses", part) or repr(part)
        raise InvalidParameterError(
            f"loss {shown!r} cannot compare a batch with a memory; these of 'pml:' can: "
            f"{', '.join(FITTING)}."
        )
    return part


def _make_miner(spec: object) -> Any:
    part = spec if isinstance(spec, Part) else registry.make("miners", spec)
    name = registry.name_of("miners", part)
    # The miners' floor is this one, so the kind of miner is told by its name.
    if name is None or not name.startswith("pml:"):
        raise InvalidParameterError(
            f"miner {name or part!r} cannot choose from a memory; those named 'pml:…' can."
        )
    return part
