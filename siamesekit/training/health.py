"""What the numbers of a batch say about the health of training."""

import math
import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from siamesekit._checks import check_kind, check_number
from siamesekit._triplets import AnchorRows, Classes, row_blocks
from siamesekit._types import Pairs, Triplets
from siamesekit.errors import TrainingDivergedError
from siamesekit.training.distributed import current
from siamesekit.training.history import History
from siamesekit.training.line import Charge

__all__ = ["TRY_FINITE", "HealthMonitor", "TrainingHealthWarning", "batch_health", "check_outcome"]

_COLLAPSED_SPREAD = 1e-3
# A spread outside training below this share of that in training.
_SHRUNK = 0.05
_MARGIN_BAND = 0.02
_PATIENCE = 3

_TRY = (
    "Try a lower learning rate, normalised embeddings (head='cosine'), an easier miner "
    "('semihard' in place of 'hard', or none), more classes a batch, or a smaller margin."
)


TRY_FINITE = "Try a lower learning rate or precision='float32', and look for extreme values in X."


class TrainingHealthWarning(UserWarning):
    """Training goes on, but its numbers say that nothing is learned."""


def batch_health(charge: Charge, margin: float | None) -> dict[str, Tensor]:
    """Return the health numbers of one batch, left on its device.

    Of a batch that several processes share, they are those of all of it.

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

    Raises
    ------
    InvalidParameterError
        If `charge` is no `Charge`, or `margin` no finite number.
    """
    check_kind("charge", charge, Charge)
    if margin is not None:
        check_number("margin", margin)
    distances, start = -charge.scores, charge.start
    if distances.ndim == 1 and isinstance(charge.tuples, Pairs):
        same = charge.labels[charge.tuples.i] == charge.labels[charge.tuples.j]
        different = ~same
    else:
        same = charge.labels[start : start + len(distances), None] == charge.labels[None, :]
        different = ~same
        same.diagonal(start).fill_(False)
    shares = {
        "distance_same": _sum_of(distances, same),
        "distance_different": _sum_of(distances, different),
        "active": _active(distances, charge, margin),
    }
    sums = torch.stack([part.float() for share in shares.values() for part in share])
    if (team := current()) is not None:
        sums = team.sum(sums)
    # A sum over its number is NaN where there is nothing.
    means = sums[0::2] / sums[1::2]
    return {"spread": _spread(charge.embeddings), **dict(zip(shares, means, strict=True))}


def _sum_of(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of the chosen values and how many they are."""
    return torch.where(chosen, values, 0).sum(), chosen.sum()


def _active(distances: Tensor, charge: Charge, margin: float | None) -> tuple[Tensor, Tensor]:
    """Return how many triplets cost something, and how many there are."""
    start, nothing = charge.start, charge.labels.new_zeros(())
    if margin is None or distances.ndim == 1:
        return nothing, nothing
    if isinstance(charge.tuples, Triplets):
        a, p, n = charge.tuples
        excess = distances[a - start, p] - distances[a - start, n]
        return (excess + margin > 0).sum(), nothing + len(a)
    if charge.counted is not None:
        return charge.counted
    active, total = nothing, nothing
    classes = Classes.of(charge.labels)
    for rows in row_blocks(distances):
        anchors = AnchorRows(distances[rows], classes, start + rows.start)
        runs = anchors.runs(None, anchors.active(margin))
        active = active + (runs.last - runs.first).sum()
        total = total + anchors.n_triplets
    return active, total


@dataclass
class HealthMonitor:
    """Warns once of each ailment: a step that is not finite, collapse, a loss at the margin.

    Parameters
    ----------
    margin : float or None
        Margin of a triplet loss.
    """

    margin: float | None = None
    _sick_epochs: dict[str, int] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def skipped_step(self, what: str, loss: float) -> None:
        """Warn, the first time, of a step that was skipped.

        Parameters
        ----------
        what : str
            What was not finite in it.
        loss : float
        """
        self._warn(
            "skipped",
            f"{what} of a batch are not finite (its loss is {loss}); the step is skipped, as are "
            f"others like it: history['skipped'] counts them. {TRY_FINITE}",
        )

    def check_gradients(self, backbone: nn.Module) -> None:
        """Warn, after a first step's ``backward``, of a backbone that no gradient reaches."""
        weights = [p for p in backbone.parameters() if p.requires_grad]
        if weights and all(p.grad is None for p in weights):
            self._warn(
                "gradients",
                f"no gradient reaches any weight of backbone {type(backbone).__name__}: it is not "
                "trained. Look in it for detach(), .data or no_grad, or set requires_grad_(False) "
                "where that is meant.",
            )

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


def check_outcome(known: Tensor, n_items: int, history: History, backbone: str) -> None:
    """Say so where what training made is of no use.

    Parameters
    ----------
    known : Tensor of float32, shape (k, d)
        Embeddings of training items in ``eval()`` mode, those that can be compared.
    n_items : int
        Items that were embedded.
    history : History
    backbone : str
        Its name.

    Raises
    ------
    TrainingDivergedError
        If fewer than half of the items are known.

    Warns
    -----
    TrainingHealthWarning
        If the embeddings lie much closer together than in the last epoch of training.
    """
    if len(known) < n_items / 2:
        raise TrainingDivergedError(
            f"training diverged by the end of epoch {history.epochs}: of {n_items} training items "
            f"backbone {backbone} maps {n_items - len(known)} to NaN, to infinity or too far away "
            f"to be compared, in eval() mode. {TRY_FINITE}"
        )
    spread = float(_spread(known))
    trained = next((s for s in reversed(history.get("spread", [])) if math.isfinite(s)), 0.0)
    if spread < _SHRUNK * trained:
        warnings.warn(
            f"the embeddings of backbone {backbone} lie much closer together in eval() mode "
            f"(spread {spread:.1e}) than in training ({trained:.1e}): outliers have moved the "
            "statistics of its normalisation. Look for extreme values in X.",
            TrainingHealthWarning,
            stacklevel=4,
        )


def _spread(embeddings: Tensor) -> Tensor:
    """Return the standard deviation about the mean, divided by the root mean square."""
    size = embeddings.square().mean().sqrt()
    return (embeddings - embeddings.mean(0)).square().mean().sqrt() / size.clamp_min(1e-12)
