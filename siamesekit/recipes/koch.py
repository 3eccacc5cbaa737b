"""The network and the training of Koch, Zemel and Salakhutdinov, and what goes past them."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from siamesekit._checks import check_flag, check_integer, shown
from siamesekit._random import RandomState
from siamesekit.backbones import KochNet
from siamesekit.data import ImageSet, RandomAffine
from siamesekit.data.images import check_image_set
from siamesekit.errors import InvalidDataError, InvalidParameterError
from siamesekit.estimators import SiameseClassifier
from siamesekit.evaluation import one_shot_validation
from siamesekit.losses import BCELoss, EpisodicLoss
from siamesekit.recipes._shared import WAY, checked, hand_moved
from siamesekit.recipes.koch_training import KochScheduleOf, layerwise_sgd
from siamesekit.samplers import EpisodeSampler, PairSampler
from siamesekit.training import TrainingLine

__all__ = ["koch2015", "koch2015_keras", "koch_allpairs", "koch_trials"]

_BATCH = 128
_KERNELS = (10, 7, 4, 4)


def koch2015(
    n_pairs: int = 30_000,
    affine: bool = True,
    init: Literal["paper", "trainable"] = "trainable",
    rates: float | Sequence[float] = 3e-2,
    momenta: float | Sequence[float] = 0.8,
    decays: float | Sequence[float] = 1e-4,
    max_epochs: int = 200,
    random_state: RandomState = 0,
    kernels: tuple[int, ...] = _KERNELS,
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
    random_state : int, Generator or None
    kernels : tuple of 4 int
        Sides of the kernels of `KochNet`. ``(4, 3, 2, 2)`` fit images of 35×35 pixels; the paper
        tests "a reduced version" of its network for those on MNIST (§4.3), and does not print it.

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.

    References
    ----------
    .. [1] G. Koch, R. Zemel, R. Salakhutdinov, "Siamese neural networks for one-shot image
       recognition", ICML Deep Learning Workshop, 2015.
    """
    check_integer("n_pairs", n_pairs, low=2)
    check_flag("affine", affine)
    return checked(
        SiameseClassifier(
            backbone=KochNet(kernels=kernels, init=init),
            head="l1",
            loss=BCELoss(),
            sampler=PairSampler(batch_size=_BATCH, n_pairs=n_pairs),
            augment=RandomAffine.koch2015() if affine else None,
            enroll_training=False,
            optimizer=layerwise_sgd(rates, momenta, decays),
            schedule=KochScheduleOf(steps_per_epoch=-(-n_pairs // _BATCH)),
            max_epochs=max_epochs,
            patience=20,
            random_state=random_state,
        )
    )


def koch2015_keras(
    max_epochs: int = 100, random_state: RandomState = 0, kernels: tuple[int, ...] = _KERNELS
) -> SiameseClassifier:
    """Return the setup of the Keras tutorials: the same network, Adam 6e-5, 32 pairs a step.

    An epoch is 200 steps, after which they validate: 20,000 steps in all.

    Parameters
    ----------
    max_epochs : int
    random_state : int, Generator or None
    kernels : tuple of 4 int
        As for `koch2015`.

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.
    """
    return checked(
        SiameseClassifier(
            backbone=KochNet(kernels=kernels, init="trainable"),
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
    )


def koch_allpairs(max_epochs: int = 40, random_state: RandomState = 0) -> SiameseClassifier:
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
    random_state : int, Generator or None

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed.
    """
    return checked(
        SiameseClassifier(
            backbone=KochNet(init="trainable", batch_norm=True),
            head="l1",
            loss=EpisodicLoss(way=WAY, temperature=1.0),
            sampler=EpisodeSampler(way=WAY, within=1.0, episodes=2, aligned=True, n_batches=120),
            augment=hand_moved(),
            enroll_training=False,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="one-cycle",
            averaging=0.98,
            max_epochs=max_epochs,
            random_state=random_state,
        )
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
        If `images` is no `ImageSet` or groups or drawers are missing.
    """
    if check_integer("n_trials", n_trials, low=WAY) % WAY:
        raise InvalidParameterError(f"n_trials must be a multiple of {WAY}; got {shown(n_trials)}.")
    check_image_set(images)
    if images.groups is None or images.drawers is None:
        raise InvalidDataError("images must have groups (alphabets) and drawers.")
    return one_shot_validation(
        torch.from_numpy(images.X)[:, None],
        images.y,
        way=WAY,
        n_episodes=n_trials // WAY,
        groups=images.groups,
        drawers=images.drawers,
        random_state=0,
    )
