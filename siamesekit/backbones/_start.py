"""Where a network on vectors starts from: the closed form that compares classes unseen best."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from siamesekit.backbones._within import WithinSpread, within_spread

__all__ = ["Choice", "Start", "choose_start"]

_SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_FOLDS = 3
_ROUNDS = 4
_DRAWS = 20
_PER_CLASS = 30
_ITEMS = 3000
# An offset so many deviations long leaves nothing of float32 to compare.
_LONGEST = 1e3


class Choice(NamedTuple):
    """Which of the candidates: how features are taken, and how strongly they are whitened."""

    geometry: str
    unit: bool
    shrinkage: float


class Start(NamedTuple):
    """``x ↦ x * scale + offset``, to length 1 where `unit`, then along `directions` by `gains`.

    Attributes
    ----------
    scale, offset : Tensor of float32, shape (f,)
    unit : bool
    directions : Tensor of float32, shape (f, r)
    gains : Tensor of float32, shape (r,)
    choice : Choice
    """

    scale: Tensor
    offset: Tensor
    unit: bool
    directions: Tensor
    gains: Tensor
    choice: Choice


# Of few classes nothing can be held out; this then.
_UNSEEN = Choice("standardised", True, 0.5)


class _Geometry(NamedTuple):
    name: str
    scale: Tensor
    offset: Tensor


def choose_start(
    items: Tensor,
    labels: Tensor,
    scale: Tensor | None = None,
    offset: Tensor | None = None,
    choice: Choice | None = None,
) -> Start:
    """Return the start that tells classes apart which it was not fitted to, of all candidates.

    A candidate takes features as they are, centred, or standardised; whitens their directions or
    themselves (`WithinSpread.gains`); and shrinks by one of seven shares, with 1 not at all. Each
    is fitted to two thirds of the classes and gives its one-shot accuracy on the others, in turn,
    four times; the best is fitted again to all. It is one without whitening unless one with it is
    better by more than a standard error over these trials.

    Parameters
    ----------
    items : Tensor of float, shape (n, f)
    labels : Tensor of int64, shape (n,)
    scale, offset : Tensor of float64, shape (f,), optional
        ``items * scale + offset`` is what was given, before it was standardised.
    choice : Choice, optional
        Fit this candidate, and try none.
    """
    items, labels = items.double(), labels.cpu()
    geometries = _geometries(items, scale, offset)
    if choice is None:
        choice = _best(items, labels, geometries)
    # What is too far from 0 for float32 is left out here and there.
    geometry = next((g for g in geometries if g.name == choice.geometry), geometries[0])
    vectors = _placed(items, geometry, choice.unit)
    spread = within_spread(vectors, labels)
    if spread is None:
        directions, gains = items.new_zeros(items.shape[1], 0), items.new_zeros(0)
    else:
        directions, gains = spread.directions, spread.gains(choice.shrinkage)
    return Start(
        geometry.scale.float(),
        geometry.offset.float(),
        choice.unit,
        directions.float(),
        gains.float(),
        choice,
    )


def _geometries(items: Tensor, scale: Tensor | None, offset: Tensor | None) -> list[_Geometry]:
    mean, deviation = items.mean(0), items.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    scale = torch.ones_like(mean) if scale is None else scale.to(mean)
    offset = torch.zeros_like(mean) if offset is None else offset.to(mean)
    varies = items.amax(0) > items.amin(0)
    given = (scale * deviation)[varies]
    # One unit for all features, so that what is large stays large beside the others.
    largest = given.max() if len(given) else scale.max()
    unit = largest * (given / largest).square().mean().sqrt() if len(given) else largest
    common, origin = scale / unit, offset / unit
    found = [
        _Geometry("standardised", 1 / deviation, -mean / deviation),
        _Geometry("centred", common, -mean * common),
        _Geometry("as given", common, origin),
    ]
    return [g for g in found if bool((g.offset.abs() + g.scale.abs() < _LONGEST).all())]


def _placed(items: Tensor, geometry: _Geometry, unit: bool) -> Tensor:
    placed = items * geometry.scale + geometry.offset
    return functional.normalize(placed, dim=1) if unit else placed


def _few(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return positions of some items of each class, and of so many in all at most."""
    order = torch.randperm(len(labels), generator=generator)
    order = order[torch.sort(labels[order], stable=True).indices]
    counts = torch.unique_consecutive(labels[order], return_counts=True)[1]
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    usable = (counts >= 2).repeat_interleave(counts)
    return order[usable & (rank < _PER_CLASS)][:_ITEMS]


def _folds(labels: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield which items are held out: those of a third of the classes, in turn, four times."""
    classes, own = torch.unique(labels, return_inverse=True)
    folds = min(_FOLDS, len(classes) // 2)
    if folds < 2:
        return
    for _ in range(_ROUNDS):
        fold = torch.randperm(len(classes), generator=generator) % folds
        for k in range(folds):
            yield (fold == k)[own]


def _best(items: Tensor, labels: Tensor, geometries: list[_Geometry]) -> Choice:
    generator = torch.Generator().manual_seed(0)
    some = _few(labels, generator)
    folds = list(_folds(labels[some], generator))
    if not folds:
        return _UNSEEN
    scores = _scores(items[some], labels[some], geometries, folds)
    best = max(scores, key=lambda choice: float(scores[choice].mean()))
    plain = max(
        (choice for choice in scores if choice.shrinkage == 1),
        key=lambda choice: float(scores[choice].mean()),
    )
    lead = scores[best] - scores[plain]
    return best if float(lead.mean()) > float(lead.std()) / len(lead) ** 0.5 else plain


def _scores(
    items: Tensor, labels: Tensor, geometries: list[_Geometry], folds: list[Tensor]
) -> dict[Choice, Tensor]:
    """Return the accuracy of each candidate in each fold, float64, shape (folds,)."""
    scores: dict[Choice, list[float]] = {}
    for geometry, unit in product(geometries, (True, False)):
        vectors = _placed(items, geometry, unit)
        for held in folds:
            spread = within_spread(vectors[~held], labels[~held])
            for shrinkage, cosines in _cosines(vectors[held], spread):
                own = scores.setdefault(Choice(geometry.name, unit, shrinkage), [])
                own.append(_one_shot(cosines, labels[held]))
    return {choice: torch.tensor(own, dtype=torch.double) for choice, own in scores.items()}


def _cosines(vectors: Tensor, spread: WithinSpread | None) -> Iterator[tuple[float, Tensor]]:
    """Yield the cosines of vectors with one another after each shrinkage, shape (m, m)."""
    products = vectors @ vectors.T
    along = None if spread is None else vectors @ spread.directions
    for shrinkage in _SHRINKAGES:
        changed = products
        if spread is not None and along is not None:
            # Only what lies along the directions changes: no vector is made anew.
            changed = products + (along * (spread.gains(shrinkage).square() - 1)) @ along.T
        lengths = changed.diagonal().clamp_min(torch.finfo(torch.double).tiny).sqrt()
        yield shrinkage, changed / lengths / lengths[:, None]


def _one_shot(cosines: Tensor, labels: Tensor) -> float:
    """Return the accuracy, classes counting alike, from one example of each of all classes."""
    own = torch.unique(labels, return_inverse=True)[1]
    counts = torch.bincount(own)
    starts = counts.cumsum(0) - counts
    order = torch.argsort(own, stable=True)
    # The same draws for every candidate, so that what they are asked does not choose among them.
    generator = torch.Generator().manual_seed(1)
    drawn = (torch.rand(_DRAWS, len(counts), generator=generator) * counts).long()
    support = order[starts + drawn]
    right = (cosines[:, support].argmax(2) == own[:, None]).double()
    right[support.T, torch.arange(_DRAWS)] = 0
    per_class = right.new_zeros(len(counts), _DRAWS).index_add_(0, own, right)
    return float((per_class / (counts[:, None] - 1)).mean())
