"""From the arguments of an estimator to a trained line."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siamesekit._checks import check_number
from siamesekit._random import drawing_from
from siamesekit._types import IntArray, Shape
from siamesekit.backbones import Backbone
from siamesekit.errors import InvalidDataError, InvalidParameterError, SiamesekitError
from siamesekit.estimators._calibration import few_classes
from siamesekit.estimators._parts import (
    make_augment,
    make_backbone,
    make_head,
    make_loss,
    make_miner,
    make_sampler,
)
from siamesekit.estimators._pilot import Shared, best_share, classes_for_a_pilot
from siamesekit.evaluation import one_shot_validation
from siamesekit.heads._comparable import comparable
from siamesekit.samplers import BalancedSampler, EpisodeSampler, Sampler
from siamesekit.training import (
    Checkpoint,
    History,
    Items,
    Plan,
    TrainingLine,
    embed_items,
    resolve_device,
    resolve_precision,
    train,
)
from siamesekit.training.distributed import current
from siamesekit.training.embedding import embed_batch, in_short, memory_format
from siamesekit.training.health import check_outcome
from siamesekit.training.loop import Validate

__all__ = ["Fitting", "Material", "hold_out", "make_line", "of_classes"]

_WAY = 20
_EPISODES = 5
_BATCH = 128
_VALIDATION_EPISODES = 200
# Items, at most, that a backbone is finished on.
_FINISHING = 40_000
# Items, at most, whose embeddings are looked at once training is over.
_LOOKED_AT = 1024
# Of what is learned from so few classes that none can be held out.
_SHARE = 0.25


@dataclass(frozen=True)
class Material:
    """What a line is trained on, and what chooses among its epochs.

    Attributes
    ----------
    items : Tensor or Items, shape (n, c, h, w) or (n, f)
    labels : Tensor of int64, shape (n,)
        Class of each item as the loss sees it, ``0 .. k - 1``.
    sampler : Sampler
        Bound to them.
    validate : callable or None
    n_classes : int
        Classes that the loss has to know of.
    facts : dict
        What a checkpoint has to agree with beside what `train` is given.
    people : Tensor of int64, shape (n,), or None
        Of items that come in pairs, and whose `labels` only say which pairs are *same*: class of
        each, as far as it is known.
    """

    items: Tensor | Items
    labels: Tensor
    sampler: Sampler
    validate: Validate | None
    n_classes: int
    facts: dict[str, Any]
    people: Tensor | None = None


def of_classes(
    estimator: Any,
    items: Tensor | Items,
    codes: IntArray,
    groups: IntArray | None,
    classes: np.ndarray,
    seed: int,
    validation: float | Validate | None,
) -> tuple[Material, np.ndarray]:
    """Return what to train on of items whose classes are known, and which items are held out.

    Parameters
    ----------
    estimator : object
        Has the arguments of `SiameseClassifier`.
    items : Tensor or Items, shape (n, c, h, w) or (n, f)
    codes : ndarray of int64, shape (n,)
        Class of each item.
    groups : ndarray of int64, shape (n,), or None
    classes : ndarray, shape (k,)
        The names of all codes.
    seed : int
    validation : float, callable or None
        As of the estimator, with items as the network takes them.

    Returns
    -------
    Material
    ndarray of bool, shape (n,)
        Items of the classes that choose among epochs and are not trained on.
    """
    given = validation if callable(validation) else None
    share = None if callable(validation) else validation
    held_out = hold_out("validation", share, codes, groups, seed)
    validate = given or _validation(items, codes, groups, held_out, seed)
    kept = torch.from_numpy(~held_out)
    trained, own = np.unique(codes[~held_out], return_inverse=True)
    labels = torch.from_numpy(own.astype(np.int64))
    own_groups = None if groups is None else torch.from_numpy(groups[~held_out])
    sampler = make_sampler(estimator.sampler, lambda: _choose_sampler(labels, own_groups))
    material = Material(
        items=items if bool(kept.all()) else items[kept.to(items.device)],
        labels=labels,
        sampler=sampler.bind(labels, own_groups, seed=seed),
        validate=validate,
        n_classes=len(trained),
        facts={"labels": (labels, classes.tolist()), "validation": (share, validate)},
    )
    return material, held_out


class Fitting:
    """One call of an estimator's ``fit``: parts made, line trained.

    Parameters
    ----------
    estimator : object
        Has the arguments of `SiameseClassifier`.
    material : Material
    seed : int
    """

    def __init__(self, estimator: Any, material: Material, seed: int) -> None:
        self.estimator = estimator
        self.material = material
        self.seed = seed
        self.plan = Plan(
            max_epochs=estimator.max_epochs,
            learning_rate=estimator.learning_rate,
            weight_decay=estimator.weight_decay,
            optimizer=estimator.optimizer,
            schedule=estimator.schedule,
            averaging=estimator.averaging,
            patience=estimator.patience,
            chunk_size=estimator.chunk_size,
            compile=estimator.compile,
            verbose=estimator.verbose,
        )
        shape = tuple(material.items.shape[1:])
        team = current()
        if team is not None:
            team.agree({"X": in_short(material.items), "y": in_short(material.labels)})
        self.device = resolve_device(estimator.device)
        self.augment = make_augment(estimator.augment, shape)
        with drawing_from(seed):
            self.line = make_line(
                estimator,
                shape,
                material.n_classes,
                self.device,
                pairs=material.people is not None,
            )
        if team is not None:
            # A network that was given is not drawn from the seed.
            team.same_state(self.line)

    def run(self) -> History:
        """Train the line; return what happened."""
        if isinstance(self.line.backbone, Backbone):
            self.line.backbone.unfinish()
            self._start(self.line.backbone)
            if isinstance(self.line.backbone, Shared) and self.plan.max_epochs:
                self.line.backbone.share = self._share_that_helps()
        checkpoint = self.estimator.checkpoint
        if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint(checkpoint)
        history = train(
            self.line,
            self.material.items.to(self.device),
            self.material.labels,
            self.material.sampler,
            self.plan,
            augment=self.augment,
            validate=self.material.validate,
            callbacks=self.estimator.callbacks,
            checkpoint=checkpoint,
            seed=self.seed,
            facts=None if checkpoint is None else self._facts(),
        )
        self._check_outcome(history)
        self._finish()
        return history

    def _facts(self) -> dict[str, Any]:
        """Return what a checkpoint has to agree with beside what `train` is given."""
        # Parts given with weights start from them; two such runs are not the same.
        return {"weights": self.line.state_dict(), **self.material.facts}

    def _check_outcome(self, history: History) -> None:
        """Look at embeddings of training items as they will be used, in ``eval()`` mode.

        Raises
        ------
        TrainingDivergedError
            If fewer than half of them are finite and can be compared.

        Warns
        -----
        TrainingHealthWarning
            If they lie much closer together than in training.
        """
        own = self.material.items
        some = np.random.default_rng(self.seed).permutation(len(own))[:_LOOKED_AT]
        items = own[torch.from_numpy(some).to(own.device)]
        embeddings = embed_items(self.line.backbone, items, self.device, self.line.precision)
        known = embeddings[comparable(self.line.head, embeddings)]
        check_outcome(known, len(embeddings), history, type(self.line.backbone).__name__)

    def _finish(self) -> None:
        """Let the backbone fit to the trained classes what is not trained."""
        if not isinstance(self.line.backbone, Backbone):
            return
        embed, labels = self._whole_classes()
        self.line.backbone = self.line.backbone.finish(embed, labels)

    def _whole_classes(self) -> tuple[Callable[[torch.nn.Module], Tensor], Tensor]:
        """Return from a network to its embeddings of training items, and the classes of these."""
        own = self.material
        labels = own.labels if own.people is None else own.people
        some = _items_to_finish_on(labels.numpy(), self.seed)

        def embed(network: torch.nn.Module) -> Tensor:
            items = own.items[some.to(own.items.device)]
            return embed_items(network, items, self.device, self.line.precision)

        return embed, labels[some]

    def _start(self, backbone: Backbone) -> None:
        """Let the backbone fit what is fitted before training."""
        embed, labels = self._whole_classes()
        known = getattr(self.estimator, "standardizer_", None)
        scale, offset = (None, None) if known is None else (known.scale, known.offset)
        if len(labels):
            backbone.start(embed, labels, scale, offset)

    def _share_that_helps(self) -> float:
        """Return the share that was best on a third of the classes when the others were trained."""
        own = self.material
        held = None if own.people is not None else classes_for_a_pilot(own.labels, self.seed)
        if held is None:
            return _SHARE
        kept = own.items[(~held).to(own.items.device)]
        labels = torch.unique(own.labels[~held], return_inverse=True)[1]
        try:
            sampler = make_sampler(self.estimator.sampler, lambda: _choose_sampler(labels, None))
            material = Material(
                kept, labels, sampler.bind(labels, None, seed=self.seed), None, own.n_classes, {}
            )
            pilot = Fitting(self.estimator, material, self.seed)
            # As many steps as training proper, however many items an epoch has.
            epochs = max(1, round(self.plan.max_epochs * len(own.sampler) / len(sampler)))
            pilot.plan = replace(
                self.plan, max_epochs=epochs, patience=None, verbose=False, compile=False
            )
            pilot.line.backbone.try_like(self.line.backbone)  # type: ignore[operator]
            return pilot.try_shares(own.items[held.to(own.items.device)], own.labels[held])
        except SiamesekitError:
            # Too few classes for the sampler, or what the training proper will say itself.
            return _SHARE

    def try_shares(self, items: Tensor | Items, labels: Tensor) -> float:
        """Train on what there is, and return which share is best on items of other classes."""
        backbone = self.line.backbone
        assert isinstance(backbone, Backbone)
        self._start(backbone)
        train(
            self.line,
            self.material.items.to(self.device),
            self.material.labels,
            self.material.sampler,
            self.plan,
            augment=self.augment,
            seed=self.seed,
        )
        return best_share(self.line, items, labels, self.seed)


def make_line(
    estimator: Any, shape: Shape, n_classes: int, device: torch.device, *, pairs: bool = False
) -> TrainingLine:
    """Return the built training line of an estimator, on `device`, its weights drawn afresh.

    Parameters
    ----------
    estimator : object
        Has the arguments of `SiameseClassifier`.
    shape : tuple of int
        Shape of an item.
    n_classes : int
        Number of classes in training.
    device : torch.device
    pairs : bool
        Whether pairs were given, and no classes.
    """
    network = make_backbone(estimator.backbone, shape)
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        raise InvalidParameterError(
            "backbone must be a network with weights; those of the given "
            f"{type(network).__name__} are on the meta device. Call to_empty and fill them first."
        )
    network = network.to(device)
    dim = _embedding_size(network, shape, device)
    # In float32, whatever torch's default type is.
    head = make_head(estimator.head).build(dim).float()
    loss = make_loss(estimator.loss, head, pairs=pairs).build(dim, n_classes).float()
    precision = resolve_precision(estimator.precision, device, shape)
    line = TrainingLine(network, head, loss, make_miner(estimator.miner), precision).to(device)
    line.backbone.to(memory_format=memory_format(network))  # type: ignore[call-overload]
    return line


def _embedding_size(backbone: torch.nn.Module, shape: Shape, device: torch.device) -> int:
    """Return the length of the embeddings, from a trial pass of two items."""
    was_training = backbone.training
    backbone.eval()
    try:
        # Not inference_mode: modules cache tensors in their first pass, and train with them.
        with torch.no_grad():
            embeddings = embed_batch(backbone, torch.zeros(2, *shape, device=device), torch.float32)
    finally:
        backbone.train(was_training)
    return int(embeddings.shape[1])


def _items_to_finish_on(codes: IntArray, seed: int) -> Tensor:
    """Return positions of items of whole classes, or of some items where two are too many."""
    usable = np.flatnonzero(np.bincount(codes)[codes] >= 2)
    own = np.unique(codes[usable], return_inverse=True)[1]
    if len(usable) > _FINISHING:
        usable = usable[few_classes(own, seed, _FINISHING)]
    if len(usable) > _FINISHING:
        usable = np.random.default_rng(seed).choice(usable, _FINISHING, replace=False)
    return torch.from_numpy(usable)


def _choose_sampler(labels: Tensor, groups: Tensor | None) -> Sampler:
    """Return episodes where there are classes enough for them, else balanced batches."""
    sizes = torch.bincount(labels)
    usable = int((sizes >= 2).sum())
    if usable >= _WAY:
        largest = 0 if groups is None else _largest_way(labels.numpy(), groups.numpy())
        return EpisodeSampler(
            way=_WAY,
            within=1.0 if largest >= _WAY else 0.75,
            episodes=min(_EPISODES, usable // _WAY),
        )
    classes = max(2, min(len(sizes), _BATCH // 4))
    return BalancedSampler(classes=classes, per_class=max(2, _BATCH // classes))


def _validation(
    items: Tensor | Items, codes: IntArray, groups: IntArray | None, held_out: np.ndarray, seed: int
) -> Validate | None:
    if not held_out.any():
        return None
    mask = torch.from_numpy(held_out)
    own_codes = codes[held_out]
    own_groups = None if groups is None else groups[held_out]
    return one_shot_validation(
        items[mask.to(items.device)],
        own_codes,
        way=_largest_way(own_codes, own_groups),
        n_episodes=_VALIDATION_EPISODES,
        groups=own_groups,
        random_state=seed,
    )


def hold_out(
    argument: str, share: float | None, codes: IntArray, groups: IntArray | None, seed: int
) -> np.ndarray:
    """Return which items belong to the held-out groups (or classes), shape (n,) of bool.

    Parameters
    ----------
    argument : str
        Which of the estimator's arguments asks for it.
    share : float or None
        Of the groups, or of the classes where there are none, in (0, 1); None holds out nothing.
    codes : ndarray of int64, shape (n,)
    groups : ndarray of int64, shape (n,), or None
    seed : int

    Raises
    ------
    InvalidDataError
        If too few would be held out, or left.
    """
    if share is None:
        return np.zeros(len(codes), dtype=bool)
    check_number(argument, share, low=0.0, high=1.0, open_low=True, open_high=True)
    unit, name, least = (codes, "classes", 2) if groups is None else (groups, "groups", 1)
    known = np.unique(unit)
    n_held = max(least, round(share * len(known)))
    if len(known) - n_held < least:
        raise InvalidDataError(
            f"{argument}={share} of {len(known)} {name} leaves too few of them: at least {least} "
            f"must be held out, and as many left to train on."
        )
    held = np.random.default_rng(seed).choice(known, n_held, replace=False)
    return np.isin(unit, held)


def _largest_way(codes: IntArray, groups: IntArray | None, most: int = _WAY) -> int:
    groups = np.zeros_like(codes) if groups is None else groups
    _, first, sizes = np.unique(codes, return_index=True, return_counts=True)
    usable = first[sizes >= 2]
    if len(usable) == 0:
        raise InvalidDataError(
            "validation needs classes of two items at least; those held out have one each."
        )
    return int(min(most, np.bincount(groups[usable]).max()))
