"""The training line: embed, compare, choose, charge."""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from siamesekit._checks import check_kind
from siamesekit._types import Pairs, Tuples
from siamesekit.backbones.freezing import still_norms
from siamesekit.errors import InvalidParameterError
from siamesekit.heads import Head
from siamesekit.losses import Loss, PairLoss
from siamesekit.losses.rows import RowLoss
from siamesekit.miners import Miner
from siamesekit.training.embedding import embed_batch

__all__ = ["Charge", "TrainingLine"]


@dataclass(frozen=True)
class Charge:
    """What one batch gives.

    Attributes
    ----------
    loss : Tensor of float, shape ()
    embeddings : Tensor of float32, shape (b, d)
        Detached.
    scores : Tensor of float32, shape (b, b) or (n,)
        Detached; one a pair where the sampler pairs its items.
    labels : Tensor of int64, shape (b,)
    tuples : Pairs or Triplets or None
        What the miner chose; None without a miner.
    counted : tuple of two Tensors of int64, shape (), or None
        See `Share`.
    """

    loss: Tensor
    embeddings: Tensor
    scores: Tensor
    labels: Tensor
    tuples: Tuples | None
    counted: tuple[Tensor, Tensor] | None = None


class TrainingLine(nn.Module):
    """A backbone, a head and a loss, with a miner between if there is one.

    Parameters
    ----------
    backbone : nn.Module
        Maps ``(b, *input_shape)`` to ``(b, d)``.
    head : Head
    loss : Loss
    miner : Miner, optional
    precision : torch.dtype
        Type in which the backbone computes. Head and loss compute in float32.

    Raises
    ------
    InvalidParameterError
        If a part is of another kind, or the loss takes embeddings and so would leave a learned head
        untrained.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        loss: Loss,
        miner: Miner | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_kind("backbone", backbone, nn.Module)
        check_kind("head", head, Head)
        check_kind("loss", loss, Loss)
        check_kind("miner", miner, Miner, none=True)
        check_kind("precision", precision, torch.dtype)
        if loss.takes == "embeddings" and any(True for _ in head.parameters()):
            raise InvalidParameterError(
                f"loss {type(loss).__name__} works on embeddings and would never train head "
                f"{type(head).__name__}; use a fixed head (cosine, euclidean, sqeuclidean)."
            )
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.miner = miner
        self.precision = precision

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts; what is frozen keeps its statistics.

        A normalisation layer none of whose weights is trained stays in ``eval()`` mode, and so
        does one without weights in a backbone that is frozen as a whole.
        """
        super().train(mode)
        if mode:
            still_norms(self.backbone)
        return self

    def embed(self, x: Tensor) -> Tensor:
        """Return embeddings in float32, shape (b, d), of a float batch (b, …)."""
        return embed_batch(self.backbone, x, self.precision)

    def forward(self, x: Tensor, labels: Tensor) -> Charge:
        """Charge a batch in which every item meets every other.

        Parameters
        ----------
        x : Tensor of float, shape (b, c, h, w) or (b, f)
        labels : Tensor of int64, shape (b,)
        """
        return self.charge(self.embed(x), labels)

    def charge(self, embeddings: Tensor, labels: Tensor) -> Charge:
        """Charge a batch that is embedded; `forward` is `embed` and this.

        Parameters
        ----------
        embeddings : Tensor of float32, shape (b, d)
        labels : Tensor of int64, shape (b,)
        """
        try:
            return self._charge(embeddings, labels)
        except Exception:
            # Foreign losses and miners stumble over what is not finite, each in its own way.
            if bool(embeddings.isfinite().all()):
                raise
            return Charge(
                embeddings.sum() * math.nan, embeddings.detach(), embeddings.detach(), labels, None
            )

    def _charge(self, embeddings: Tensor, labels: Tensor) -> Charge:
        on_embeddings = self.loss.takes == "embeddings"
        # Scores that only feed the miner and the history need no graph.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not on_embeddings):
            scores: Tensor = self.head(embeddings, embeddings)
        tuples = None
        if self.miner is not None:
            chosen_from = scores if self.miner.takes == "scores" else embeddings
            tuples = self.miner(chosen_from.detach(), labels)
        loss, counted = self._loss(embeddings if on_embeddings else scores, labels, tuples)
        return Charge(loss, embeddings.detach(), scores.detach(), labels, tuples, counted)

    def _loss(
        self, inputs: Tensor, labels: Tensor, tuples: Tuples | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        if isinstance(self.loss, RowLoss) and type(self.loss).forward is RowLoss.forward:
            share = self.loss.share(inputs, labels, tuples)
            return share.mean(), share.counted
        return self.loss(inputs, labels, tuples), None

    def forward_pairs(self, x: Tensor, labels: Tensor) -> Charge:
        """Charge a two-tower batch: item ``2k`` meets item ``2k + 1`` and no other.

        Parameters
        ----------
        x : Tensor of float, shape (2n, c, h, w) or (2n, f)
        labels : Tensor of int64, shape (2n,)

        Raises
        ------
        InvalidParameterError
            If the loss is not one on pairs, or there is a miner.
        """
        return self.charge_pairs(self.embed(x), labels)

    def charge_pairs(self, embeddings: Tensor, labels: Tensor) -> Charge:
        """Charge a two-tower batch that is embedded; `forward_pairs` is `embed` and this.

        Parameters
        ----------
        embeddings : Tensor of float32, shape (2n, d)
        labels : Tensor of int64, shape (2n,)

        Raises
        ------
        InvalidParameterError
            If the loss is not one on pairs, or there is a miner.
        """
        if not isinstance(self.loss, PairLoss) or self.miner is not None:
            raise InvalidParameterError(
                "a sampler of pairs needs a loss on pairs ('bce', 'contrastive') and no miner; "
                f"got loss {type(self.loss).__name__} and miner {_name(self.miner)}."
            )
        scores: Tensor = self.head.pairs(embeddings[0::2], embeddings[1::2])
        same = labels[0::2] == labels[1::2]
        loss = self.loss.pair_loss(scores, same)
        every = torch.arange(len(labels), device=labels.device)
        pairs = Pairs(every[0::2], every[1::2])
        return Charge(loss, embeddings.detach(), scores.detach(), labels, pairs)


def _name(part: Any) -> str:
    return "None" if part is None else type(part).__name__
