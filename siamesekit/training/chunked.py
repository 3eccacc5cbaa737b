"""The gradient of a whole batch from chunks of it, for a network whose memory ends sooner."""

from collections.abc import Callable

import torch
from torch import Tensor

from siamesekit._random import Stream
from siamesekit.errors import InvalidParameterError, SiamesekitError
from siamesekit.training.line import Charge, TrainingLine
from siamesekit.training.rewind import Rewind

__all__ = ["BatchPass"]

# Items of a batch on which a network is tried.
_TRIED = 4
# Share of an item's own part in its embedding that another item may seem to have.
_ROUNDING = 1e-6


class BatchPass:
    """The pass of batches through a line, forward and backward: whole, or in chunks.

    Of a batch only the embeddings meet in head, miner and loss, and they are small: what takes
    memory is what the backbone keeps of each item for its backward pass. So the batch is embedded
    chunk by chunk and nothing kept but the embeddings; the loss is charged for all of them, and
    differentiated with respect to them (and to weights of head and loss); then each chunk is
    embedded once more, with the numbers that its layers drew before, and its part of that gradient
    is taken back through the backbone. That is the gradient of the whole batch [1]_, whatever loss,
    miner and head make of it, at the price of one more pass forward.

    What dropout leaves out is drawn a chunk at a time: the loss and the gradient are those of the
    whole batch with just these items' units left out.

    Parameters
    ----------
    line : TrainingLine
        In ``train()`` mode.
    chunk_size : int or None
        Items that the backbone embeds at once; None embeds each batch as a whole.
    stream : Stream
        What the line's layers draw from.

    Notes
    -----
    An embedding must depend on its own item alone, or that of a chunk is not that of the batch.
    Before the first batch a few of its items are embedded, and a network is refused which takes
    statistics of what it embeds (batch normalisation, unless its weights are frozen, and with them
    its statistics), mixes items, or changes buffers (spectral normalisation). Every batch is seen
    to be embedded the second time as it was the first.

    References
    ----------
    .. [1] L. Gao, Y. Zhang, J. Han, J. Callan, "Scaling deep contrastive learning batch size under
       memory limited setup", RepL4NLP 2021, §3.2.
    """

    def __init__(self, line: TrainingLine, chunk_size: int | None, stream: Stream) -> None:
        self.line = line
        self.chunk_size = chunk_size
        self.stream = stream
        self._is_tried = False

    def __call__(
        self, x: Tensor, labels: Tensor, *, pairs: bool = False, scale: float = 1.0
    ) -> Charge:
        """Charge a batch, and add to each weight's gradient that of `scale` times the loss.

        Parameters
        ----------
        x : Tensor of float, shape (b, c, h, w) or (b, f)
            The backbone may work in place on it.
        labels : Tensor of int64, shape (b,)
        pairs : bool
            Item ``2k`` meets item ``2k + 1`` and no other: ``line.forward_pairs``.
        scale : float

        Raises
        ------
        InvalidParameterError
            If the backbone cannot be trained in chunks.
        """
        charge = self.line.charge_pairs if pairs else self.line.charge
        size = self.chunk_size
        if size is not None and not self._is_tried:
            self._try(x[: max(2, min(_TRIED, size))])
        if size is None or size >= len(x):
            charged = charge(self.line.embed(x), labels)
            _differentiate(charged.loss, scale)
            return charged
        return self._by_chunks(torch.split(x, size), labels, charge, scale)

    def _by_chunks(
        self,
        chunks: tuple[Tensor, ...],
        labels: Tensor,
        charge: Callable[[Tensor, Tensor], Charge],
        scale: float,
    ) -> Charge:
        before, parts = [], []
        with torch.no_grad():
            for chunk in chunks:
                before.append(self.stream.state())
                # The second time it is to be what it was, also where the backbone writes to it.
                parts.append(self.line.embed(chunk.clone()))
        embeddings = torch.cat(parts)
        trained = any(p.requires_grad for p in self.line.backbone.parameters())
        charged = charge(embeddings.requires_grad_(trained), labels)
        _differentiate(charged.loss, scale)
        if embeddings.grad is not None:
            after = self.stream.state()
            self._embed_again(chunks, before, parts, embeddings.grad)
            self.stream.go_to(after)
        return charged

    def _embed_again(
        self,
        chunks: tuple[Tensor, ...],
        states: list[dict[torch.device, Tensor]],
        parts: list[Tensor],
        gradient: Tensor,
    ) -> None:
        differs = gradient.new_zeros(())
        gradients = torch.split(gradient, len(chunks[0]))
        for chunk, state, first, own in zip(chunks, states, parts, gradients, strict=True):
            self.stream.go_to(state)
            again = self.line.embed(chunk)
            differs = torch.maximum(differs, _difference(first, again.detach()))
            if again.requires_grad:
                torch.autograd.backward(again, own)
        if float(differs) > torch.finfo(self.line.precision).eps ** 0.5:
            raise self._refused(
                "gives other embeddings the second time: it draws random numbers from elsewhere "
                "than torch, or keeps count of its calls"
            )

    def _try(self, some: Tensor) -> None:
        """Raise `InvalidParameterError` unless each of some items is embedded on its own."""
        self._is_tried = True
        backbone = self.line.backbone
        rewind, state = Rewind(backbone), self.stream.state()
        buffers = [
            (name, buffer, buffer.detach().clone()) for name, buffer in backbone.named_buffers()
        ]
        try:
            mixed = self._mixes(some)
            changed = next((name for name, now, old in buffers if not _equal(now, old)), None)
        finally:
            rewind.undo()
            self.stream.go_to(state)
        if changed is not None:
            owner = type(backbone.get_submodule(changed.rpartition(".")[0])).__name__
            raise self._refused(f"keeps statistics of all that it embeds ({changed!r} of {owner})")
        if mixed:
            raise self._refused("makes an item's embedding of the other items of its batch too")

    def _mixes(self, some: Tensor) -> bool:
        """Return whether an embedding has a gradient to another item than its own."""
        items = some.clone().requires_grad_()
        try:
            embedded = self.line.embed(items.clone())[0]
        except SiamesekitError:
            # Such as a network that goes through NumPy, which takes no tensors with gradients.
            self.line.embed(some.clone())
            return False
        if not embedded.requires_grad:
            return False
        # Weights that differ, since a normalised embedding may have a constant sum.
        weights = torch.linspace(1.0, 2.0, len(embedded), device=embedded.device)
        (slopes,) = torch.autograd.grad((embedded * weights).sum(), items, allow_unused=True)
        if slopes is None:
            return False
        sizes = slopes.flatten(1).abs().nan_to_num(0.0, 0.0, 0.0).amax(1)
        return bool((sizes[1:] > _ROUNDING * sizes.max()).any())

    def _refused(self, why: str) -> InvalidParameterError:
        name = type(self.line.backbone).__name__
        return InvalidParameterError(
            f"chunk_size={self.chunk_size} embeds a batch in chunks, each twice, and backbone "
            f"{name} {why}; the gradient would not be that of the batch. Give chunk_size=None, or "
            "a network that embeds each item on its own: of images backbone=ResidualNet("
            "norm='group') or Conv4(norm='group') (siamesekit.backbones), of vectors "
            "'residual-mlp'. Or freeze its batch normalisation (requires_grad False for its "
            "weights), whose statistics then stand still."
        )


def _differentiate(loss: Tensor, scale: float) -> None:
    if loss.requires_grad:
        (loss if scale == 1.0 else loss * scale).backward()  # type: ignore[no-untyped-call]


def _difference(first: Tensor, again: Tensor) -> Tensor:
    """Return by how much embeddings differ, as a share of the largest; what is not finite apart."""
    gap, size = (first.detach() - again).abs(), first.detach().abs()
    finite = gap.isfinite()
    return gap.where(finite, 0.0).max() / size.where(finite, 0.0).max().clamp_min(1e-30)


def _equal(now: Tensor, old: Tensor) -> bool:
    """Return whether a buffer has no other numbers than before.

    Not-a-number is equal to itself. A table that a network makes for the size of a batch, and so
    has another shape, is no statistic.
    """
    return now.shape != old.shape or bool(((now == old) | ((now != now) & (old != old))).all())
