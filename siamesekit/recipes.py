"""Named recipes: configured estimators, each one page of a paper, or what goes past it.

Data and protocols are in ``examples/reproduce.py``, which trains and scores each of these by name.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR

from siamesekit._checks import check_integer
from siamesekit.backbones import Backbone, KochNet, ResidualNet, TurnedNet, WhitenedNet
from siamesekit.data import ImageSet, RandomAffine
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.estimators import SiameseClassifier
from siamesekit.evaluation import one_shot_validation
from siamesekit.losses import BCELoss, EpisodicLoss
from siamesekit.samplers import EpisodeSampler, PairSampler
from siamesekit.training import TrainingLine

__all__ = [
    "KochSchedule",
    "koch2015",
    "koch2015_keras",
    "koch_allpairs",
    "koch_trials",
    "layerwise_sgd",
    "omniglot_best",
    "vinyals",
]

_WAY = 20
_KOCH_LAYERS = 6


def omniglot_best(
    max_epochs: int = 80,
    widths: tuple[int, ...] = (48, 96, 192),
    random_state: int = 0,
    start: str | None = None,
) -> SiameseClassifier:
    """Return what did best on held-out Omniglot alphabets, for images of 28×28 pixels.

    A small residual network, trained on episodes of 20 characters of one alphabet, supports by one
    drawer and queries by another, moved by affine maps. To be fitted on ``with_turns(images,
    mirrored=True)``, so that a turned character is a class of its own; embeddings then see an
    image in all its turns, whitened by the covariance within classes. An epoch shows 97 · 200
    images, as many as the background set has.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
        Of `ResidualNet`.
    random_state : int
    start : str, optional
        Go on from this model in the box (``"omniglot"``, trained on the 30 background alphabets)
        at a quarter of the learning rate, which then rises and falls; its widths count.
    """
    network = ResidualNet(widths=widths) if start is None else _network_in_the_box(start)
    return SiameseClassifier(
        backbone=TurnedNet(WhitenedNet(network), mirrored=True),
        head="cosine",
        loss=EpisodicLoss(way=_WAY),
        sampler=EpisodeSampler(way=_WAY, within=1.0, episodes=5, aligned=True, n_batches=97),
        augment=_hand_moved(),
        enroll_training=False,
        learning_rate=4e-3 if start is None else 1e-3,
        schedule="cosine" if start is None else "one-cycle",
        averaging=0.995,
        max_epochs=max_epochs,
        random_state=random_state,
    )


def vinyals(
    max_epochs: int = 80,
    widths: tuple[int, ...] = (48, 96, 192),
    random_state: int = 0,
    start: str | None = None,
) -> SiameseClassifier:
    """Return `omniglot_best` for episodes across alphabets, as Vinyals et al. [1]_ draw them.

    Every other episode mixes alphabets. To be fitted on turned copies, as `omniglot_best`.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
    random_state : int
    start : str, optional
        As for `omniglot_best`.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016, §4.1.1.
    """
    recipe = omniglot_best(max_epochs, widths, random_state=random_state, start=start)
    return recipe.set_params(sampler__within=0.5, sampler__aligned=False)


def koch2015(
    n_pairs: int = 30_000,
    affine: bool = True,
    init: Literal["paper", "trainable"] = "trainable",
    rates: float | Sequence[float] = 3e-2,
    momenta: float | Sequence[float] = 0.8,
    decays: float | Sequence[float] = 1e-4,
    max_epochs: int = 200,
    random_state: int = 0,
) -> SiameseClassifier:
    """Return the network and the training of Koch, Zemel and Salakhutdinov [1]_, 105×105 pixels.

    Two towers, pairs half of one character and uniform over alphabets (§4.1), regularised
    cross-entropy (§3.2), SGD with rates, momenta and L2 layer by layer, all rates falling by 1 %
    an epoch and momenta rising linearly from 0.5 (§3.3), and a stop after 20 epochs without fewer
    errors on one-shot trials, for which ``validation`` is to be set to `koch_trials`.

    Parameters
    ----------
    n_pairs : int
        Of an epoch: 30,000, 90,000 or 150,000 in the paper. Ours are drawn anew in every epoch.
    affine : bool
        Distort each image by the paper's affine maps (§3.3); there eight fixed copies of every
        pair, here another one every time.
    init : {"paper", "trainable"}
        Of `KochNet`. The paper's hardly depends on the image; see there.
    rates, momenta, decays : float or sequence of 6 float
        Of the four convolutions, the dense layer and the head. The paper searched them and does
        not print what it found; the defaults are ours.
    max_epochs : int
    random_state : int

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015.
    """
    steps = -(-n_pairs // 128)
    return SiameseClassifier(
        backbone=KochNet(init=init),
        head="l1",
        loss=BCELoss(),
        sampler=PairSampler(batch_size=128, n_pairs=n_pairs),
        augment=RandomAffine.koch2015() if affine else None,
        enroll_training=False,
        optimizer=layerwise_sgd(rates, momenta, decays),
        schedule=lambda optimizer, _: KochSchedule(optimizer, steps),
        max_epochs=max_epochs,
        patience=20,
        random_state=random_state,
    )


def koch2015_keras(max_epochs: int = 100, random_state: int = 0) -> SiameseClassifier:
    """Return the setup of the Keras tutorials: the same network, Adam 6e-5, 32 pairs a step.

    An epoch is 200 steps, after which they validate: 20,000 steps in all.

    Parameters
    ----------
    max_epochs : int
    random_state : int
    """
    return SiameseClassifier(
        backbone=KochNet(init="trainable"),
        head="l1",
        loss=BCELoss(),
        sampler=PairSampler(batch_size=32, n_pairs=32 * 200, uniform="class"),
        augment=None,
        enroll_training=False,
        optimizer="adam",
        learning_rate=6e-5,
        weight_decay=0.0,
        schedule="constant",
        max_epochs=max_epochs,
        random_state=random_state,
    )


def koch_allpairs(max_epochs: int = 40, random_state: int = 0) -> SiameseClassifier:
    """Return Koch's network and weighted L1 head, trained on all pairs of a batch.

    A batch is two episodes of 20 characters of one alphabet, two images each, for 80 passes
    through the network where two towers would need 6,320 for its 3,160 pairs. Each image is
    classified among the others by its logits (softmax cross-entropy of all its pairs); batch
    normalisation before each non-linearity, which makes training short, ends up in the weights
    (`KochNet.fold`). To be fitted on ``with_turns(images, mirrored=True)``.

    Parameters
    ----------
    max_epochs : int
        Of 120 batches, 9,600 images, each.
    random_state : int
    """
    return SiameseClassifier(
        backbone=KochNet(init="trainable", batch_norm=True),
        head="l1",
        loss=EpisodicLoss(way=_WAY, temperature=1.0),
        sampler=EpisodeSampler(way=_WAY, within=1.0, episodes=2, aligned=True, n_batches=120),
        augment=_hand_moved(),
        enroll_training=False,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="one-cycle",
        averaging=0.98,
        max_epochs=max_epochs,
        random_state=random_state,
    )


def koch_trials(images: ImageSet, n_trials: int = 320) -> Callable[[TrainingLine], float]:
    """Return the score that Koch et al. choose the epoch by: one-shot trials (§4.2).

    20-way, within an alphabet, supports by one drawer and queries by another; the same trials at
    every call.

    Parameters
    ----------
    images : ImageSet
        Grey, with groups and drawers: the validation part of `koch_split`, resized as in
        training.
    n_trials : int
        A multiple of 20: an episode of 20 characters makes as many trials.

    Returns
    -------
    callable
        For ``SiameseClassifier(validation=…)``.

    Raises
    ------
    InvalidParameterError
        If `n_trials` is no multiple of 20.
    InvalidDataError
        If groups or drawers are missing.
    """
    if check_integer("n_trials", n_trials, low=_WAY) % _WAY:
        raise InvalidParameterError(f"n_trials must be a multiple of {_WAY}; got {n_trials}.")
    if images.groups is None or images.drawers is None:
        raise InvalidDataError("images must have groups (alphabets) and drawers.")
    return one_shot_validation(
        torch.from_numpy(images.X)[:, None],
        images.y,
        way=_WAY,
        n_episodes=n_trials // _WAY,
        groups=images.groups,
        drawers=images.drawers,
        random_state=0,
    )


def layerwise_sgd(
    rates: float | Sequence[float],
    momenta: float | Sequence[float],
    decays: float | Sequence[float],
) -> Callable[[nn.Module], optim.SGD]:
    """Return an optimiser for ``SiameseClassifier(optimizer=…)``: SGD with numbers a layer (§3.2).

    Parameters
    ----------
    rates : float or sequence of 6 float
        Learning rates of the four convolutions, the dense layer and the head.
    momenta : float or sequence of 6 float
        Final momenta, in [0, 1).
    decays : float or sequence of 6 float
        Weights of the L2 term.

    Raises
    ------
    InvalidParameterError
        If a sequence has another length, or, when training starts, the network is not `KochNet`.
    """
    columns = [
        _six(name, values)
        for name, values in (("rates", rates), ("momenta", momenta), ("decays", decays))
    ]

    def make(line: nn.Module) -> optim.SGD:
        layers = [
            list(module.parameters())
            for module in line.modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        ]
        own = {id(p) for layer in layers for p in layer}
        layers.append([p for p in line.parameters() if id(p) not in own])
        layers = [layer for layer in layers if layer]
        if len(layers) != _KOCH_LAYERS:
            raise InvalidParameterError(
                "optimizer: layerwise_sgd is for four convolutions, a dense layer and a learned "
                f"head; this line has {len(layers)} layers."
            )
        groups = [
            {"params": layer, "lr": rate, "momentum": momentum, "weight_decay": decay}
            for layer, rate, momentum, decay in zip(layers, *columns, strict=True)
        ]
        return optim.SGD(groups, lr=columns[0][0])

    return make


class KochSchedule(LambdaLR):
    """Rates fall by 1 % an epoch; momenta rise linearly from 0.5 to their final values (§3.2).

    Parameters
    ----------
    optimizer : torch.optim.SGD
        Its momenta are the final ones.
    steps_per_epoch : int
    ramp : int
        Epochs until the momenta are final; the paper does not say how many.
    """

    def __init__(self, optimizer: optim.Optimizer, steps_per_epoch: int, ramp: int = 20) -> None:
        self.steps_per_epoch = check_integer("steps_per_epoch", steps_per_epoch, low=1)
        self.ramp = check_integer("ramp", ramp, low=1)
        self.momenta = [group["momentum"] for group in optimizer.param_groups]
        super().__init__(optimizer, lambda step: 0.99 ** (step // steps_per_epoch))

    def step(self, epoch: int | None = None) -> None:
        """Set the rates and momenta of the next step."""
        super().step(epoch)
        done = min(1.0, self.last_epoch / (self.ramp * self.steps_per_epoch))
        for group, final in zip(self.optimizer.param_groups, self.momenta, strict=True):
            group["momentum"] = 0.5 + (final - 0.5) * done


def _hand_moved() -> RandomAffine:
    """Return how drawings are moved in training: wider than in the paper's affine maps."""
    return RandomAffine(rotation=15, shear=0.2, scale=(0.8, 1.2), translate=0.08)


def _network_in_the_box(name: str) -> Backbone:
    turned = SiameseClassifier.from_pretrained(name, device="cpu").backbone_
    assert isinstance(turned, TurnedNet)
    return turned.inner


def _six(name: str, values: float | Sequence[float]) -> list[float]:
    listed = list(values) if isinstance(values, Sequence) else [values] * _KOCH_LAYERS
    if len(listed) != _KOCH_LAYERS:
        raise InvalidParameterError(
            f"{name} must be a number or {_KOCH_LAYERS} of them, a layer each; got {values!r}."
        )
    return listed
