"""What the numbers of a batch say about the health of training."""

import math
import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor

from siamesekit._triplets import AnchorRows, Classes, row_blocks
from siamesekit._types import Pairs, Triplets
from siamesekit.training.line import Charge

__all__ = ["HealthMonitor", "TrainingHealthWarning", "batch_health"]

_COLLAPSED_SPREAD = 1e-3
_MARGIN_BAND = 0.02
_PATIENCE = 3

_TRY = (
    "Try a lower learning rate, normalised embeddings (head='cosine'), an easier miner "
    "('semihard' in place of 'hard', or none), more classes a batch, or a smaller margin."
)


class TrainingHealthWarning(UserWarning):
    """Training goes on, but its numbers say that nothing is learned."""


def batch_health(charge: Charge, margin: float | None) -> dict[str, Tensor]:
    """Return the health numbers of one batch, left on its device.

    Parameters
    ----------
    charge : Charge
    margin : float or None
        Margin of a triplet loss.

    Returns
    -------
    dict
        ``distance_same`` and ``distance_different``: mean distance (minus score) of pairs of one
        class and of two. ``spread``: standard deviation of the embeddings about their mean,
        divided by their root mean square, in [0, 1]. ``active``: share of all triplets of the
        batch with ``d(a, p) - d(a, n) + margin > 0``, or of the chosen ones where a miner chose;
        NaN where there is no margin or no such triplet.
    """
    distances = -charge.scores
    if distances.ndim == 1 and isinstance(charge.tuples, Pairs):
        same = charge.labels[charge.tuples.i] == charge.labels[charge.tuples.j]
        different = ~same
    else:
        same = charge.labels[:, None] == charge.labels[None, :]
        different = ~same
        same = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    centred = charge.embeddings - charge.embeddings.mean(0)
    size = charge.embeddings.square().mean().sqrt()
    return {
        "distance_same": distances[same].mean(),
        "distance_different": distances[different].mean(),
        "spread": centred.square().mean().sqrt() / size.clamp_min(1e-12),
        "active": _active_share(distances, charge, margin),
    }


def _active_share(distances: Tensor, charge: Charge, margin: float | None) -> Tensor:
    if margin is None or distances.ndim == 1:
        return distances.new_tensor(math.nan)
    if isinstance(charge.tuples, Triplets):
        a, p, n = charge.tuples
        return (distances[a, p] - distances[a, n] + margin > 0).float().mean()
    active, total = charge.labels.new_zeros(()), charge.labels.new_zeros(())
    classes = Classes.of(charge.labels)
    for rows in row_blocks(distances):
        anchors = AnchorRows(distances[rows], classes, rows.start)
        runs = anchors.runs(None, anchors.active(margin))
        active += (runs.last - runs.first).sum()
        total += anchors.n_triplets
    return active / total


@dataclass
class HealthMonitor:
    """Warns once of each ailment: a loss that is not finite, collapse, a loss at the margin.

    Parameters
    ----------
    margin : float or None
        Margin of a triplet loss.
    """

    margin: float | None = None
    _sick_epochs: dict[str, int] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def check_loss(self, loss: float) -> bool:
        """Return whether `loss` is finite; warn the first time it is not."""
        if math.isfinite(loss):
            return True
        self._warn(
            "loss",
            f"the loss of a batch is {loss}; the step is skipped. Try a lower learning rate or "
            "precision='float32', and look for extreme values in X.",
        )
        return False

    def check_epoch(self, loss: float, health: dict[str, float]) -> None:
        """Warn where an epoch's mean numbers have said for three epochs that training collapsed.

        Parameters
        ----------
        loss : float
            Mean loss of the epoch.
        health : dict
            Means over the epoch of what `batch_health` returns.
        """
        spread = health["spread"]
        if self._lasts("spread", spread < _COLLAPSED_SPREAD):
            self._warn(
                "spread",
                f"the embeddings have collapsed to one point (spread {spread:.1e}). {_TRY}",
            )
        gap = abs(health["distance_different"] - health["distance_same"])
        at_margin = (
            self.margin is not None
            and abs(loss - self.margin) <= _MARGIN_BAND * self.margin
            and gap <= _MARGIN_BAND * self.margin
        )
        if self._lasts("margin", at_margin):
            self._warn(
                "margin",
                f"the loss ({loss:.4f}) sits at the margin ({self.margin:g}): same and different "
                f"pairs are equally far apart. {_TRY}",
            )

    def _lasts(self, ailment: str, sick: bool) -> bool:
        self._sick_epochs[ailment] = self._sick_epochs.get(ailment, 0) + 1 if sick else 0
        return self._sick_epochs[ailment] >= _PATIENCE

    def _warn(self, ailment: str, message: str) -> None:
        if ailment not in self._warned:
            self._warned.add(ailment)
            warnings.warn(message, TrainingHealthWarning, stacklevel=3)
