"""The training line: embed, compare, choose, charge."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from siamesekit._checks import check_kind
from siamesekit._types import Pairs, Tuples
from siamesekit.backbones.freezing import still_norms
from siamesekit.backbones.turned import one_copy
from siamesekit.errors import InvalidParameterError
from siamesekit.heads import Head
from siamesekit.heads.base import is_of_any_length
from siamesekit.losses import Loss, PairLoss
from siamesekit.losses._inputs import differentiable_zero
from siamesekit.losses.rows import RowLoss, Share
from siamesekit.miners import Miner, RowMiner
from siamesekit.training.distributed import Team, current
from siamesekit.training.embedding import embed_batch

__all__ = ["Charge", "TrainingLine"]

_MEANING = {"logit": "a logit of same", "distance": "minus a distance"}
# Heads that give it, and losses for those that do not.
_FITTING = {
    "logit": ("'l1', 'squared', 'cosine-concat'", "'contrastive', 'triplet', 'episodic'"),
    "distance": ("'cosine', 'euclidean', 'sqeuclidean'", "'bce', 'triplet', 'episodic'"),
}


@dataclass(frozen=True)
class Charge:
    """What one batch gives.

    Attributes
    ----------
    loss : Tensor of float, shape ()
        Of several processes, what this one adds to the loss of the batch.
    embeddings : Tensor of float32, shape (b, d)
        Detached.
    scores : Tensor of float32, shape (b, b) or (n,)
        Detached; one a pair where the sampler pairs its items. Of several processes each has those
        of its own anchors or pairs, (r, b) or (r,), or all.
    labels : Tensor of int64, shape (b,)
    tuples : Pairs or Triplets or None
        What the miner chose; None without a miner.
    counted : tuple of two Tensors of int64, shape (), or None
        See `Share`.
    start : int
        Position in the batch of the anchor of the first row of `scores`.
    """

    loss: Tensor
    embeddings: Tensor
    scores: Tensor
    labels: Tensor
    tuples: Tuples | None
    counted: tuple[Tensor, Tensor] | None = None
    start: int = 0


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
        If a part is of another kind, the loss takes embeddings and so would leave a learned head
        untrained, or it wants other scores than the head gives.
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
        _check_scores_fit(head, loss)
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
        """Return embeddings in float32, shape (b, d), of a float batch (b, …).

        In training a `TurnedNet` gives one copy where only a head `of_any_length` sees it.
        """
        with one_copy(self.backbone) if self._of_any_length() else nullcontext():
            return embed_batch(self.backbone, x, self.precision)

    def _of_any_length(self) -> bool:
        """Return whether this trains, and only the head sees embeddings, of whatever length."""
        sees_scores = all(
            part is None or part.takes == "scores" for part in (self.loss, self.miner)
        )
        return self.training and is_of_any_length(self.head) and sees_scores

    def forward(self, x: Tensor, labels: Tensor) -> Charge:
        """Charge a batch in which every item meets every other.

        Parameters
        ----------
        x : Tensor of float, shape (r, c, h, w) or (r, f)
            The whole batch. Where several processes train (`siamesekit.training.distributed`), the
            own share of it, ``Team.own(b)``, or, where that share is empty, any one item.
        labels : Tensor of int64, shape (b,)
            Of the whole batch.

        Returns
        -------
        Charge
        """
        return self.charge(self.embed(x), labels)

    def charge(self, embeddings: Tensor, labels: Tensor) -> Charge:
        """Charge a batch that is embedded; `forward` is `embed` and this.

        Parameters
        ----------
        embeddings : Tensor of float32, shape (r, d)
            Of the whole batch, or of the own share of it (see `forward`).
        labels : Tensor of int64, shape (b,)
            Of the whole batch.

        Returns
        -------
        Charge
        """
        team = current()
        everyone = _of_all(team, embeddings, labels)
        try:
            share, scores, tuples, start = self._share(everyone, labels, team)
        except Exception:
            # Foreign losses and miners stumble over what is not finite, each in its own way.
            if bool(everyone.isfinite().all()):
                raise
            share = Share(everyone.sum() * math.nan, labels.new_ones(()))
            scores, tuples, start = everyone, None, 0
        loss = _part(team, share, everyone)
        return Charge(
            loss, everyone.detach(), scores.detach(), labels, tuples, share.counted, start
        )

    def _share(
        self, embeddings: Tensor, labels: Tensor, team: Team | None
    ) -> tuple[Share, Tensor, Tuples | None, int]:
        """Return what this process charges, its scores, what it chose, and its first row."""
        on_embeddings = self.loss.takes == "embeddings"
        rows = slice(0, len(labels))
        if team is not None and self._goes_by_rows():
            rows = team.own(len(labels))
        # Scores that only feed the miner and the history need no graph.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not on_embeddings):
            scores: Tensor = self.head(embeddings[rows], embeddings)
        # Who charges the same must draw the same.
        with nullcontext() if team is None else team.drawing(self.loss, self.miner):
            tuples = self._choose(embeddings, scores, labels, rows)
            if (by_rows := self._row_loss()) is not None:
                share = by_rows.share(scores, labels, tuples, rows.start)
            else:
                value = self.loss(embeddings if on_embeddings else scores, labels, tuples)
                share = Share(value, labels.new_ones(()))
        return share, scores, tuples, rows.start

    def _choose(
        self, embeddings: Tensor, scores: Tensor, labels: Tensor, rows: slice
    ) -> Tuples | None:
        if self.miner is None:
            return None
        if len(scores) < len(labels):
            assert isinstance(self.miner, RowMiner)
            chosen: Tuples = self.miner.choose(scores.detach(), labels, rows.start)
            return chosen
        chosen_from = scores if self.miner.takes == "scores" else embeddings
        return self.miner(chosen_from.detach(), labels)

    def _goes_by_rows(self) -> bool:
        """Return whether processes can charge their own anchors each, and not all of them all."""
        loss = self._row_loss()
        splits = self.miner is None or isinstance(self.miner, RowMiner)
        return loss is not None and splits and (self.miner is None or loss.splits_choices)

    def _row_loss(self) -> RowLoss | None:
        """Return the loss if it says what rows add to it, and is no other one for whole batches."""
        loss = self.loss
        if isinstance(loss, RowLoss) and type(loss).forward is RowLoss.forward:
            return loss
        return None

    def forward_pairs(self, x: Tensor, labels: Tensor) -> Charge:
        """Charge a two-tower batch: item ``2k`` meets item ``2k + 1`` and no other.

        Parameters
        ----------
        x : Tensor of float, shape (2r, c, h, w) or (2r, f)
            The whole batch, or the own share of its pairs (see `forward`).
        labels : Tensor of int64, shape (2n,)
            Of the whole batch.

        Returns
        -------
        Charge

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
        embeddings : Tensor of float32, shape (2r, d)
            Of the whole batch, or of the own share of its pairs (see `forward`).
        labels : Tensor of int64, shape (2n,)
            Of the whole batch.

        Returns
        -------
        Charge

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
        team = current()
        everyone = _of_all(team, embeddings, labels, each=2)
        rows = _rows(team, len(labels), each=2)
        own = everyone if team is None else everyone[rows]
        scores: Tensor = self.head.pairs(own[0::2], own[1::2])
        same = labels[0::2] == labels[1::2]
        kinds = torch.stack([(~same).sum(), same.sum()])
        some = slice(rows.start // 2, rows.stop // 2)
        share = self.loss.pair_share(scores, same[some], kinds)
        places = torch.arange(len(labels), device=labels.device)[rows]
        pairs = Pairs(places[0::2], places[1::2])
        loss = _part(team, share, everyone)
        return Charge(loss, everyone.detach(), scores.detach(), labels, pairs)


def _check_scores_fit(head: Head, loss: Loss) -> None:
    """Raise `InvalidParameterError` where a loss reads scores as what the head does not give."""
    if loss.takes != "scores" or loss.wants is None or loss.wants == head.gives:
        return
    fit, others = _FITTING[loss.wants]
    raise InvalidParameterError(
        f"loss {type(loss).__name__} takes a score for {_MEANING[loss.wants]}, and head "
        f"{type(head).__name__} gives {_MEANING[head.gives]}; use a head that does ({fit}), or "
        f"another loss ({others})."
    )


def _rows(team: Team | None, n: int, each: int = 1) -> slice:
    """Return the place of the own share of `n` items, of which `each` stay together."""
    own = slice(0, n // each) if team is None else team.own(n // each)
    return slice(own.start * each, own.stop * each)


def _of_all(team: Team | None, embeddings: Tensor, labels: Tensor, each: int = 1) -> Tensor:
    """Return the embeddings of the whole batch, with the gradient that all have of them."""
    if team is None:
        return embeddings
    rows = _rows(team, len(labels), each)
    # What was embedded for an empty share is left out, and gets a gradient of zeros.
    return team.gather(embeddings[: rows.stop - rows.start], rows, len(labels))


def _part(team: Team | None, share: Share, everyone: Tensor) -> Tensor:
    """Return what this process adds to the loss of the batch."""
    if team is None:
        return share.mean()
    whole = Share(share.total, team.sum(share.weight.float()))
    # So that the gradient comes back to every process, even one that charges nothing.
    return whole.mean() + differentiable_zero(everyone)


def _name(part: Any) -> str:
    return "None" if part is None else type(part).__name__
